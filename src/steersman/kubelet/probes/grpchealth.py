"""One call of grpc.health.v1.Health/Check as gRPC probes make it, on a connection of its own (grpccall.py makes the call).

The messages are two fields, so protobuf is not needed. Source: upstream pkg/probe/grpc, grpc/health/v1/health.proto. What is not
here: the time limit and what an answer means for the container (handlers.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from steersman.kubelet.grpccall import unary
from steersman.kubelet.grpcstatus import INTERNAL, UNIMPLEMENTED, CallFailed

__all__ = ("PATH", "SERVING", "UNIMPLEMENTED", "CallFailed", "check")

PATH = "/grpc.health.v1.Health/Check"
SERVING = "SERVING"
_STATUSES = ("UNKNOWN", SERVING, "NOT_SERVING", "SERVICE_UNKNOWN")


async def check(host: str, port: int, service: str, agent: str, greeted: Callable[[], None]) -> str:
    """The status of the service (empty: of the server) in the protocol's words.

    greeted: called when the other side has shown that it speaks HTTP/2; what goes wrong until then is an OSError, since upstream
    counts it as connecting. Raises CallFailed, OSError.
    """
    reader, writer = await asyncio.open_connection(host, port)
    try:
        name = f"[{host}]" if ":" in host else host
        answer = await unary(reader, writer, f"{name}:{port}", PATH, _request(service), agent, greeted)
    finally:
        writer.close()
    number = _status_number(answer)
    return _STATUSES[number] if number < len(_STATUSES) else str(number)


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


def _status_number(message: bytes) -> int:
    """HealthCheckResponse: field 1 is the status; without it, 0. Raises CallFailed."""
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
