"""One gRPC call with one answer, over a connection of its own: plain HTTP/2, no TLS.

HTTP/2 is the h2 library's, which does no I/O of its own: a gRPC library would bring threads and fork handlers into the process
that starts containers. gRPC probes (probes/grpchealth.py) and CSI drivers (volumes/csi) are asked this way. What is not here: the
messages, time limits, how to connect. Source: grpc/doc/PROTOCOL-HTTP2.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError

from steersman.kubelet.grpcstatus import (
    INTERNAL,
    OK,
    PERMISSION_DENIED,
    RESOURCE_EXHAUSTED,
    UNAUTHENTICATED,
    UNAVAILABLE,
    UNIMPLEMENTED,
    UNKNOWN,
    CallFailed,
)

_BY_HTTP = {
    400: INTERNAL,
    401: UNAUTHENTICATED,
    403: PERMISSION_DENIED,
    404: UNIMPLEMENTED,
    429: UNAVAILABLE,
    502: UNAVAILABLE,
    503: UNAVAILABLE,
    504: UNAVAILABLE,
}
"""gRPC's reading of answers that are not from a gRPC server."""
_PIECE = 64 * 1024
MOST = 64 * 1024
"""The longest answer that is taken, in bytes. What is asked here is small, and nobody says that the other side is well."""


async def unary(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    authority: str,
    path: str,
    message: bytes,
    agent: str,
    greeted: Callable[[], None] = lambda: None,
) -> bytes:
    """The answer's message. `path`: `/package.Service/Method`. The connection stays the caller's to close.

    greeted: called when the other side has shown that it speaks HTTP/2; what goes wrong until then is an OSError. Raises
    CallFailed, OSError.
    """
    http = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    http.initiate_connection()
    stream = http.get_next_available_stream_id()
    headers = [
        (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", authority),
        ("content-type", "application/grpc"), ("user-agent", agent), ("te", "trailers"),
    ]  # fmt: skip
    http.send_headers(stream, headers)
    left = _send(http, stream, _framed(message))
    answer = _Answer(stream)
    while not answer.over:
        writer.write(http.data_to_send())
        await writer.drain()
        piece = await reader.read(_PIECE)
        try:
            events = http.receive_data(piece) if piece else []
        except (ProtocolError, UnicodeDecodeError) as error:
            raise _lost(answer, f"connection error: {error}") from None
        if not piece:
            raise _lost(answer, "error reading from server: EOF")
        for event in events:
            if isinstance(event, RemoteSettingsChanged) and not answer.greeted:
                answer.greeted = True
                greeted()
            answer.take(event)
        if left and not answer.over:
            left = _send(http, stream, left)
    return answer.message()


def _send(http: H2Connection, stream: int, data: bytes) -> bytes:
    """As much as the other side takes now; the rest."""
    while data:
        size = min(http.local_flow_control_window(stream), http.max_outbound_frame_size, len(data))
        if size <= 0:
            break
        http.send_data(stream, data[:size], end_stream=size == len(data))
        data = data[size:]
    return data


def _lost(answer: _Answer, text: str) -> Exception:
    return CallFailed(UNAVAILABLE, text) if answer.greeted else ConnectionError(text)


@dataclass(slots=True)
class _Answer:
    """What has come of the answer so far."""

    stream: int
    greeted: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    over: bool = False

    def take(self, event: Event) -> None:
        """Raises CallFailed when nothing more will come."""
        if isinstance(event, ResponseReceived | TrailersReceived):
            self.headers.update((_text(name), _text(value)) for name, value in event.headers)
        elif isinstance(event, DataReceived):
            self.body += event.data
            if len(self.body) > MOST:
                raise CallFailed(
                    RESOURCE_EXHAUSTED, f"grpc: received message larger than max ({len(self.body)} vs. {MOST})"
                )  # fmt: skip
        elif isinstance(event, StreamEnded):
            self.over = True
        elif isinstance(event, StreamReset):
            raise CallFailed(INTERNAL, f"stream terminated by RST_STREAM with error code: {_error(event.error_code)}")
        elif isinstance(event, ConnectionTerminated) and (event.last_stream_id or 0) < self.stream:
            # A server that takes leave still answers what it has taken.
            raise CallFailed(UNAVAILABLE, f"connection closed by the server: {_error(event.error_code)}")

    def message(self) -> bytes:
        """Raises CallFailed."""
        http = self.headers.get(":status", "")
        if "grpc-status" not in self.headers:
            code = _BY_HTTP.get(_number(http), UNKNOWN) if _number(http) not in (-1, 200) else INTERNAL
            raise CallFailed(code, f"unexpected HTTP status code received from server: {http or 'none'}")
        code = _number(self.headers["grpc-status"])
        if code < 0:
            code = UNKNOWN
        if code != OK:
            raise CallFailed(code, unquote(self.headers.get("grpc-message", "")))
        body = bytes(self.body)
        if len(body) < 5 or body[0] != 0 or len(body) - 5 != int.from_bytes(body[1:5], "big"):
            raise CallFailed(INTERNAL, "malformed response")
        return body[5:]


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def _number(text: str) -> int:
    """-1 if it is none: there are digits that are no numbers."""
    return int(text) if text.isascii() and text.isdigit() else -1


def _error(code: ErrorCodes | int | None) -> str:
    return code.name if isinstance(code, ErrorCodes) else str(code)


def _framed(message: bytes) -> bytes:
    """gRPC's frame: not compressed, length, message."""
    return b"\x00" + len(message).to_bytes(4, "big") + message
