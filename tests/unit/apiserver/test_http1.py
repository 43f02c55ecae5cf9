"""HTTP/1.1 heads and bodies, byte by byte; what has been abused for smuggling is refused."""

from __future__ import annotations

import pytest

from steersman.apiserver.http1 import Body, Malformed, parse_head


def head(*lines: str, first: str = "GET /a?b=c HTTP/1.1") -> bytes:
    return "\r\n".join([first, *lines]).encode()


def test_a_head_gives_method_target_and_lower_case_headers() -> None:
    found = parse_head(head("Host: x", "ACCEPT:  a,b ", "Impersonate-Group: g1", "impersonate-group: g2"))
    assert (found.method, found.target, found.fields.length, found.keep_alive) == ("GET", "/a?b=c", 0, True)
    assert found.fields.headers == {"host": "x", "accept": "a,b", "impersonate-group": "g1"}
    assert found.fields.repeated == {"impersonate-group": ("g1", "g2")}


@pytest.mark.parametrize(
    ("first", "lines", "keep"),
    [
        ("GET / HTTP/1.1", (), True),
        ("GET / HTTP/1.1", ("Connection: close",), False),
        ("GET / HTTP/1.1", ("Connection: Upgrade",), True),
        ("GET / HTTP/1.0", (), False),
        ("GET / HTTP/1.0", ("Connection: keep-alive",), True),
    ],
)
def test_connections_are_kept_as_the_version_says(first: str, lines: tuple[str, ...], keep: bool) -> None:
    assert parse_head(head(*lines, first=first)).keep_alive is keep


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (head(first="GET /"), 400),
        (head(first="GET / HTTP/2.0"), 505),
        (head(first="GET nowhere HTTP/1.1"), 400),
        (head("Content-Length: 1", "Content-Length: 2"), 400),
        (head("Content-Length: -1"), 400),
        (head("Content-Length: 1", "Transfer-Encoding: chunked"), 400),
        (head("Transfer-Encoding: gzip, chunked"), 501),
        (head("Transfer-Encoding: identity"), 501),
        (head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 400),
        (head("Content-Length: " + "9" * 5000), 400),
        (head("Content-Length: 1_0"), 400),
        (head("Content-Length: +1"), 400),
        (head("X: a\nSet-Cookie: b"), 400),
        (head("X: a\rb"), 400),
        (head("X: a\x00b"), 400),
        (head("X: a\x7f"), 400),
        (head(first="GET\t/ HTTP/1.1"), 400),
        (head(first="G\x00T / HTTP/1.1"), 400),
        (head(first="GET /\x01 HTTP/1.1"), 400),
        (head(first="GET /\n HTTP/1.1"), 400),
        (head("Host : x"), 400),
        (head(" folded"), 400),
        (head(": empty"), 400),
    ],
)
def test_malformed_heads_are_refused(data: bytes, status: int) -> None:
    with pytest.raises(Malformed) as caught:
        parse_head(data)
    assert caught.value.status == status


def test_the_headers_of_the_request_before_serve_again_only_if_they_are_the_same() -> None:
    first = parse_head(head("Host: x", "Content-Length: 3"))
    again = parse_head(head("Host: x", "Content-Length: 3", first="POST /b HTTP/1.0"), first.fields)
    assert again.fields is first.fields
    assert (again.method, again.target, again.keep_alive) == ("POST", "/b", False)
    other = parse_head(head("Host: x", "Content-Length: 4"), first.fields)
    assert (other.fields.length, first.fields.length) == (4, 3)


def test_absolute_targets_lose_their_origin() -> None:
    assert parse_head(head(first="GET https://host:1/a/b?c HTTP/1.1")).target == "/a/b?c"


def fed(body: Body, data: bytes, size: int) -> tuple[bytes, bytes]:
    """(the body's bytes, what is left) when the data comes in pieces of that size."""
    buffer, got = bytearray(), b""
    for start in range(0, len(data), size):
        buffer += data[start : start + size]
        got += body.take(buffer)
    return got, bytes(buffer)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_bodies_end_where_they_say_however_the_bytes_come(size: int) -> None:
    by_length = Body(5)
    assert fed(by_length, b"helloGET /", size) == (b"hello", b"GET /") and by_length.done
    chunked = Body(-1)
    data = b"4\r\nwiki\r\nA;x=y\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nGET /"
    assert fed(chunked, data, size) == (b"wiki0123456789", b"GET /") and chunked.done


@pytest.mark.parametrize("data", [b"x\r\n", b"\r\n", b"-1\r\n", b"1\r\nabc", b"1" * 20 + b"\r\n", b"0x1\r\n"])
def test_malformed_chunks_are_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        Body(-1).take(bytearray(data))


def test_a_head_of_one_header_many_times_takes_no_longer_than_others() -> None:
    fields = parse_head(head(*["A: b"] * 150_000)).fields
    assert fields.headers == {"a": "b"} and len(fields.repeated["a"]) == 150_000


def test_bytes_beyond_ascii_in_a_target_are_utf_8() -> None:
    assert parse_head("GET /ä HTTP/1.1".encode()).target == "/ä"


@pytest.mark.parametrize(
    "data",
    [
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"5;a\nb\r\nhello\r\n0\r\n\r\n",
        b"10000000000000000\r\n",
        b"-1\r\n",
        (b"1;" + b"x" * 4000 + b"\r\na\r\n") * 10,
        b"0\r\n" + b"X: y\r\n" * 5000,
    ],
    ids=["space", "prefix", "bare line end", "overflow", "negative", "extensions", "trailers"],
)
def test_chunks_that_others_might_read_otherwise_or_that_are_mostly_not_data_are_refused(data: bytes) -> None:
    buffer = bytearray(data)
    body = Body(-1)
    with pytest.raises(Malformed):
        while buffer:
            body.take(buffer)


def test_many_small_chunks_are_no_overhead() -> None:
    body, buffer = Body(-1), bytearray(b"1\r\na\r\n" * 50_000 + b"0\r\n\r\n")
    assert body.take(buffer) == b"a" * 50_000 and body.done
