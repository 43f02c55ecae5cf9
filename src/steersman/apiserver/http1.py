"""HTTP/1.1 request parsing, sans I/O: heads by hand (a request's most frequent cost), bodies by length or in chunks.

Strict where leniency has been abused (RFC 9112 sections 2.2, 5.1, 6.1, 6.3, 7.1): no folded lines, no space before a colon, no
line ends but CRLF, no request with both a length and chunks, no differing lengths. And bounded: heads, chunk lines, and what a
chunked body has besides data.
"""

from __future__ import annotations

from dataclasses import dataclass

HEAD_LIMIT = 256 * 1024
"""Room for a selector of thousands of names. Upstream's is a megabyte; each byte of it is work before anybody is known."""
_CHUNK_LINE_LIMIT = 4096
_OVERHEAD_LIMIT = 16 * 1024
"""What chunk lines may take beyond what honest ones do (Go's rule), and how long trailers may be together."""
_LONGEST_NUMBER = 18
_CONTROLS = bytes(number for number in (*range(32), 127) if number not in b"\t\r\n")
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_HEX = b"0123456789abcdefABCDEF"
_TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


class Malformed(Exception):
    """The bytes are no HTTP request; `status` is the answer, after which the connection is closed."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(slots=True)
class Fields:
    """The headers of a request, with what they say of its body and connection. Names are lower case; `repeated` has all values
    of those sent more than once.

    length -1: the body comes in chunks.
    """

    block: bytes
    headers: dict[str, str]
    repeated: dict[str, tuple[str, ...]]
    length: int
    connection: str


@dataclass(slots=True)
class Head:
    """A request's line and headers."""

    method: str
    target: str
    keep_alive: bool
    fields: Fields


def parse_head(data: bytes, before: Fields | None = None) -> Head:
    """The head, without its final empty line. Raises Malformed.

    before: those of the connection's last request, as most clients send the same each time. They are shared then: never change
    them.
    """
    line, _, block = data.partition(b"\r\n")
    words = line.decode("latin-1").split(" ")
    if len(words) != 3 or not words[0] or not words[1]:
        raise Malformed(400, "malformed request line")
    method, target, version = words
    if method not in _METHODS and not _TOKEN.issuperset(method.encode("latin-1")):
        raise Malformed(400, "malformed request line")
    if not target.isprintable() or not target.isascii():
        target = _cleaned(target)
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        raise Malformed(505, "only HTTP/1.1 is spoken here")
    fields = before if before is not None and before.block == block else _parse_fields(block)
    keep_alive = "close" not in fields.connection if version == "HTTP/1.1" else "keep-alive" in fields.connection
    if not target.startswith("/"):
        target = _origin_form(method, target)
    return Head(method, target, keep_alive, fields)


def _parse_fields(block: bytes) -> Fields:
    headers: dict[str, str] = {}
    lines = block.decode("latin-1").split("\r\n") if block else []
    ends = max(len(lines) - 1, 0)
    if block.count(b"\n") != ends or block.count(b"\r") != ends or len(block.translate(None, _CONTROLS)) != len(block):
        raise Malformed(400, "malformed header line")
    more: dict[str, list[str]] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.issuperset(name.encode("latin-1")) or not name:
            raise Malformed(400, "malformed header line")
        name = name.lower()
        value = value.strip(" \t")
        if name in headers:
            more.setdefault(name, [headers[name]]).append(value)
        else:
            headers[name] = value
    repeated = {name: tuple(values) for name, values in more.items()}
    return Fields(block, headers, repeated, _length(headers, repeated), headers.get("connection", "").lower())


def _cleaned(target: str) -> str:
    """A target with characters that should have been escaped: bytes beyond ASCII are taken as UTF-8, as Go does."""
    if any(char <= " " or char == "\x7f" for char in target):
        raise Malformed(400, "malformed request target")
    return target.encode("latin-1").decode("utf-8", "replace")


