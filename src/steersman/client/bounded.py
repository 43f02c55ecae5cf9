"""BoundedTransport: at most so many requests at a time, so that many clients of one process share few connections.

Streams are not counted: each lasts, and waiting for one to end could be for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

from steersman.client.interface import Answer, StreamAnswer, Transport


class BoundedTransport:
    """Around another transport. `past`: requests whose target begins so do not count, as they may not wait for others."""

    def __init__(self, transport: Transport, limit: int, *, past: str = "") -> None:
        self._transport, self._places, self._past = transport, asyncio.Semaphore(limit), past

    async def request(self, method: str, target: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
        if self._past and target.startswith(self._past):
            return await self._transport.request(method, target, headers=headers, body=body)
        async with self._places:
            return await self._transport.request(method, target, headers=headers, body=body)

    def stream(
        self, method: str, target: str, *, headers: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[StreamAnswer]:
        return self._transport.stream(method, target, headers=headers)

    async def close(self) -> None:
        await self._transport.close()
