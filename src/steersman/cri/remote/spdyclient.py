"""The client's side of a SPDY session with a runtime's streaming server: upgrade, streams opened here, bytes both ways.

The framing is machinery.spdy's; which streams make up an exec or a port-forward is streams.py's. Runtimes serve these URLs on
loopback, in plain HTTP or with a certificate that nobody vouches for: the token in the URL is what keeps others out.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Mapping
from urllib.parse import urlsplit

from steersman.cri.interface import RuntimeFault
from steersman.machinery.spdy import Data, Headers, Ping, RstStream, SpdyConnection, SpdyError

log = logging.getLogger(__name__)

CONNECT_S = 10.0
_QUEUED = 256
"""Pieces a stream may have waiting before the whole session is read no further: SPDY's peers know no windows."""
_READ = 64 * 1024
_REFUSAL_SHOWN = 500


class ClientStream:
    """A stream opened here."""

    def __init__(self, session: Session, stream_id: int) -> None:
        self.id = stream_id
        self._session = session
        self._pieces: deque[bytes] = deque()
        self._ended = False
        self._closed = False
        self._news, self._room = asyncio.Event(), asyncio.Event()

    async def read(self) -> bytes | None:
        """The next piece; None once the other side has ended the stream or the session."""
        while not self._pieces:
            if self._ended:
                return None
            self._news.clear()
            await self._news.wait()
        self._room.set()
        return self._pieces.popleft()

    async def read_all(self) -> bytes:
        whole = b""
        while (piece := await self.read()) is not None:
            whole += piece
        return whole

    async def write(self, data: bytes) -> None:
        """What the other side does not want any more is dropped."""
        if data and not self._closed:
            await self._session.send(self.id, data)

    async def close_write(self) -> None:
        if not self._closed:
            self._closed = True
            await self._session.send(self.id, b"", fin=True)

    async def feed(self, data: bytes) -> None:
        """Called by the session."""
        while len(self._pieces) >= _QUEUED and not self._ended:
            self._room.clear()
            await self._room.wait()
        self._pieces.append(data)
        self._news.set()

    def end(self) -> None:
        """Called by the session: nothing more comes."""
        self._ended = True
        self._news.set()
        self._room.set()


class Session:
    """Made by `connect()`. `run()` reads until the connection ends and belongs in a task."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._spdy = SpdyConnection(server=False)
        self._streams: dict[int, ClientStream] = {}

    def open(self, headers: Mapping[str, str]) -> ClientStream:
        stream_id, frame = self._spdy.new_stream(headers)
        stream = self._streams[stream_id] = ClientStream(self, stream_id)
        self._write(frame)
        return stream

    async def run(self) -> None:
        """Never raises for what the peer does."""
        try:
            while data := await self._reader.read(_READ):
                for frame in self._spdy.feed(data):
                    await self._handle(frame)
        except (SpdyError, OSError) as error:
            log.debug("SPDY session ended error=%s", error)
        finally:
            self.close()

    async def _handle(self, frame: object) -> None:
        match frame:
            case Data(stream_id, data, fin) if stream_id in self._streams:
                stream = self._streams[stream_id]
                if data:
                    await stream.feed(data)
                if fin:
                    stream.end()
            case RstStream(stream_id) | Headers(stream_id, _, True) if stream_id in self._streams:
                self._streams[stream_id].end()
            case Ping(ping_id) if not self._spdy.is_own(ping_id):
                self._write(self._spdy.ping(ping_id))

    async def send(self, stream_id: int, data: bytes, *, fin: bool = False) -> None:
        self._write(self._spdy.data(stream_id, data, fin=fin))
        try:
            await self._writer.drain()
        except OSError as error:
            log.debug("SPDY peer is gone error=%s", error)

    def _write(self, frame: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(frame)

    def close(self) -> None:
        """At once; `run()` ends with it."""
        for stream in self._streams.values():
            stream.end()
        self._writer.transport.abort()


async def connect(url: str, protocols: tuple[str, ...]) -> Session:
    """Upgrade a connection to what a runtime's Exec, Attach or PortForward named. Raises RuntimeFault."""
    parts = urlsplit(url)
    host, tls = parts.hostname or "", _trusting() if parts.scheme == "https" else None
    lines = [
        f"POST {parts.path}{'?' + parts.query if parts.query else ''} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Connection: Upgrade",
        "Upgrade: SPDY/3.1",
        *(f"X-Stream-Protocol-Version: {protocol}" for protocol in protocols),
        "Content-Length: 0",
    ]
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(host, parts.port or (443 if tls else 80), ssl=tls)
            writer.write("\r\n".join([*lines, "", ""]).encode())
            head = await reader.readuntil(b"\r\n\r\n")
            if head.split(b" ", 2)[1] != b"101":
                text = (await reader.read(_REFUSAL_SHOWN)).decode(errors="replace").strip()
                raise RuntimeFault(f"the container runtime refused the stream: {text or head.splitlines()[0].decode()}")
    except BaseException as error:
        if writer is not None:
            writer.transport.abort()
        if isinstance(error, TimeoutError):
            raise RuntimeFault(f"the container runtime's streaming server did not answer within {CONNECT_S:g} s") from error
        if isinstance(error, (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, IndexError)):
            raise RuntimeFault(f"the container runtime's streaming server at {host} cannot be reached: {error}") from error
        raise
    return Session(reader, writer)


def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
