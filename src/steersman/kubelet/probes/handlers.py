"""One try of a probe: exec, httpGet, tcpSocket, grpc.

Source: upstream pkg/kubelet/prober/prober.go, pkg/probe/*.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp

from steersman.cri.interface import Runtime, RuntimeFault
from steersman.cri.messages import Container
from steersman.kubelet import httpcheck
from steersman.kubelet.httpcheck import Reach
from steersman.kubelet.probes.results import Result
from steersman.machinery import duration
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj
from steersman.machinery.waiting import within


@dataclass(frozen=True, slots=True)
class Outcome:
    """warning: success that deserves a ProbeWarning. UNKNOWN: the handler itself failed, no effect."""

    result: Result
    output: str = ""
    warning: bool = False


_TRIES_ON_ERROR = 3
_GRPC_RECONNECT_S = 1.0
"""gRPC's first pause between two connections."""


async def run_probe(
    runtime: Runtime, reach: Reach, clock: Clock, probe: Obj, spec: Obj, container: Container, pod_ip: str
) -> Outcome:
    """One attempt; handler errors are tried again at once, up to three times in all."""
    outcome = Outcome(Result.UNKNOWN)
    for _ in range(_TRIES_ON_ERROR):
        outcome = await _attempt(runtime, reach, clock, probe, spec, container, pod_ip)
        if outcome.result is not Result.UNKNOWN:
            break
    return outcome


async def _attempt(
    runtime: Runtime, reach: Reach, clock: Clock, probe: Obj, spec: Obj, container: Container, pod_ip: str
) -> Outcome:
    timeout_s = float(probe.get("timeoutSeconds") or 1)
    try:
        if action := probe.get("exec"):
            return await _exec(runtime, container, action.get("command") or [], timeout_s)
        if action := probe.get("httpGet"):
            url = httpcheck.url_of(action, spec, pod_ip)
            headers = httpcheck.headers_of(action, httpcheck.PROBE_AGENT)
            return await _limited(clock, timeout_s, f'Get "{url}"', lambda: _http(reach, container.id, url, headers))
        if action := probe.get("tcpSocket"):
            host, port = action.get("host") or pod_ip, httpcheck.port_number(spec, action["port"])
            return await _limited(clock, timeout_s, f"dial tcp {host}:{port}", lambda: _tcp(reach, container.id, host, port))
        if action := probe.get("grpc"):
            return await _grpc(reach, clock, container.id, pod_ip, action, timeout_s)
    except ValueError as error:
        return Outcome(Result.UNKNOWN, str(error))
    return Outcome(Result.UNKNOWN, f"missing probe handler for {spec['name']}")


async def _exec(runtime: Runtime, container: Container, command: list[str], timeout_s: float) -> Outcome:
    try:
        done = await runtime.exec_sync(container.id, command, timeout_s)
    except RuntimeFault as error:
        if error.reason == "DeadlineExceeded":
            text = f'command timed out: "{shlex.join(command)}" timed out after {duration.format_go(timeout_s)}'
            return Outcome(Result.FAILURE, text)
        return Outcome(Result.UNKNOWN, str(error))
    output = (done.stdout + done.stderr)[: httpcheck.MAX_BODY].decode("utf-8", "replace")
    return Outcome(Result.SUCCESS if done.exit_code == 0 else Result.FAILURE, output)


async def _limited(clock: Clock, timeout_s: float, what: str, attempt: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """A network attempt within the time limit; its errors are failures."""
    found: list[Outcome] = []

    async def tried() -> None:
        found.append(await attempt())

    try:
        if not await within(clock, timeout_s, tried):
            return Outcome(Result.FAILURE, f"{what}: context deadline exceeded (Client.Timeout exceeded while awaiting headers)")
    except (OSError, aiohttp.ClientError, asyncio.IncompleteReadError) as error:
        return Outcome(Result.FAILURE, f"{what}: {_words(error)}")
    return found[0]


def _words(error: BaseException) -> str:
    inner = getattr(error, "os_error", None) or error
    text = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return f"connect: {text[:1].lower()}{text[1:]}" if isinstance(inner, OSError) else str(text)


async def _http(reach: Reach, container_id: str, url: str, headers: list[tuple[str, str]]) -> Outcome:
    reply = await reach.get(container_id, url, headers)
    if 200 <= reply.status < 300:
        return Outcome(Result.SUCCESS, reply.body)
    if 300 <= reply.status < 400:
        return Outcome(Result.SUCCESS, f"Probe terminated redirects, Response body: {reply.body}", warning=True)
    return Outcome(Result.FAILURE, f"HTTP probe failed with statuscode: {reply.status}")


async def _tcp(reach: Reach, container_id: str, host: str, port: int) -> Outcome:
    await reach.connect(container_id, host, port)
    return Outcome(Result.SUCCESS)


async def _grpc(reach: Reach, clock: Clock, container_id: str, pod_ip: str, action: Obj, timeout_s: float) -> Outcome:
    """Asks grpc.health.v1.Health. Like upstream's client, goes on trying to connect until the time is over."""
    # Most nodes have no such probe, and its library is not small.
    from steersman.kubelet.probes.grpchealth import SERVING, UNIMPLEMENTED, CallFailed

    port, greeted = int(action["port"]), asyncio.Event()
    found: list[str] = []

    async def asked() -> None:
        while True:
            try:
                found.append(await reach.health(container_id, pod_ip, port, action.get("service") or "", greeted.set))
                return
            except OSError:
                if greeted.is_set():
                    raise
                await clock.sleep(_GRPC_RECONNECT_S)

    limit = duration.format_go(timeout_s)
    try:
        if not await within(clock, timeout_s, asked):
            text = f"timeout: health rpc did not complete within {limit}"
            if not greeted.is_set():
                where = f"[{pod_ip}]:{port}" if ":" in pod_ip else f"{pod_ip}:{port}"
                text = f'timeout: failed to connect service "{where}" within {limit}: context deadline exceeded'
            return Outcome(Result.FAILURE, text)
    except CallFailed as error:
        text = f"error: health rpc probe failed: {error}"
        if error.code == UNIMPLEMENTED:
            text = f"error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {error.message}"
        return Outcome(Result.FAILURE, text)
    except OSError as error:
        return Outcome(Result.FAILURE, f"error: health rpc probe failed: {_words(error)}")
    if found[0] != SERVING:
        return Outcome(Result.FAILURE, f'service unhealthy (responded with "{found[0]}")')
    return Outcome(Result.SUCCESS, "service healthy")
