"""SPDY/3.1 framing without I/O: bytes in, frames out, and the bytes of frames to send. Both ends of a connection.

kubectl and the kubelet carry exec, attach and port-forward over it where WebSockets are not used. Source: SPDY draft 3.1;
the peer is nearly always moby/spdystream. That library keeps no flow control windows: it neither waits for WINDOW_UPDATE
nor sends any, so data is never held back here, and frames of that type are only read and written.
Not here: which streams make up a session (the kubelet's server), sockets.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, TypeAlias

VERSION: Final = 3
FLAG_FIN: Final = 0x01
FLAG_UNIDIRECTIONAL: Final = 0x02

PROTOCOL_ERROR, INVALID_STREAM, REFUSED_STREAM, CANCEL, INTERNAL_ERROR = 1, 2, 3, 5, 6
"""Status codes of RST_STREAM."""

_MAX_ID: Final = 0x7FFFFFFF
_MAX_HEADER_BLOCK: Final = 1 << 20
_MAX_PAYLOAD: Final = (1 << 24) - 1

_NAMES = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length content-location "
    "content-md5 content-range content-type date etag expect expires from host if-match if-modified-since if-none-match "
    "if-range if-unmodified-since last-modified location max-forwards pragma proxy-authenticate proxy-authorization range "
    "referer retry-after server te trailer transfer-encoding upgrade user-agent vary via warning www-authenticate method get "
    "status"
)
_TEXT = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden"
    "404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,"
    "publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)


def _dictionary() -> bytes:
    """The draft's preset dictionary: likely names with their lengths, then likely values."""
    words = [*_NAMES.split(), "200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin"]
    return b"".join(struct.pack(">I", len(word)) + word.encode() for word in words) + _TEXT.encode()


DICTIONARY: Final = _dictionary()


class _Kind(IntEnum):
    """Types of control frames."""

    SYN_STREAM = 1
    SYN_REPLY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    HEADERS = 8
    WINDOW_UPDATE = 9


class SpdyError(Exception):
    """Bytes that are no SPDY/3; the connection is beyond repair."""


@dataclass(frozen=True, slots=True)
class SynStream:
    """The peer opens a stream."""

    stream_id: int
    headers: dict[str, str] = field(default_factory=dict)
    fin: bool = False
    unidirectional: bool = False
    associated_to: int = 0
    priority: int = 0


@dataclass(frozen=True, slots=True)
class SynReply:
    """The peer accepts a stream that this side opened."""

    stream_id: int
    headers: dict[str, str] = field(default_factory=dict)
    fin: bool = False


@dataclass(frozen=True, slots=True)
class RstStream:
    stream_id: int
    status: int


@dataclass(frozen=True, slots=True)
class Settings:
    """values: setting id -> value."""

    values: dict[int, int]


@dataclass(frozen=True, slots=True)
class Ping:
    """To be answered with the same id, unless this side sent it (`SpdyConnection.is_own`)."""

    ping_id: int


@dataclass(frozen=True, slots=True)
class GoAway:
    """The peer opens and accepts no more streams after `last_stream_id`."""

    last_stream_id: int
    status: int = 0


@dataclass(frozen=True, slots=True)
class Headers:
    stream_id: int
    headers: dict[str, str] = field(default_factory=dict)
    fin: bool = False


@dataclass(frozen=True, slots=True)
class WindowUpdate:
    stream_id: int
    delta: int


@dataclass(frozen=True, slots=True)
class Data:
    stream_id: int
    data: bytes
    fin: bool = False


Frame: TypeAlias = SynStream | SynReply | RstStream | Settings | Ping | GoAway | Headers | WindowUpdate | Data


