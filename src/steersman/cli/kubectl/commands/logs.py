"""`kubectl logs`: what containers have written."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass

from steersman.cli.kubectl import common
from steersman.cli.kubectl.commands.picking import (
    PODS,
    all_containers,
    default_container,
    pods_of,
    selector_of,
    telling_first,
)
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError, UsageError, reason_of
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.resources import Query, find
from steersman.cli.kubectl.streaming.terminal import Sink
from steersman.client.rest import object_path, query
from steersman.machinery.errors import NotFound, StatusError, from_status
from steersman.machinery.meta import Obj, name_of, namespace_of

SUMMARY = (
    "Print the logs for a container in a pod or specified resource. If the pod has only one container, the container name is \
optional."
)
USAGE = "logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER] [options]"
EXAMPLES = """  # Return snapshot logs from pod nginx with only one container
  kubectl logs nginx

  # Begin streaming the logs from all containers in pods defined by label app=nginx
  kubectl logs -f -l app=nginx --all-containers=true

  # Show all logs from pod nginx written in the last hour
  kubectl logs --since=1h nginx"""
FLAGS = (
    Flag("all-containers", "bool", "Get all containers' logs in the pod(s)."),
    Flag("all-pods", "bool", "Get logs from all pod(s). Sets prefix to true."),
    Flag("container", help="Print the logs of this container", short="c"),
    Flag("follow", "bool", "Specify if the logs should be streamed.", short="f"),
    Flag("ignore-errors", "bool", "If watching / following pod logs, allow for any errors that occur to be non-fatal"),
    Flag("insecure-skip-tls-verify-backend", "bool", "Skip verifying the identity of the kubelet that logs are requested from."),
    Flag("limit-bytes", "int", "Maximum bytes of logs to return. Defaults to no limit."),
    Flag("max-log-requests", "int", "Specify maximum number of concurrent logs to follow when using by a selector.", default=5),
    Flag("pod-running-timeout", "duration", "The length of time to wait until at least one pod is running", default=20.0),
    Flag("prefix", "bool", "Prefix each log line with the log source (pod name and container name)"),
    Flag("previous", "bool", "If true, print the logs for the previous instance of the container.", short="p"),
    common.SELECTOR,
    Flag("since", "duration", "Only return logs newer than a relative duration like 5s, 2m, or 3h."),
    Flag("since-time", help="Only return logs after a specific date (RFC3339)."),
    Flag("tail", "int", "Lines of recent log file to display. Defaults to -1, with a selector to 10.", default=-1),
    Flag("timestamps", "bool", "Include timestamps on each line in the log output"),
)
_EXPECTED = (
    "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required argument for the logs command"
)
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[-+]\d\d:\d\d)")
_TAIL_OF_SELECTED = 10


@dataclass(frozen=True, slots=True)
class _Source:
    """One container's log."""

    pod: Obj
    container: str

    @property
    def prefix(self) -> bytes:
        return f"[pod/{name_of(self.pod)}/{self.container}] ".encode()


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    container = _checked(ctx, flags, args)
    if flags.text("selector"):
        found = await find(ctx, Query(args=["pods"], selector=flags.text("selector")))
        pods = [info.object for info in found.checked()]
        if not pods:
            ctx.complain(f"No resources found in {ctx.namespace} namespace.")
            return 0
    else:
        pods = await _pods(ctx, flags, args[0])
    prefixed = flags.on("prefix") or flags.on("all-pods")
    sources = [source for pod in pods for source in _sources(ctx, flags, pod, container)]
    limit = flags.number("max-log-requests")
    if flags.on("follow") and len(sources) > 1:
        if len(sources) > limit:
            raise KubectlError(
                f"you are attempting to follow {len(sources)} log streams, but maximum allowed concurrency is {limit}, "
                "use --max-log-requests to increase the limit"
            )
        async with asyncio.TaskGroup() as group:
            for source in sources:
                group.create_task(_copy(ctx, flags, source, prefixed=prefixed))
        return 0
    for source in sources:
        await _copy(ctx, flags, source, prefixed=prefixed)
    return 0


