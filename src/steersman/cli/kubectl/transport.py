"""What kubectl puts around the HTTP transport: headers of --as, --request-timeout, errors that say which server it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from steersman.cli.kubectl.errors import Unreachable
from steersman.client.interface import Answer, StreamAnswer, Transport


class ToldTransport:
    """`headers` go with every request; a whole answer that takes longer than `timeout_s` (0: no limit) fails.

    The base's failures (ConnectionError) come out as Unreachable, which says of `server`, its host and port.
    """

    def __init__(self, base: Transport, server: str, *, headers: Mapping[str, str], timeout_s: float) -> None:
        self._base, self._headers, self._timeout_s = base, headers, timeout_s
        self._server = server

    async def request(self, method: str, target: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
        try:
            async with asyncio.timeout(self._timeout_s or None):
                return await self._base.request(method, target, headers={**(headers or {}), **self._headers}, body=body)
        except (ConnectionError, TimeoutError) as error:
            raise self._told(error) from error

    @asynccontextmanager
    async def stream(self, method: str, target: str, *, headers: Mapping[str, str] | None = None) -> AsyncIterator[StreamAnswer]:
        try:
            async with (
                asyncio.timeout(self._timeout_s or None),
                self._base.stream(method, target, headers={**(headers or {}), **self._headers}) as answer,
            ):
                yield answer
        except ConnectionError as error:
            # What the reader of the stream raises comes through here too: a closed stdout is not the server's fault.
            if type(error) is not ConnectionError:
                raise
            raise self._told(error) from error

    async def close(self) -> None:
        await self._base.close()

    def _told(self, error: OSError) -> Unreachable:
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        return Unreachable(self._server, cause)
