"""Connections to ports of a pod over one SPDY connection to the API server.

Each forwarded connection is a pair of streams, data and error, which name the port. Source: client-go portforward.
Not here: which ports (commands/port_forward.py), SPDY's frames (machinery.spdy).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.streaming.upgrade import Upgraded, upgrade
from steersman.machinery.spdy import Data, GoAway, Ping, RstStream, SpdyConnection

_PROTOCOL = "portforward.k8s.io"
_CHUNK = 1 << 15


@dataclass(slots=True)
class _Stream:
    """What comes on one stream; empty bytes at its end."""

    number: int
    inbox: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)


class Tunnel:
    """Made by `open_tunnel`. `run()` must go on while connections are forwarded; it returns when the pod's side is lost."""

    def __init__(self, connection: Upgraded) -> None:
        self._connection = connection
        self._spdy = SpdyConnection(server=False)
        self._streams: dict[int, _Stream] = {}
        self._requests = 0

    async def run(self) -> None:
        try:
            while data := await self._connection.reader.read(1 << 18):
                for frame in self._spdy.feed(data):
                    self._take(frame)
        except OSError:
            pass
        finally:
            for stream in self._streams.values():
                stream.inbox.put_nowait(b"")

    async def forward(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        """Carry one connection until both sides are done. What the pod's side says went wrong, or nothing."""
        request, self._requests = str(self._requests), self._requests + 1
        headers = {"port": str(port), "requestid": request}
        errors = await self._open({"streamtype": "error", **headers}, fin=True)
        data = await self._open({"streamtype": "data", **headers})
        said: list[bytes] = []
        try:
            async with asyncio.TaskGroup() as group:
                sending = group.create_task(self._send(data, reader))
                group.create_task(self._receive(data, writer))
                while message := await errors.inbox.get():
                    said.append(message)
                if said:
                    data.inbox.put_nowait(b"")
                    sending.cancel()
        finally:
            self._streams.pop(errors.number, None)
            self._streams.pop(data.number, None)
        return b"".join(said).decode(errors="replace")

    def close(self) -> None:
        self._connection.close()

    async def _open(self, headers: dict[str, str], *, fin: bool = False) -> _Stream:
        number, frame = self._spdy.new_stream(headers, fin=fin)
        stream = self._streams[number] = _Stream(number)
        await self._write(frame)
        return stream

    async def _send(self, stream: _Stream, reader: asyncio.StreamReader) -> None:
        try:
            while data := await reader.read(_CHUNK):
                await self._write(self._spdy.data(stream.number, data))
            await self._write(self._spdy.data(stream.number, b"", fin=True))
        except OSError:
            pass

    async def _receive(self, stream: _Stream, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await stream.inbox.get():
                writer.write(data)
                await writer.drain()
            writer.write_eof()
        except OSError:
            pass

    async def _write(self, frame: bytes) -> None:
        self._connection.writer.write(frame)
        await self._connection.writer.drain()

    def _take(self, frame: object) -> None:
        match frame:
            case Data(number, data, fin):
                stream = self._streams.get(number)
                if stream is not None:
                    if data:
                        stream.inbox.put_nowait(data)
                    if fin:
                        stream.inbox.put_nowait(b"")
            case RstStream(number):
                if (stream := self._streams.get(number)) is not None:
                    stream.inbox.put_nowait(b"")
            case Ping(number) if not self._spdy.is_own(number):
                self._connection.writer.write(self._spdy.ping(number))
            case GoAway():
                self._connection.close()


async def open_tunnel(ctx: Context, target: str) -> Tunnel:
    """Raises as `upgrade` does."""
    headers = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": _PROTOCOL}
    return Tunnel(await upgrade(ctx, "POST", target, headers))
