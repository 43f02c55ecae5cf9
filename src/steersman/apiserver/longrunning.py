"""A streamed answer that tells when it is over, however it ends: read to its end, closed, or never begun."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any


class Ending:
    """`chunks`, and `over()` once, after them."""

    def __init__(self, chunks: AsyncIterator[bytes], over: Callable[[], None]) -> None:
        self._chunks, self._over = chunks, over
        self._ended = False

    def __aiter__(self) -> Ending:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._chunks.__anext__()
        except BaseException:
            self._end()
            raise

    async def aclose(self) -> None:
        self._end()
        close: Any = getattr(self._chunks, "aclose", None)
        if close is not None:
            await close()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._over()
