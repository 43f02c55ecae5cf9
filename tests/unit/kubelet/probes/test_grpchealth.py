"""gRPC probes: against a real gRPC server on loopback, and against servers that are none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import grpc
import pytest
from grpc import aio

from steersman.cri.messages import Container, ContainerState
from steersman.cri.simulated.images import SimulatedImages
from steersman.cri.simulated.runtime import SimulatedRuntime
from steersman.kubelet.httpcheck import NetworkReach
from steersman.kubelet.probes.handlers import Outcome, run_probe
from steersman.kubelet.probes.results import Result
from steersman.machinery.clock import Clock, RealClock
from steersman.machinery.meta import Obj

Answer = Callable[[bytes, "aio.ServicerContext[bytes, bytes]"], Coroutine[None, None, bytes]]
AGENTS: list[str] = []


async def by_service(request: bytes, context: aio.ServicerContext[bytes, bytes]) -> bytes:
    """What the service's name asks for."""
    AGENTS.extend(str(value) for key, value in context.invocation_metadata() or () if key == "user-agent")
    service = request[2:].decode()
    if service == "missing":
        await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service: ∅")
    return {"": b"\x08\x01", "down": b"\x08\x02", "odd": b"\x08\xac\x02", "unset": b"", "broken": b"\xff"}[service]


@asynccontextmanager
async def serving(answer: Answer, service: str = "grpc.health.v1.Health") -> AsyncIterator[int]:
    server = aio.server()
    method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Check": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)
        await server.wait_for_termination()


async def probe(port: int, service: str | None = None, timeout_s: int = 60, clock: Clock | None = None) -> Outcome:
    action: Obj = {"port": port, **({} if service is None else {"service": service})}
    clock, moment = clock or RealClock(), datetime(2026, 1, 1, tzinfo=UTC)
    container = Container(
        "c1", "s1", "web", 0, ContainerState.RUNNING, "", "", moment, moment, None, 0, "", "", {}, {}, ""
    )  # fmt: skip
    asked: Obj = {"grpc": action, "timeoutSeconds": timeout_s}
    runtime = SimulatedRuntime(clock, SimulatedImages(clock))
    return await run_probe(runtime, NetworkReach(), clock, asked, {"name": "web"}, container, "127.0.0.1")


@pytest.mark.parametrize(
    ("service", "result", "text"),
    [
        pytest.param(None, Result.SUCCESS, "service healthy", id="the server as a whole"),
        pytest.param("down", Result.FAILURE, 'service unhealthy (responded with "NOT_SERVING")', id="a service that is down"),
        pytest.param("unset", Result.FAILURE, 'service unhealthy (responded with "UNKNOWN")', id="a status of zero is not sent"),
        pytest.param("odd", Result.FAILURE, 'service unhealthy (responded with "300")', id="a status nobody knows"),
        pytest.param(
            "missing",
            Result.FAILURE,
            "error: health rpc probe failed: rpc error: code = NotFound desc = unknown service: ∅",
            id="a service that is not there",
        ),
        pytest.param(
            "broken",
            Result.FAILURE,
            "error: health rpc probe failed: rpc error: code = Internal desc = malformed health check response",
            id="an answer that is none",
        ),
    ],
)
def test_the_servers_answer_is_the_result(service: str | None, result: Result, text: str) -> None:
    async def scenario() -> None:
        AGENTS.clear()
        async with serving(by_service) as port:
            assert await probe(port, service) == Outcome(result, text)
        assert AGENTS == ["kube-probe/1.36"]

    asyncio.run(scenario())


def test_a_server_without_the_health_protocol_is_named_so() -> None:
    async def scenario() -> None:
        async with serving(by_service, service="some.Other") as port:
            found = await probe(port)
        words = "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): "
        assert found.result is Result.FAILURE and found.output.startswith(words)

    asyncio.run(scenario())


class UntilAsked(RealClock):
    """The time limit is over as soon as the server has been asked, and not before."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        await self.asked.wait()


def test_a_server_that_does_not_answer_in_time_fails() -> None:
    async def scenario() -> None:
        clock = UntilAsked()

        async def never(request: bytes, context: aio.ServicerContext[bytes, bytes]) -> bytes:
            clock.asked.set()
            await asyncio.Event().wait()
            return b""

        async with serving(never) as port:
            found = await probe(port, "slow", timeout_s=1, clock=clock)
        assert found == Outcome(Result.FAILURE, "timeout: health rpc did not complete within 1s")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="HTTP/1.1"),
        pytest.param(None, id="nobody listens"),
    ],
)
def test_without_http2_there_is_no_connection(said: bytes | None) -> None:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said or b"")
        writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        if said is None:
            server.close()
        found = await probe(port, timeout_s=1)
        server.close()
        text = f'timeout: failed to connect service "127.0.0.1:{port}" within 1s: context deadline exceeded'
        assert found == Outcome(Result.FAILURE, text)

    asyncio.run(scenario())


def test_a_server_that_leaves_in_the_middle_fails_the_call() -> None:
    async def scenario() -> None:
        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
            await reader.read(1)
            writer.close()

        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        found = await probe(server.sockets[0].getsockname()[1])
        server.close()
        assert found.result is Result.FAILURE
        assert "EOF" in found.output or "reset" in found.output, found.output

    asyncio.run(scenario())
