"""SPDY/3.1 framing."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersman.machinery import spdy
from steersman.machinery.spdy import SpdyConnection


def test_the_dictionary_is_the_drafts() -> None:
    assert len(spdy.DICTIONARY) == 1423
    assert zlib.adler32(spdy.DICTIONARY) == 0xE3C6A7C2


def test_a_session_from_both_sides() -> None:
    client, server = SpdyConnection(server=False), SpdyConnection(server=True)
    first, opening = client.new_stream({"StreamType": "error", "port": "80"})
    second, more = client.new_stream({"streamtype": "data"}, fin=True)
    assert (first, second) == (1, 3)
    assert server.feed(opening + more) == [
        spdy.SynStream(1, {"streamtype": "error", "port": "80"}),
        spdy.SynStream(3, {"streamtype": "data"}, fin=True),
    ]
    assert client.feed(server.syn_reply(1)) == [spdy.SynReply(1)]
    assert client.feed(server.data(1, b"hello", fin=True)) == [spdy.Data(1, b"hello", fin=True)]
    assert server.feed(client.headers(1, {"a": "b"})) == [spdy.Headers(1, {"a": "b"})]
    assert server.feed(client.rst(3, spdy.REFUSED_STREAM)) == [spdy.RstStream(3, 3)]
    assert server.feed(client.ping(1) + client.goaway(2) + client.window_update(1, 65536) + client.settings({4: 100})) == [
        spdy.Ping(1),
        spdy.GoAway(2),
        spdy.WindowUpdate(1, 65536),
        spdy.Settings({4: 100}),
    ]
    assert server.is_own(2)
    assert not server.is_own(1)
    assert client.is_own(1)
    assert server.new_stream({})[0] == 2


def test_frames_have_the_drafts_layout() -> None:
    made = SpdyConnection(server=False).syn_stream(1, {"a": "b"}, fin=True)
    assert made[:4] == b"\x80\x03\x00\x01"
    assert made[4] == spdy.FLAG_FIN
    assert struct.unpack(">I", b"\0" + made[5:8])[0] == len(made) - 8
    assert made[8:18] == b"\0\0\0\x01\0\0\0\0\0\0"
    block = zlib.decompressobj(zdict=spdy.DICTIONARY).decompress(made[18:])
    assert block == b"\0\0\0\x01\0\0\0\x01a\0\0\0\x01b"
    assert SpdyConnection(server=True).data(5, b"xyz", fin=True) == b"\0\0\0\x05\x01\0\0\x03xyz"


@given(st.lists(st.integers(1, 40), max_size=40), st.binary(max_size=60))
def test_frames_may_arrive_in_any_pieces(cuts: list[int], payload: bytes) -> None:
    client, server = SpdyConnection(server=False), SpdyConnection(server=True)
    sent = client.new_stream({"streamtype": "stdin"})[1] + client.data(1, payload) + client.new_stream({"x": "y"})[1]
    received: list[spdy.Frame] = []
    at = 0
    for cut in cuts:
        received += server.feed(sent[at : at + cut])
        at += cut
    received += server.feed(sent[at:])
    assert received == [
        spdy.SynStream(1, {"streamtype": "stdin"}),
        spdy.Data(1, payload),
        spdy.SynStream(3, {"x": "y"}),
    ]


def test_data_beyond_a_frame_is_split() -> None:
    payload = bytes((1 << 24) + 5)
    frames = SpdyConnection(server=True).feed(SpdyConnection(server=False).data(1, payload, fin=True))
    assert [(len(frame.data), frame.fin) for frame in frames if isinstance(frame, spdy.Data)] == [
        ((1 << 24) - 1, False),
        (6, True),
    ]


def test_an_unknown_frame_is_ignored() -> None:
    unknown = b"\x80\x03\x00\x63\0\0\0\x02xy"
    server = SpdyConnection(server=True)
    assert server.feed(unknown + SpdyConnection(server=False).ping(1)) == [spdy.Ping(1)]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x80\x02\x00\x06\0\0\0\x04\0\0\0\x01", "unsupported version 2"),
        (b"\x80\x03\x00\x06\0\0\0\x02\0\0", "frame of type 6 with 2 bytes"),
        (b"\x80\x03\x00\x02\0\0\0\x08\0\0\0\x01junk", "header block"),
    ],
)
def test_what_is_no_spdy_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(spdy.SpdyError, match=why):
        SpdyConnection(server=True).feed(data)


def test_headers_cannot_swell_without_bound() -> None:
    client = SpdyConnection(server=False)
    with pytest.raises(spdy.SpdyError, match="too large"):
        SpdyConnection(server=True).feed(client.syn_stream(1, {"x": "y" * (2 << 20)}))
