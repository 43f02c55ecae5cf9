"""The server's side of a SPDY session: streams that the client opens. What both sides do is remote/spdyclient.py's."""

from __future__ import annotations

import asyncio

from steersman.cri.remote.spdyclient import ClientStream, Session
from steersman.machinery.clock import Clock
from steersman.machinery.spdy import SpdyConnection, SynStream
from steersman.machinery.waiting import within

_PARTING_S = 5.0
_MOST_STREAMS = 1000


class ServerSession(Session):
    """`run()` reads until the connection ends; `opened` gives (headers, stream), and None at the end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self._spdy = SpdyConnection(server=True)
        self.opened: asyncio.Queue[tuple[dict[str, str], ClientStream] | None] = asyncio.Queue()
        self._over = asyncio.Event()

    async def _handle(self, frame: object) -> None:
        match frame:
            case SynStream(stream_id, headers, fin) if len(self._streams) < _MOST_STREAMS:
                stream = self._streams[stream_id] = ClientStream(self, stream_id)
                self._write(self._spdy.syn_reply(stream_id))
                if fin:
                    stream.end()
                self.opened.put_nowait((headers, stream))
            case _:
                await super()._handle(frame)

    def forget(self, *streams: ClientStream) -> None:
        """They are done with, though the client may still be sending: the session's other streams must not wait for that."""
        for stream in streams:
            self._streams.pop(stream.id, None)
            stream.end()

    async def finish(self, clock: Clock) -> None:
        """End it once all that was written has arrived: closed at once, what the client sent last would take our end away."""
        if not self._writer.is_closing():
            try:
                self._writer.write_eof()
            except OSError:
                pass
            await within(clock, _PARTING_S, self._over.wait)
        self.close()

    def close(self) -> None:
        super().close()
        self._over.set()
        self.opened.put_nowait(None)
