"""The server side of the in-process transport (client/local.py): requests without sockets, as a given user."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import unquote

from steersman.apiserver.http import Handler, Request, Response, warning_headers
from steersman.client.interface import Answer, StreamAnswer
from steersman.client.local import LocalTransport


class _Streamed:
    def __init__(self, response: Response) -> None:
        self.status = response.status
        self._response = response

    async def chunks(self) -> AsyncIterator[bytes]:
        if self._response.chunks is None:
            yield self._response.whole()
            return
        async for chunk in self._response.chunks:
            yield chunk


def transport(handler: Handler) -> LocalTransport:
    """A client transport whose server is `handler` (APIServer.handler, or Pipeline.acting_as of a user)."""

    async def serve(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        response = await handler(_request(method, target, headers, body))
        if response.chunks is not None:
            pieces = [chunk async for chunk in response.chunks]
            return Answer(response.status, _headers(response), b"".join(pieces))
        return Answer(response.status, _headers(response), response.whole())

    def serve_stream(method: str, target: str, headers: Mapping[str, str]) -> AbstractAsyncContextManager[StreamAnswer]:
        return _stream(handler, _request(method, target, headers, b""))

    return LocalTransport(serve, serve_stream)


@asynccontextmanager
async def _stream(handler: Handler, request: Request) -> AsyncIterator[StreamAnswer]:
    response = await handler(request)
    try:
        yield _Streamed(response)
    finally:
        close: Any = getattr(response.chunks, "aclose", None)
        if close is not None:
            await close()


def _request(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Request:
    path, _, query = target.partition("?")

    async def read_body() -> bytes:
        return body

    return Request(method, unquote(path), query, headers, remote="in-process", read_body=read_body)


def _headers(response: Response) -> dict[str, str]:
    found = {"content-type": response.content_type, **{name.lower(): value for name, value in response.headers.items()}}
    if response.warnings:
        found["warning"] = ", ".join(warning_headers(response.warnings))
    return found