def _checked(ctx: Context, flags: Flags, args: list[str]) -> str:
    """The container asked for, after everything that is wrong with the command line."""
    container = flags.text("container")
    selector = flags.text("selector")
    if not args and not selector:
        raise UsageError(ctx.command, _EXPECTED)
    if selector and args:
        raise UsageError(ctx.command, "only a selector (-l) or a POD name is allowed")
    if len(args) == 2:
        if container:
            raise KubectlError("only one of -c or an inline [CONTAINER] arg is allowed")
        container = args[1]
    if len(args) > 2:
        raise UsageError(ctx.command, _EXPECTED)
    if flags.text("since-time") and not _RFC3339.fullmatch(flags.text("since-time")):
        given = flags.text("since-time")
        raise KubectlError(f'parsing time "{given}" as "2006-01-02T15:04:05Z07:00": cannot parse "{given}" as "2006"')
    if flags.text("since-time") and flags.seconds("since"):
        raise KubectlError("at most one of `sinceTime` or `sinceSeconds` may be specified")
    if flags.on("all-containers") and container:
        raise KubectlError(f"--all-containers=true should not be specified with container name {container}")
    if flags.number("tail") < -1:
        raise KubectlError("--tail must be greater than or equal to -1")
    if flags.seconds("since") < 0:
        raise KubectlError("--since must be greater than 0")
    if flags.number("limit-bytes") < 0:
        raise KubectlError("--limit-bytes must be greater than 0")
    return container


async def _pods(ctx: Context, flags: Flags, word: str) -> list[Obj]:
    """The pod named, or those of a workload: the best one, or with --all-pods all of them."""
    kind, slash, name = word.partition("/")
    resource = (await ctx.mapper.for_argument(kind)).resource if slash else PODS
    try:
        obj = await ctx.client.get(resource, name if slash else word, ctx.namespace if resource.namespaced else "")
    except NotFound as error:
        raise KubectlError(f'error from server ({reason_of(error)}): {error.message} in namespace "{ctx.namespace}"') from None
    if obj.get("kind") == "Pod":
        return [obj]
    selector = selector_of(obj, "cannot get the logs from")
    pods = await pods_of(ctx, ctx.namespace, selector, telling_first, flags.seconds("pod-running-timeout"))
    if flags.on("all-pods"):
        return sorted(pods, key=name_of)
    if len(pods) > 1:
        ctx.complain(f"Found {len(pods)} pods, using pod/{name_of(pods[0])}")
    return pods[:1]


def _sources(ctx: Context, flags: Flags, pod: Obj, container: str) -> list[_Source]:
    if flags.on("all-containers"):
        spec: Obj = pod["spec"]
        kinds = ("initContainers", "containers", "ephemeralContainers")
        return [_Source(pod, item["name"]) for kind in kinds for item in spec.get(kind) or ()]
    if not container:
        return [_Source(pod, default_container(ctx, pod, quiet=flags.on("all-pods"))["name"])]
    if not any(item["name"] == container for item in all_containers(pod)):
        raise KubectlError(f"container {container} is not valid for pod {name_of(pod)}")
    return [_Source(pod, container)]


async def _copy(ctx: Context, flags: Flags, source: _Source, *, prefixed: bool) -> None:
    try:
        await _stream(ctx, _target(flags, source), Sink(ctx.out), source.prefix if prefixed else b"")
    except (StatusError, ConnectionError) as error:
        if not flags.on("ignore-errors"):
            raise
        ctx.print(f"error: {error}")


async def _stream(ctx: Context, target: str, write: Callable[[bytes], None], prefix: bytes) -> None:
    async with ctx.client.transport.stream("GET", target, headers={"Accept": "*/*"}) as answer:
        if answer.status >= 300:  # 204: the container has not begun
            raise from_status(_decoded(b"".join([chunk async for chunk in answer.chunks()])), answer.status)
        if not prefix:
            async for chunk in answer.chunks():
                write(chunk)
            return
        rest = b""
        async for chunk in answer.chunks():
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                write(prefix + line + b"\n")
        if rest:
            write(prefix + rest)


def _decoded(body: bytes) -> object:
    import orjson

    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode(errors="replace")


def _target(flags: Flags, source: _Source) -> str:
    tail = flags.number("tail")
    if flags.text("selector") and not flags.changed("tail"):
        tail = _TAIL_OF_SELECTED
    params: dict[str, str | int] = {"container": source.container}
    params |= {name: "true" for name in ("follow", "previous", "timestamps") if flags.on(name)}
    if flags.on("insecure-skip-tls-verify-backend"):
        params["insecureSkipTLSVerifyBackend"] = "true"
    if flags.seconds("since"):
        params["sinceSeconds"] = str(-int(-flags.seconds("since") // 1))
    params["sinceTime"] = flags.text("since-time")
    params["limitBytes"] = flags.number("limit-bytes")
    if tail >= 0:
        params["tailLines"] = str(tail)
    return object_path(PODS, namespace_of(source.pod), name_of(source.pod), "log") + query(**params)
