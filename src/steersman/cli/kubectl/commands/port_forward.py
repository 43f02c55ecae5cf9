"""`kubectl port-forward`: local ports that lead into a pod."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass

from steersman.cli.kubectl.commands.exec import RUNNING_TIMEOUT
from steersman.cli.kubectl.commands.picking import PODS, pod_behind
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError, UsageError
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.streaming.portforward import Tunnel, open_tunnel
from steersman.client.rest import object_path
from steersman.machinery.meta import Obj, dig, name_of, namespace_of

SUMMARY = "Forward one or more local ports to a pod."
USAGE = "port-forward TYPE/NAME [options] [LOCAL_PORT:]REMOTE_PORT [...[LOCAL_PORT_N:]REMOTE_PORT_N] [options]"
EXAMPLES = """  # Listen on ports 5000 and 6000 locally, forwarding data to/from ports 5000 and 6000 in the pod
  kubectl port-forward pod/mypod 5000 6000

  # Listen on port 8443 locally, forwarding to the targetPort of the service's port named "https"
  kubectl port-forward service/myservice 8443:https

  # Listen on a random port locally, forwarding to 5000 in the pod
  kubectl port-forward pod/mypod :5000"""
FLAGS = (
    Flag("address", "strings", "Addresses to listen on (comma separated).", default=["localhost"]),
    RUNNING_TIMEOUT,
)


@dataclass(frozen=True, slots=True)
class _Pair:
    local: int
    remote: int


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    if len(args) < 2:
        raise UsageError(ctx.command, "TYPE/NAME and list of ports are required for port-forward")
    kind, slash, name = args[0].partition("/")
    mapping = await ctx.mapper.for_argument(kind) if slash else None
    resource = mapping.resource if mapping else PODS
    subject = await ctx.client.get(resource, name if slash else args[0], ctx.namespace if resource.namespaced else "")
    pod = await pod_behind(ctx, subject, flags.seconds("pod-running-timeout"))
    pairs = [_parsed(_translated(spec, subject, pod)) for spec in args[1:]]
    phase = dig(pod, "status", "phase", default="")
    if phase != "Running":
        raise KubectlError(f"unable to forward port because pod is not running. Current status={phase}")
    tunnel = await open_tunnel(ctx, object_path(PODS, namespace_of(pod), name_of(pod), "portforward"))
    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, _interrupt, tunnel, interrupted)
    try:
        await _serve(ctx, tunnel, pairs, _addresses(flags.texts("address")))
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        tunnel.close()
    if interrupted.is_set():
        return 0
    raise KubectlError("lost connection to pod")


def _interrupt(tunnel: Tunnel, interrupted: asyncio.Event) -> None:
    interrupted.set()
    tunnel.close()


async def _serve(ctx: Context, tunnel: Tunnel, pairs: list[_Pair], addresses: list[tuple[str, bool]]) -> None:
    """Listen until the tunnel is lost. Raises KubectlError."""
    servers: list[asyncio.Server] = []
    for pair in pairs:
        servers += await _listen(ctx, tunnel, pair, addresses)
    if not servers:
        shown = " ".join(f"{{{pair.local} {pair.remote}}}" for pair in pairs)
        raise KubectlError(f"unable to listen on any of the requested ports: [{shown}]")
    try:
        await tunnel.run()
    finally:
        for server in servers:
            server.close()


async def _listen(ctx: Context, tunnel: Tunnel, pair: _Pair, addresses: list[tuple[str, bool]]) -> list[asyncio.Server]:
    made: list[asyncio.Server] = []
    problems: list[str] = []
    local = pair.local

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _say(ctx, f"Handling connection for {local}")
        try:
            wrong = await tunnel.forward(pair.remote, reader, writer)
            if wrong:
                ctx.complain(f"error: an error occurred forwarding {local} -> {pair.remote}: {wrong}")
        finally:
            writer.close()

    for address, required in addresses:
        try:
            server = await asyncio.start_server(handle, address, local)
        except OSError as error:
            family = "tcp6" if ":" in address else "tcp4"
            shown = f"[{address}]" if ":" in address else address
            why = (error.strerror or str(error)).lower().rpartition("] ")[2]
            if "in use" in str(error):
                why = "bind: address already in use"
            problems.append(f"unable to create listener: Error listen {family} {shown}:{local}: {why}")
            if required:
                break
            continue
        local = server.sockets[0].getsockname()[1]
        made.append(server)
        shown = f"[{address}]" if ":" in address else address
        _say(ctx, f"Forwarding from {shown}:{local} -> {pair.remote}")
    if not made:
        ctx.complain(
            f"Unable to listen on port {local}: Listeners failed to create with the following errors: [{' '.join(problems)}]"
        )
    return made


def _say(ctx: Context, text: str) -> None:
    ctx.print(text)
    ctx.out.flush()


def _addresses(given: list[str]) -> list[tuple[str, bool]]:
    """Address, and whether the port is refused without it. `localhost` is both loopbacks, one of which will do."""
    import ipaddress

    found: dict[str, bool] = {}
    for address in given:
        if address == "localhost":
            found.setdefault("127.0.0.1", False)
            found.setdefault("::1", False)
            continue
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise KubectlError(f"{address} is not a valid IP") from None
        found[address] = True
    return list(found.items())


def _translated(spec: str, subject: Obj, pod: Obj) -> str:
    """With numbers in place of names; a Service's port becomes the port of its pod."""
    local, colon, remote = spec.rpartition(":")
    is_service = subject.get("kind") == "Service"
    port = _service_port(subject, pod, remote) if is_service else _pod_port(pod, remote)
    if not colon:
        local = remote if remote.isdigit() else str(_named_service_port(subject, remote) if is_service else port)
    return f"{local}:{port}"


def _pod_port(pod: Obj, word: str) -> str:
    if word.isdigit() or not word:
        return word
    for container in pod["spec"].get("containers", ()):
        for port in container.get("ports", ()):
            if port.get("name") == word:
                return str(port["containerPort"])
    raise KubectlError(f"Pod '{name_of(pod)}' does not have a named port '{word}'")


def _named_service_port(service: Obj, word: str) -> int:
    for port in service["spec"].get("ports", ()):
        if port.get("name") == word:
            return int(port["port"])
    raise KubectlError(f"Service '{name_of(service)}' does not have a named port '{word}'")


def _service_port(service: Obj, pod: Obj, word: str) -> str:
    number = int(word) if word.isdigit() else _named_service_port(service, word)
    found = next((port for port in service["spec"].get("ports", ()) if port["port"] == number), None)
    if found is None:
        raise KubectlError(f"Service {name_of(service)} does not have a service port {number}")
    if service["spec"].get("clusterIP") == "None":
        return str(number)
    target = found.get("targetPort") or number
    return str(target) if isinstance(target, int) else _pod_port(pod, target)


def _parsed(spec: str) -> _Pair:
    local, _, remote = spec.partition(":")
    numbers: list[int] = []
    for what, text in (("local", local or "0"), ("remote", remote)):
        if not text.isdigit() or int(text) > 65535:
            why = "value out of range" if text.isdigit() else "invalid syntax"
            raise KubectlError(f"error parsing {what} port '{text}': strconv.ParseUint: parsing \"{text}\": {why}")
        numbers.append(int(text))
    if numbers[1] == 0:
        raise KubectlError("remote port must be > 0")
    return _Pair(*numbers)
