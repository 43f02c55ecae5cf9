"""The streaming server beside the socket: Exec, Attach and PortForward answer with a URL of it, where the client goes next.

On loopback, in plain HTTP with SPDY, as containerd's: the token in the URL is good for one connection within a minute. Not here:
WebSockets. Source: upstream kubelet/pkg/cri/streaming.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Self

from steersman.cri.interface import Terminal, Tunnel
from steersman.cri.server import sessions
from steersman.cri.server.spdyserver import ServerSession
from steersman.machinery.clock import Clock
from steersman.machinery.waiting import within

log = logging.getLogger(__name__)

TOKEN_S = 60.0
_MOST_TOKENS = 1000
_HEAD_S = 10.0
Serve = Callable[[ServerSession], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Ticket:
    """What a URL leads to. until: on the monotonic clock."""

    protocol: str
    serve: Serve
    until: float


class Refused(Exception):
    """A request that is no upgrade we know; the status line is its text."""


class StreamServer:
    """Use as a context manager; it listens once a URL was asked for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tickets: dict[str, _Ticket] = {}
        self._open: set[ServerSession] = set()
        self._listening = asyncio.Lock()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *details: Any) -> None:
        if self._server is not None:
            self._server.close()
        for session in tuple(self._open):
            session.close()

    async def command(self, opened: Callable[[], Awaitable[Terminal]], kinds: frozenset[str]) -> str:
        """A URL for exec or attach. kinds: of the streams that the client will open, beside `error`."""
        return await self._url("v4.channel.k8s.io", lambda session: sessions.command(session, opened, kinds, self._clock))

    async def ports(self, dial: Callable[[int], Awaitable[Tunnel]]) -> str:
        """A URL for port-forwarding."""
        return await self._url("portforward.k8s.io", lambda session: sessions.ports(session, dial))

    async def _url(self, protocol: str, serve: Serve) -> str:
        async with self._listening:
            if self._server is None:
                self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        now = self._clock.monotonic()
        self._tickets = {token: each for token, each in self._tickets.items() if each.until > now}
        if len(self._tickets) >= _MOST_TOKENS:
            self._tickets.pop(next(iter(self._tickets)))
        token = secrets.token_urlsafe(18)
        self._tickets[token] = _Ticket(protocol, serve, now + TOKEN_S)
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"http://{host}:{port}/{token}"

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session: ServerSession | None = None
        try:
            ticket = await self._upgraded(reader, writer)
            if ticket is None:
                return
            session = ServerSession(reader, writer)
            self._open.add(session)
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(session.run())
                await ticket.serve(session)
                await session.finish(self._clock)
                reading.cancel()
        except* (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as errors:
            log.debug("streaming client is gone error=%s", errors.exceptions[0])
        finally:
            if session is not None:
                self._open.discard(session)
            writer.close()

    async def _upgraded(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Ticket | None:
        """Answer the request's head; what it leads to, None if it was refused."""
        head: list[bytes] = []

        async def read() -> None:
            head.append(await reader.readuntil(b"\r\n\r\n"))

        try:
            if not await within(self._clock, _HEAD_S, read):
                raise Refused("408 Request Timeout")
            ticket = self._ticket(head[0].decode("latin-1").split("\r\n"))
        except Refused as refusal:
            writer.write(f"HTTP/1.1 {refusal}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()
            return None
        answer = ("Connection: Upgrade", "Upgrade: SPDY/3.1", f"X-Stream-Protocol-Version: {ticket.protocol}")
        writer.write("\r\n".join(["HTTP/1.1 101 Switching Protocols", *answer, "", ""]).encode())
        return ticket

    def _ticket(self, lines: list[str]) -> _Ticket:
        """Of a request's lines. Raises Refused. A ticket is only used up by a request that is in order."""
        method, _, rest = lines[0].partition(" ")
        token = rest.partition(" ")[0].partition("?")[0].removeprefix("/")
        fields = [(name.strip().lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])]
        ticket = self._tickets.get(token)
        if ticket is None or ticket.until <= self._clock.monotonic():
            raise Refused("404 Not Found")
        if method not in ("GET", "POST"):
            raise Refused("405 Method Not Allowed")
        offered = {word.strip() for name, value in fields if name == "x-stream-protocol-version" for word in value.split(",")}
        if ("upgrade", "spdy/3.1") not in [(name, value.lower()) for name, value in fields] or ticket.protocol not in offered:
            raise Refused("400 Bad Request")
        del self._tickets[token]
        return ticket
