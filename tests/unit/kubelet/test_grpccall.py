"""A gRPC server that speaks HTTP/2, and nonsense with it: every fault is the call's own. Real servers: probes, volumes/csi."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection

from steersman.kubelet.grpccall import unary
from steersman.kubelet.grpcstatus import CallFailed

Headers = list[tuple[str, str | bytes]]
WELL: Headers = [(":status", "200"), ("content-type", "application/grpc")]


def answered(headers: Headers, trailers: Headers) -> bytes:
    """All that a server says which answers so."""
    ours, theirs = H2Connection(), H2Connection(
        H2Configuration(client_side=False, validate_outbound_headers=False, normalize_outbound_headers=False)
    )  # fmt: skip
    ours.initiate_connection()
    ours.send_headers(1, [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "a")], end_stream=True)
    theirs.initiate_connection()
    theirs.receive_data(ours.data_to_send())
    said: list[Any] = [headers, trailers]
    theirs.send_headers(1, said[0])
    theirs.send_data(1, b"\0\0\0\0\2\x08\1")
    theirs.send_headers(1, said[1], end_stream=True)
    return theirs.data_to_send()


class Nowhere:
    """A writer nobody reads from."""

    def write(self, data: bytes) -> None: ...
    async def drain(self) -> None: ...


@pytest.mark.parametrize(
    ("headers", "trailers", "fault"),
    [
        (WELL, [("grpc-status", "0")], ""),
        (WELL, [("grpc-status", "²".encode())], "code = Unknown"),
        ([(":status", "²".encode())], [("x", "0")], "unexpected HTTP status code received from server: ²"),
        ([*WELL, ("x", b"\xff\xfe")], [("grpc-status", "0")], "connection error: 'utf-8' codec can't decode"),
    ],
)
def test_what_is_no_answer_fails_the_call_and_nothing_else(headers: Headers, trailers: Headers, fault: str) -> None:
    """Errors of other kinds went past those who ask CSI drivers; where that was beside a pod's turn, the kubelet ended."""

    async def scenario() -> bytes:
        reader, writer = asyncio.StreamReader(), Nowhere()
        reader.feed_data(answered(headers, trailers))
        reader.feed_eof()
        anything: Any = writer
        return await unary(reader, anything, "localhost", "/p.S/M", b"asked", "agent")

    if fault:
        with pytest.raises((CallFailed, ConnectionError), match=fault):
            asyncio.run(scenario())
    else:
        assert asyncio.run(scenario()) == b"\x08\1"
