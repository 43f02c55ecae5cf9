"""LocalTransport: into an API server of the same process, without sockets.

This package can't import the API server (layer rule), so the server side is two callables that cluster/ or the API
server's own adapter provides: one for whole answers, one for streams.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from steersman.client.interface import Answer, StreamAnswer


class Serve(Protocol):
    """Answers a whole request. Header names are lower case."""

    async def __call__(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer: ...


class ServeStream(Protocol):
    """Opens a streamed answer. Leaving the context tells the server that the client is gone."""

    def __call__(self, method: str, target: str, headers: Mapping[str, str]) -> AbstractAsyncContextManager[StreamAnswer]: ...


class LocalTransport:
    """Calls the server directly. `headers` are sent with every request (credentials, if the server wants any)."""

    def __init__(self, serve: Serve, serve_stream: ServeStream, *, headers: Mapping[str, str] | None = None) -> None:
        self._serve, self._serve_stream = serve, serve_stream
        self._headers = {name.lower(): value for name, value in (headers or {}).items()}

    async def request(self, method: str, target: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
        return await self._serve(method, target, self._all(headers), body)

    def stream(
        self, method: str, target: str, *, headers: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[StreamAnswer]:
        return self._serve_stream(method, target, self._all(headers))

    async def close(self) -> None:
        """Nothing is held."""

    def _all(self, headers: Mapping[str, str] | None) -> dict[str, str]:
        sent = {name.lower(): value for name, value in (headers or {}).items()}
        return {**sent, **self._headers}
