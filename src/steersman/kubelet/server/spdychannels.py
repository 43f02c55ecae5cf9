"""exec and attach over SPDY: one stream each for error, stdin, stdout, stderr and resize (protocols v1 to v4).

Source: upstream kubelet/pkg/cri/streaming/remotecommand/httpstream.go.
"""

from __future__ import annotations

import asyncio
import json

from steersman.kubelet.server.channels import Channel
from steersman.kubelet.server.remotecommand import Wanted
from steersman.kubelet.server.spdysession import SpdySession, SpdyStream
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj
from steersman.machinery.waiting import within

PROTOCOLS = ("v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
OPEN_LIMIT_S = 30.0
"""How long the client may take to open its streams."""

_TYPES = {
    "error": Channel.ERROR,
    "stdin": Channel.STDIN,
    "stdout": Channel.STDOUT,
    "stderr": Channel.STDERR,
    "resize": Channel.RESIZE,
}


class SpdyChannels:
    """Implements channels.Channels."""

    def __init__(self, session: SpdySession, protocol: str, group: asyncio.TaskGroup) -> None:
        self._session, self._protocol, self._group = session, protocol, group
        self.tasks: list[asyncio.Task[None]] = []
        """Reading tasks in the group, to be cancelled at the end."""
        self._streams: dict[Channel, SpdyStream] = {}
        self._input: asyncio.Queue[tuple[Channel, bytes] | None] = asyncio.Queue(1)

    async def open(self, wanted: Wanted, clock: Clock) -> bool:
        """Wait for the client's streams. False if it did not open them in time."""
        expected = {Channel.ERROR}
        for channel, asked in ((Channel.STDIN, wanted.stdin), (Channel.STDOUT, wanted.stdout), (Channel.STDERR, wanted.stderr)):
            if asked:
                expected.add(channel)
        if wanted.tty and self._protocol in PROTOCOLS[:2]:
            expected.add(Channel.RESIZE)

        async def collect() -> None:
            while not expected <= self._streams.keys():
                stream = await self._session.accept()
                if stream is None:
                    return
                channel = _TYPES.get(stream.headers.get("streamtype", ""))
                if channel is not None:
                    self._streams[channel] = stream

        if not await within(clock, OPEN_LIMIT_S, collect) or not expected <= self._streams.keys():
            return False
        readers = [self._until_gone()]
        if Channel.STDIN in self._streams:
            readers.append(self._read_stdin(self._streams[Channel.STDIN]))
        if Channel.RESIZE in self._streams:
            readers.append(self._read_sizes(self._streams[Channel.RESIZE]))
        self.tasks += [self._group.create_task(reader) for reader in readers]
        return True

    async def _until_gone(self) -> None:
        while await self._session.accept() is not None:
            pass
        await self._input.put(None)

    async def _read_stdin(self, stream: SpdyStream) -> None:
        while data := await stream.read():
            await self._input.put((Channel.STDIN, data))
        await self._input.put((Channel.STDIN, b""))

    async def _read_sizes(self, stream: SpdyStream) -> None:
        """JSON objects one after the other, cut anywhere."""
        decoder, text = json.JSONDecoder(), ""
        while data := await stream.read():
            text = (text + data.decode("utf-8", "replace")).lstrip()
            while text:
                try:
                    size, end = decoder.raw_decode(text)
                except ValueError:
                    break
                text = text[end:].lstrip()
                await self._input.put((Channel.RESIZE, json.dumps(size).encode()))

    async def receive(self) -> tuple[Channel, bytes] | None:
        return await self._input.get()

    async def send(self, channel: Channel, data: bytes) -> None:
        stream = self._streams.get(channel)
        if stream is not None:
            await stream.write(data)

    async def finish(self, status: Obj) -> None:
        error = self._streams[Channel.ERROR]
        if self._protocol == PROTOCOLS[0]:
            await error.write(json.dumps(status, separators=(",", ":")).encode())
        elif status["status"] != "Success":
            await error.write(str(status.get("message") or "").encode())
        for channel in (Channel.STDOUT, Channel.STDERR, Channel.ERROR):
            if channel in self._streams:
                await self._streams[channel].close_write()
        await self._session.close()