def _origin_form(method: str, target: str) -> str:
    if method == "OPTIONS" and target == "*":
        return "/"
    _, found, rest = target.partition("://")
    if not found:
        raise Malformed(400, "malformed request target")
    _, slash, path = rest.partition("/")
    return slash + path if slash else "/"


def _length(headers: dict[str, str], repeated: dict[str, tuple[str, ...]]) -> int:
    coding = headers.get("transfer-encoding")
    text = headers.get("content-length")
    if coding is not None:
        if text is not None or "transfer-encoding" in repeated:
            raise Malformed(400, "malformed transfer-encoding")
        if coding.lower() != "chunked":
            raise Malformed(501, "unsupported transfer encoding")
        return -1
    if text is None:
        return 0
    is_number = text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER
    if not is_number or any(value != text for value in repeated.get("content-length", ())):
        raise Malformed(400, "malformed content-length")
    return int(text)


class Body:
    """Takes a body off the front of a buffer, as much as is there. `done` when all of it was taken."""

    def __init__(self, length: int) -> None:
        self.done = length == 0
        self._chunked = length < 0
        self._left = max(length, 0)
        self._trailers = False
        self._overhead = 0

    def take(self, buffer: bytearray) -> bytes:
        """The next bytes of the body; empty if more must arrive first. Raises Malformed."""
        if self.done:
            return b""
        return self._take_chunks(buffer) if self._chunked else self._take(buffer)

    def _take(self, buffer: bytearray) -> bytes:
        taken = bytes(buffer[: self._left])
        del buffer[: len(taken)]
        self._left -= len(taken)
        if not self._left and not self._chunked:
            self.done = True
        return taken

    def _take_chunks(self, buffer: bytearray) -> bytes:
        pieces: list[bytes] = []
        while not self.done:
            if self._trailers:
                if not self._skip_trailer(buffer):
                    break
            elif self._left > 2:
                # A chunk's data and the line end after it, which is not handed out.
                if not buffer:
                    break
                self._left -= 2
                pieces.append(self._take(buffer))
                self._left += 2
            elif self._left:
                if len(buffer) < 2:
                    break
                if buffer[:2] != b"\r\n":
                    raise Malformed(400, "malformed chunk")
                del buffer[:2]
                self._left = 0
            elif not self._next_chunk(buffer):
                break
        return b"".join(pieces)

    def _next_chunk(self, buffer: bytearray) -> bool:
        end = buffer.find(b"\r\n", 0, _CHUNK_LINE_LIMIT)
        if end < 0:
            if len(buffer) >= _CHUNK_LINE_LIMIT:
                raise Malformed(400, "chunk line too long")
            return False
        line = bytes(buffer[:end])
        digits = line.partition(b";")[0].rstrip(b" \t")
        if not digits or digits.translate(None, _HEX) or len(digits) > 16 or b"\n" in line or b"\r" in line:
            raise Malformed(400, "malformed chunk size")
        size = int(digits, 16)
        del buffer[: end + 2]
        # Sixteen bytes of line for each chunk are honest.
        self._overhead = max(self._overhead + end + 2 - 16 - 2 * size, 0)
        self._check_overhead()
        if size:
            self._left = size + 2
        else:
            self._trailers = True
        return True

    def _skip_trailer(self, buffer: bytearray) -> bool:
        end = buffer.find(b"\r\n", 0, _CHUNK_LINE_LIMIT)
        if end < 0:
            if len(buffer) >= _CHUNK_LINE_LIMIT:
                raise Malformed(400, "trailer too long")
            return False
        del buffer[: end + 2]
        self._overhead += end + 2
        self._check_overhead()
        if not end:
            self.done = True
        return True

    def _check_overhead(self) -> None:
        if self._overhead > _OVERHEAD_LIMIT:
            raise Malformed(400, "chunked encoding contains too much non-data")
