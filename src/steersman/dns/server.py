"""The DNS server's sockets: UDP and TCP in, upstream queries out. Answers to repeated questions come from a byte cache."""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Callable
from pathlib import Path
from typing import cast

from steersman.dns import answer
from steersman.dns.zone import Zone

log = logging.getLogger(__name__)

UPSTREAM_TIMEOUT_S = 2.0
_TCP_IDLE_S = 10.0
_CACHE_SIZE = 10_000


def upstream_servers(resolv_conf: Path) -> list[str]:
    """Name servers of a resolv.conf, at most three; loopback ones too, since we run on the host."""
    try:
        lines = resolv_conf.read_text().splitlines()
    except OSError:
        return []
    return [parts[1] for line in lines if len(parts := line.split()) > 1 and parts[0] == "nameserver"][:3]


class DNSServer:
    """Answers from `zone()`; asks `upstream` (read anew per miss) for other names. Runs its work in the given task group."""

    def __init__(self, zone: Callable[[], Zone], upstream: Callable[[], list[str]], group: asyncio.TaskGroup) -> None:
        self._zone, self._upstream, self._group = zone, upstream, group
        self._cache: dict[bytes, bytes] = {}
        self._cached_for: Zone | None = None
        self._transports: list[asyncio.DatagramTransport] = []
        self._server: asyncio.Server | None = None

    async def start(self, address: str, port: int) -> None:
        """Raises OSError if the port is taken."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), local_addr=(address, port))
        self._transports.append(transport)
        self._server = await asyncio.start_server(self._serve_stream, address, port)

    def close(self) -> None:
        for transport in self._transports:
            transport.close()
        if self._server:
            self._server.close()

    def on_datagram(self, data: bytes, reply: Callable[[bytes], None]) -> None:
        cached = self._cached(data)
        if cached is not None:
            reply(cached)
        else:
            self._group.create_task(self._answer_datagram(data, reply))

    def _cached(self, data: bytes) -> bytes | None:
        """The fast path: the same question bytes got an answer from this very zone. Only the id differs."""
        zone = self._zone()
        if zone is not self._cached_for:
            self._cache.clear()
            self._cached_for = zone
        found = self._cache.get(data[2:])
        return data[:2] + found if found is not None else None

    async def _answer_datagram(self, data: bytes, reply: Callable[[bytes], None]) -> None:
        query = answer.parse(data)
        if query is None:
            return
        packed = await self._resolve(query, data, answer.datagram_limit(query))
        reply(packed)

    async def _resolve(self, query: object, data: bytes, limit: int) -> bytes:
        zone = self._zone()
        reply = answer.answer(zone, query)
        if reply is None:
            return await self._forward(data) or answer.failure(query, "SERVFAIL")
        elsewhere = answer.open_end(zone, reply)
        if elsewhere:
            # Stub resolvers do not follow a name by themselves. Not remembered: it is others who say how long that may be.
            theirs = await self._forward(answer.question(elsewhere, reply.q.qtype))
            return answer.fitted(answer.completed(reply, theirs) if theirs else reply, limit)
        packed = answer.fitted(reply, limit)
        # Several addresses are shuffled per answer, so only single ones are cached.
        if len(reply.rr) < 2 and zone is self._cached_for and limit < 0xFFFF:
            if len(self._cache) >= _CACHE_SIZE:
                self._cache.clear()
            self._cache[data[2:]] = packed[2:]
        return packed

    async def _serve_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                async with asyncio.timeout(_TCP_IDLE_S):
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    data = await reader.readexactly(length)
                query = answer.parse(data)
                if query is None:
                    return
                packed = await self._resolve(query, data, 0xFFFF)
                writer.write(struct.pack("!H", len(packed)) + packed)
                await writer.drain()
        except (asyncio.IncompleteReadError, TimeoutError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _forward(self, data: bytes) -> bytes | None:
        """The first upstream server's answer, None if none answers."""
        for server in self._upstream():
            try:
                async with asyncio.timeout(UPSTREAM_TIMEOUT_S):
                    return await _ask(server, data)
            except (TimeoutError, OSError) as fault:
                log.debug("upstream did not answer server=%s error=%s", server, fault)
        return None


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DNSServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not isinstance: uvloop's datagram transports are none of asyncio's classes.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        transport = self._transport
        if transport is not None and len(data) > 12:
            self._server.on_datagram(data, lambda packed: transport.sendto(packed, address))


class _Question(asyncio.DatagramProtocol):
    """One question upstream; only an answer with its id counts."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, _address: tuple[str, int]) -> None:
        if data[:2] == self._data[:2] and not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, fault: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(fault)


async def _ask(server: str, data: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    transport, question = await loop.create_datagram_endpoint(lambda: _Question(data), remote_addr=(server, 53))
    try:
        transport.sendto(data)
        return await question.answer
    finally:
        transport.close()
