"""Acting as other users over one transport, whose own user must be allowed to `impersonate` them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

from steersman.client.interface import Answer, StreamAnswer, Transport


class ImpersonatingTransport:
    """A Transport that speaks as `user`, a member of `group`, over `base`, which belongs to others as well."""

    def __init__(self, base: Transport, user: str, group: str) -> None:
        self._base = base
        self._headers = {"Impersonate-User": user, "Impersonate-Group": group}

    async def request(self, method: str, target: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
        return await self._base.request(method, target, headers={**(headers or {}), **self._headers}, body=body)

    def stream(
        self, method: str, target: str, *, headers: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[StreamAnswer]:
        return self._base.stream(method, target, headers={**(headers or {}), **self._headers})

    async def close(self) -> None:
        """The base is closed by whom it belongs to."""
