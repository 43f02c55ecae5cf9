"""A gRPC server with the health protocol, run inside a pod by test_node_probes.py. Argument: the port."""

from __future__ import annotations

import asyncio
import sys

import grpc
from grpc import aio

SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"


async def main(port: int) -> None:
    """The server serves; its service `asked-often` does when the server as a whole has been asked for four times."""
    calls = 0

    async def check(request: bytes, _context: aio.ServicerContext[bytes, bytes]) -> bytes:
        nonlocal calls
        calls += not request
        return NOT_SERVING if request[2:] == b"asked-often" and calls < 4 else SERVING

    server = aio.server()
    method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(check)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": method}),))
    server.add_insecure_port(f"0.0.0.0:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
