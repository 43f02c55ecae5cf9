"""A node's own way to the API servers: a port on loopback, passed on to one of them that answers.

What a node has of the cluster then is one address that never changes, and TLS goes through untouched, from the client to the API
server. All connections go to one server until that fails; the next that answers is kept then. A server that is cut off sends no
word, so connections to it are given up when it does not acknowledge for a few seconds; those to a server that is no longer
listed are given up as well, since it may serve what is old. Which servers there are, apiservers.py learns.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import NamedTuple, cast

from steersman.machinery.clock import Clock
from steersman.machinery.waiting import within

log = logging.getLogger(__name__)

CONNECT_S = 2.0
"""How long one server may take to accept a connection: more than the 1 s after which a lost packet is sent again."""
SILENCE_S = 6
"""How long what was sent may stay unacknowledged. Idle connections are asked as often, so this is when the dead are noticed."""
LEAVING_S = 3.0
"""A server that ends leaves the list first, and then finishes what it was asked."""
_FORMER = 8
_ROUNDS = 2
_EARLY_BYTES = 1 << 16
_NO_LINGER = struct.pack("ii", 1, 0)


class Server(NamedTuple):
    """Address and port of an API server."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Server:
        """host:port. Raises ValueError."""
        host, _, port = text.rpartition(":")
        return cls(host.strip("[]"), int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Balancer:
    """Make it with the servers that were known last, `async with serving(port)`, and `take()` new lists as they come."""

    def __init__(self, servers: Iterable[Server], clock: Clock, rng: random.Random | None = None) -> None:
        self._clock, self._rng = clock, rng or random.Random()
        self._servers = list(dict.fromkeys(servers))
        self._former: list[Server] = []
        self._links: dict[_Half, Server] = {}
        self._group: asyncio.TaskGroup
        self._in_use: Server | None = None

    @property
    def known(self) -> list[Server]:
        """In the order in which they are tried: those that left the list come last, for a day when none of it answers."""
        return [*self._servers, *self._former]

    @property
    def in_use(self) -> Server | None:
        """The one that answered last, None if none did."""
        return self._in_use

    def prefer(self, server: Server) -> None:
        """Leave the others for that one, at once."""
        self._servers = [server, *(other for other in self._servers if other != server)]
        self._abort(lambda other: other != server)

    @contextlib.asynccontextmanager
    async def serving(self, port: int, host: str = "127.0.0.1") -> AsyncIterator[int]:
        """Pass connections on for as long as the block lasts; gives the port. Raises OSError if it is taken."""
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(lambda: _Half(self._accepted), host, port)
        failure: Exception | None = None
        async with asyncio.TaskGroup() as self._group:
            try:
                yield listener.sockets[0].getsockname()[1]
            except Exception as error:
                # The block's own, raised below as it is: the group would wrap it.
                failure = error
            finally:
                listener.close()
                self._abort(lambda _: True)
        if failure is not None:
            raise failure

    def take(self, listed: Sequence[Server]) -> None:
        """The servers there are. Nodes take them in different orders, and each stays with the one it has."""
        if not listed or set(listed) == set(self._servers):
            return
        shuffled = self._rng.sample(sorted(set(listed)), len(set(listed)))
        fresh = sorted(shuffled, key=lambda server: server != self._servers[0] if self._servers else False)
        gone = [server for server in self._servers if server not in fresh]
        former = [server for server in (*gone, *self._former) if server not in fresh]
        self._servers, self._former = fresh, list(dict.fromkeys(former))[:_FORMER]
        log.info("API servers servers=%s", ",".join(map(str, self._servers)))
        if gone:
            self._group.create_task(self._retire())

    async def _retire(self) -> None:
        await self._clock.sleep(LEAVING_S)
        self._abort(lambda server: server in self._former)

    def _abort(self, wanted: Callable[[Server], bool]) -> None:
        for half in [half for half, server in self._links.items() if wanted(server)]:
            half.break_off()

    def _accepted(self, client: _Half) -> None:
        self._group.create_task(self._link(client))

    async def _link(self, client: _Half) -> None:
        found = await self._reach()
        if found is None:
            client.break_off()
            return
        server, upstream = found
        self._links[upstream] = server
        upstream.ended.add_done_callback(lambda _: self._links.pop(upstream, None))
        client.tie(upstream)

    async def _reach(self) -> tuple[Server, _Half] | None:
        for server in self.known * _ROUNDS:
            half = await self._connected(server)
            if half is not None:
                self._tell(server)
                return server, half
            # Others are tried first from now on, unless somebody has seen to that.
            if self._servers[:1] == [server]:
                self._servers.append(self._servers.pop(0))
        self._tell(None)
        return None

    def _tell(self, server: Server | None) -> None:
        """Log a change, and only that."""
        if server == self._in_use:
            return
        if server is None:
            log.warning("no API server answers servers=%s", ",".join(map(str, self.known)))
        else:
            log.info("API server in use server=%s before=%s", server, self._in_use or "none")
        self._in_use = server

    async def _connected(self, server: Server) -> _Half | None:
        half = _Half(_keep_alive)

        async def connecting() -> None:
            await asyncio.get_running_loop().create_connection(lambda: half, server.host, server.port)

        with contextlib.suppress(OSError):
            if await within(self._clock, CONNECT_S, connecting):
                return half
        return None


class _Half(asyncio.Protocol):
    """One side of a connection. What comes before it is tied to the other is kept, at most a few packets."""

    transport: asyncio.Transport

    def __init__(self, made: Callable[[_Half], None]) -> None:
        self._made = made
        self._other: _Half | None = None
        self._early = bytearray()
        self._broken_off = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def tie(self, other: _Half) -> None:
        """Each gets from now on what comes to the other, and its end."""
        for half, peer in ((self, other), (other, self)):
            half._other = peer
            if half._early:
                peer.transport.write(bytes(half._early))
                half._early.clear()
        for half, peer in ((self, other), (other, self)):
            if half.ended.done():
                peer.transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is one in all but its class.
        self.transport = cast(asyncio.Transport, transport)
        self._made(self)

    def data_received(self, data: bytes) -> None:
        if self._other is not None:
            self._other.transport.write(data)
            return
        self._early += data
        if len(self._early) > _EARLY_BYTES:
            self.break_off()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
        if self._other is not None:
            # Broken off here, broken off there: an end in good order would look like the end of an answer.
            (self._other.break_off if exc or self._broken_off else self._other.transport.close)()

    def break_off(self) -> None:
        """By a reset, which the other end takes for nothing else; both sides."""
        if not self.ended.done():
            self._broken_off = True
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self.transport.abort()

    def pause_writing(self) -> None:
        """More was sent than the network took: the other side has to wait."""
        if self._other is not None and not self._other.ended.done():
            self._other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._other is not None and not self._other.ended.done():
            self._other.transport.resume_reading()


def _keep_alive(half: _Half) -> None:
    made = half.transport.get_extra_info("socket")
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, SILENCE_S // 2)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, SILENCE_S // 2)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_S * 1000)
