"""One call of grpc.health.v1.Health/Check as gRPC probes make it: plain HTTP/2, no TLS, one connection per call.

HTTP/2 is the h2 library's, which does no I/O of its own: a gRPC library would bring threads and fork handlers into the process
that starts containers. The messages are two fields, so protobuf is not needed either. Source: upstream pkg/probe/grpc,
grpc/health/v1/health.proto. What is not here: the time limit and what an answer means for the container (handlers.py).
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

PATH = "/grpc.health.v1.Health/Check"
SERVING = "SERVING"
UNIMPLEMENTED, UNAVAILABLE, INTERNAL, UNKNOWN = 12, 14, 13, 2
_STATUSES = ("UNKNOWN", SERVING, "NOT_SERVING", "SERVICE_UNKNOWN")
_CODES = (
    "OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists", "PermissionDenied",
    "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented", "Internal", "Unavailable", "DataLoss",
    "Unauthenticated",
)  # fmt: skip
_BY_HTTP = {
    400: INTERNAL,
    401: 16,
    403: 7,
    404: UNIMPLEMENTED,
    429: UNAVAILABLE,
    502: UNAVAILABLE,
    503: UNAVAILABLE,
    504: UNAVAILABLE,
}
"""gRPC's reading of answers that are not from a gRPC server."""
_PIECE = 64 * 1024
_MOST = 64 * 1024
"""An answer is a few bytes; a server that sends more than this is none."""


class CallFailed(Exception):
    """The call ended with another code than OK."""

    def __init__(self, code: int, message: str) -> None:
        name = _CODES[code] if code < len(_CODES) else f"Code({code})"
        super().__init__(f"rpc error: code = {name} desc = {message}")
        self.code, self.message = code, message


async def check(host: str, port: int, service: str, agent: str, greeted: Callable[[], None]) -> str:
    """The status of the service (empty: of the server) in the protocol's words.

    greeted: called when the other side has shown that it speaks HTTP/2; what goes wrong until then is an OSError, since upstream
    counts it as connecting. Raises CallFailed, OSError.
    """
    reader, writer = await asyncio.open_connection(host, port)
    try:
        name = f"[{host}]" if ":" in host else host
        return await _call(reader, writer, f"{name}:{port}", service, agent, greeted)
    finally:
        writer.close()


async def _call(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    authority: str,
    service: str,
    agent: str,
    greeted: Callable[[], None],
) -> str:
    http = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    http.initiate_connection()
    stream = http.get_next_available_stream_id()
    headers = [
        (":method", "POST"), (":scheme", "http"), (":path", PATH), (":authority", authority),
        ("content-type", "application/grpc"), ("user-agent", agent), ("te", "trailers"),
    ]  # fmt: skip
    http.send_headers(stream, headers)
    http.send_data(stream, _framed(_request(service)), end_stream=True)
    answer = _Answer(stream)
    while not answer.over:
        writer.write(http.data_to_send())
        await writer.drain()
        piece = await reader.read(_PIECE)
        try:
            events = http.receive_data(piece) if piece else []
        except ProtocolError as error:
            raise _lost(answer, f"connection error: {error}") from None
        if not piece:
            raise _lost(answer, "error reading from server: EOF")
        for event in events:
            if isinstance(event, RemoteSettingsChanged) and not answer.greeted:
                answer.greeted = True
                greeted()
            answer.take(event)
    return answer.status()


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
            if len(self.body) > _MOST:
                raise CallFailed(8, f"grpc: received message larger than max ({len(self.body)} vs. {_MOST})")
        elif isinstance(event, StreamEnded):
            self.over = True
        elif isinstance(event, StreamReset):
            raise CallFailed(INTERNAL, f"stream terminated by RST_STREAM with error code: {_error(event.error_code)}")
        elif isinstance(event, ConnectionTerminated) and (event.last_stream_id or 0) < self.stream:
            # A server that takes leave still answers what it has taken.
            raise CallFailed(UNAVAILABLE, f"connection closed by the server: {_error(event.error_code)}")

    def status(self) -> str:
        """Raises CallFailed."""
        http = self.headers.get(":status", "")
        if "grpc-status" not in self.headers:
            code = _BY_HTTP.get(int(http), UNKNOWN) if http.isdigit() and http != "200" else INTERNAL
            raise CallFailed(code, f"unexpected HTTP status code received from server: {http or 'none'}")
        code = int(self.headers["grpc-status"]) if self.headers["grpc-status"].isdigit() else UNKNOWN
        if code != 0:
            raise CallFailed(code, unquote(self.headers.get("grpc-message", "")))
        number = _status_number(bytes(self.body))
        return _STATUSES[number] if number < len(_STATUSES) else str(number)


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def _error(code: ErrorCodes | int | None) -> str:
    return code.name if isinstance(code, ErrorCodes) else str(code)


def _varint(number: int) -> bytes:
    made = bytearray()
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    made.append(number)
    return bytes(made)


def _request(service: str) -> bytes:
    """HealthCheckRequest: field 1 is the service's name."""
    name = service.encode()
    return b"\x0a" + _varint(len(name)) + name if name else b""


def _framed(message: bytes) -> bytes:
    """gRPC's frame: not compressed, length, message."""
    return b"\x00" + len(message).to_bytes(4, "big") + message


def _status_number(body: bytes) -> int:
    """HealthCheckResponse: field 1 is the status; without it, 0. Raises CallFailed."""
    if len(body) < 5 or body[0] != 0 or len(body) - 5 != int.from_bytes(body[1:5], "big"):
        raise CallFailed(INTERNAL, "malformed health check response")
    message = body[5:]
    if not message:
        return 0
    if message[0] != 0x08:
        raise CallFailed(INTERNAL, "malformed health check response")
    number = shift = 0
    for byte in message[1:]:
        number |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return number
    raise CallFailed(INTERNAL, "malformed health check response")