class SpdyConnection:
    """One side of a connection. Frames must be sent in the order in which they were made: headers share one zlib stream."""

    def __init__(self, *, server: bool) -> None:
        self._parity = 0 if server else 1
        self._next_stream_id = 2 if server else 1
        self._buffer = bytearray()
        self._deflate = zlib.compressobj(9, zdict=DICTIONARY)
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)

    def is_own(self, number: int) -> bool:
        """Whether a stream or ping id was given by this side: servers have even numbers, clients odd ones."""
        return number % 2 == self._parity

    # Reading

    def feed(self, data: bytes) -> list[Frame]:
        """The frames completed by these bytes. Raises SpdyError."""
        buffer = self._buffer
        buffer += data
        frames: list[Frame] = []
        start = 0
        while len(buffer) - start >= 8:
            word, size = struct.unpack_from(">II", buffer, start)
            flags, length = size >> 24, size & 0xFFFFFF
            end = start + 8 + length
            if len(buffer) < end:
                break
            payload = bytes(memoryview(buffer)[start + 8 : end])
            start = end
            if word & 0x80000000:
                if word >> 16 & 0x7FFF != VERSION:
                    raise SpdyError(f"unsupported version {word >> 16 & 0x7FFF}")
                frame = self._control(word & 0xFFFF, flags, payload)
                if frame is not None:
                    frames.append(frame)
            else:
                frames.append(Data(word, payload, bool(flags & FLAG_FIN)))
        if start:
            del buffer[:start]
        return frames

    def _control(self, kind: int, flags: int, payload: bytes) -> Frame | None:
        """None for a type that the draft does not know: those are to be ignored."""
        fin = bool(flags & FLAG_FIN)
        try:
            match kind:
                case _Kind.SYN_STREAM:
                    stream_id, associated_to, priority, _slot = struct.unpack_from(">IIBB", payload)
                    return SynStream(
                        stream_id & _MAX_ID,
                        self._read_headers(payload[10:]),
                        fin,
                        bool(flags & FLAG_UNIDIRECTIONAL),
                        associated_to & _MAX_ID,
                        priority >> 5,
                    )
                case _Kind.SYN_REPLY | _Kind.HEADERS:
                    (stream_id,) = struct.unpack_from(">I", payload)
                    made = SynReply if kind == _Kind.SYN_REPLY else Headers
                    return made(stream_id & _MAX_ID, self._read_headers(payload[4:]), fin)
                case _Kind.RST_STREAM:
                    stream_id, status = struct.unpack(">II", payload)
                    return RstStream(stream_id & _MAX_ID, status)
                case _Kind.SETTINGS:
                    (count,) = struct.unpack_from(">I", payload)
                    entries = [struct.unpack_from(">II", payload, 4 + 8 * index) for index in range(min(count, len(payload)))]
                    return Settings({setting & 0xFFFFFF: value for setting, value in entries})
                case _Kind.PING:
                    return Ping(*struct.unpack(">I", payload))
                case _Kind.GOAWAY:
                    last, status = struct.unpack(">II", payload)
                    return GoAway(last & _MAX_ID, status)
                case _Kind.WINDOW_UPDATE:
                    stream_id, delta = struct.unpack(">II", payload)
                    return WindowUpdate(stream_id & _MAX_ID, delta & _MAX_ID)
        except struct.error as error:
            raise SpdyError(f"frame of type {kind} with {len(payload)} bytes: {error}") from None
        return None

    def _read_headers(self, block: bytes) -> dict[str, str]:
        """Every block must pass through the shared zlib stream, whether or not anybody wants its headers."""
        try:
            plain = self._inflate.decompress(block, _MAX_HEADER_BLOCK)
        except zlib.error as error:
            raise SpdyError(f"header block: {error}") from None
        if self._inflate.unconsumed_tail:
            raise SpdyError("header block is too large")
        (count,) = struct.unpack_from(">I", plain)
        headers: dict[str, str] = {}
        at = 4
        for _ in range(count):
            name, at = _read_text(plain, at)
            value, at = _read_text(plain, at)
            headers[name.lower()] = value
        return headers

    # Writing

    def new_stream(self, headers: Mapping[str, str], *, fin: bool = False) -> tuple[int, bytes]:
        """The next stream of this side, and the SYN_STREAM that opens it."""
        stream_id = self._next_stream_id
        self._next_stream_id += 2
        return stream_id, self.syn_stream(stream_id, headers, fin=fin)

    def syn_stream(self, stream_id: int, headers: Mapping[str, str], *, fin: bool = False) -> bytes:
        payload = struct.pack(">IIBB", stream_id, 0, 0, 0) + self._write_headers(headers)
        return _frame(_Kind.SYN_STREAM, payload, FLAG_FIN if fin else 0)

    def syn_reply(self, stream_id: int, headers: Mapping[str, str] | None = None, *, fin: bool = False) -> bytes:
        payload = struct.pack(">I", stream_id) + self._write_headers(headers or {})
        return _frame(_Kind.SYN_REPLY, payload, FLAG_FIN if fin else 0)

    def headers(self, stream_id: int, headers: Mapping[str, str], *, fin: bool = False) -> bytes:
        payload = struct.pack(">I", stream_id) + self._write_headers(headers)
        return _frame(_Kind.HEADERS, payload, FLAG_FIN if fin else 0)

    def data(self, stream_id: int, data: bytes, *, fin: bool = False) -> bytes:
        """One DATA frame, or as many as its size needs; empty data with fin closes this side of the stream."""
        pieces = [data[at : at + _MAX_PAYLOAD] for at in range(0, len(data), _MAX_PAYLOAD)] or [b""]
        last = len(pieces) - 1
        return b"".join(
            struct.pack(">II", stream_id, (FLAG_FIN if fin and index == last else 0) << 24 | len(piece)) + piece
            for index, piece in enumerate(pieces)
        )

    def rst(self, stream_id: int, status: int = CANCEL) -> bytes:
        return _frame(_Kind.RST_STREAM, struct.pack(">II", stream_id, status))

    def settings(self, values: Mapping[int, int]) -> bytes:
        entries = b"".join(struct.pack(">II", setting, value) for setting, value in sorted(values.items()))
        return _frame(_Kind.SETTINGS, struct.pack(">I", len(values)) + entries)

    def ping(self, ping_id: int) -> bytes:
        """A ping of this side's numbering, or the answer to one of the peer's."""
        return _frame(_Kind.PING, struct.pack(">I", ping_id))

    def goaway(self, last_stream_id: int, status: int = 0) -> bytes:
        return _frame(_Kind.GOAWAY, struct.pack(">II", last_stream_id, status))

    def window_update(self, stream_id: int, delta: int) -> bytes:
        return _frame(_Kind.WINDOW_UPDATE, struct.pack(">II", stream_id, delta))

    def _write_headers(self, headers: Mapping[str, str]) -> bytes:
        parts = [struct.pack(">I", len(headers))]
        for name, value in headers.items():
            for text in (name.lower().encode(), value.encode()):
                parts += [struct.pack(">I", len(text)), text]
        return self._deflate.compress(b"".join(parts)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)


def _frame(kind: int, payload: bytes, flags: int = 0) -> bytes:
    return struct.pack(">II", 0x80000000 | VERSION << 16 | kind, flags << 24 | len(payload)) + payload


def _read_text(block: bytes, at: int) -> tuple[str, int]:
    (size,) = struct.unpack_from(">I", block, at)
    end = at + 4 + size
    if end > len(block):
        raise SpdyError("header block ends inside a header")
    return block[at + 4 : end].decode("utf-8", "replace"), end
