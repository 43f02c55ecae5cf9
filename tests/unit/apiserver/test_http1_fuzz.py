"""The HTTP parser on what no well-behaved client sends: it answers or says Malformed, whatever the bytes and their splits."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from steersman.apiserver.http1 import Body, Malformed, parse_head

HEADS = (
    b"GET /api/v1/pods?limit=5 HTTP/1.1\r\nHost: a\r\nAccept: application/json",
    b"POST /apis/apps/v1/namespaces/x/deployments HTTP/1.1\r\nContent-Length: 12\r\nConnection: close",
    b"PATCH / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nX: 1\r\nX: 2",
)
CHUNKED = b"5\r\nhello\r\n7;ext=1\r\n, world\r\n0\r\nTrailer: x\r\n\r\n"


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good head with a few bytes replaced, inserted or cut out."""
    data = bytearray(draw(st.sampled_from(HEADS)))
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, len(data)))
        data[place : place + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(data)


@given(st.one_of(damaged(), st.binary(max_size=200)))
@settings(max_examples=400, deadline=None, derandomize=True)
def test_any_head_is_understood_or_malformed(data: bytes) -> None:
    try:
        head = parse_head(data)
    except Malformed as refusal:
        assert refusal.status in (400, 501, 505)
        return
    assert head.target.startswith("/") and head.fields.length >= -1
    assert all(name == name.lower() and name for name in head.fields.headers)


def take_all(body: Body, data: bytes, cuts: list[int]) -> tuple[bytes, bytes]:
    """(the body, what is left after it) when the data comes in pieces."""
    buffer, taken = bytearray(), b""
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in zip(edges, edges[1:], strict=False):
        buffer += data[start:end]
        while piece := body.take(buffer):
            taken += piece
    return taken, bytes(buffer)


@given(st.lists(st.integers(0, 60), max_size=12))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_chunked_body_is_the_same_however_it_is_split(cuts: list[int]) -> None:
    body = Body(-1)
    assert take_all(body, CHUNKED + b"GET / HTTP/1.1", cuts) == (b"hello, world", b"GET / HTTP/1.1")
    assert body.done


@given(st.binary(max_size=80), st.lists(st.integers(0, 80), max_size=5))
@settings(max_examples=400, deadline=None, derandomize=True)
def test_any_chunked_bytes_end_in_a_body_or_a_refusal_or_wait_for_more(data: bytes, cuts: list[int]) -> None:
    body = Body(-1)
    try:
        taken, _ = take_all(body, data, cuts)
    except Malformed:
        return
    assert len(taken) <= len(data)
