"""`kubectl top node` and `kubectl top pod`: what is used right now, by metrics.k8s.io."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from steersman.api.resources import NODE_METRICS, NODES, POD_METRICS, PODS
from steersman.cli.kubectl import common
from steersman.cli.kubectl.command import Command
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError, UsageError
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.tabwriter import Table
from steersman.machinery import labeltext, quantity
from steersman.machinery.duration import format_go
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, metadata, name_of, namespace_of, parse_time
from steersman.machinery.quantity import ZERO, Quantity

SUMMARY = "Display resource (CPU/memory) usage."
USAGE = "top [flags] [options]"
SUBCOMMANDS = {"node": f"{__name__}:NODE", "pod": f"{__name__}:POD"}
ALIASES = {"nodes": "node", "no": "node", "pods": "pod", "po": "pod"}

_MEASURED = ("cpu", "memory")
_UNKNOWN = "<unknown>"
# Pods younger than this may well have no metrics yet.
_DELAY_S = 120
_NO_HEADERS = Flag("no-headers", "bool", "If present, print output without headers.")
_PROTOBUF = Flag("use-protocol-buffers", "bool", "Enables using protocol-buffers to access Metrics API.", default=True)
_BY = "If non-empty, sort {}s list using specified field. The field can be either 'cpu' or 'memory'."
Amounts = dict[str, Quantity]


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    """Without a subcommand: what it could have been, on stderr."""
    from steersman.cli.kubectl import usage

    if args:
        raise UsageError("top", f'unknown command "{args[0]}"')
    ctx.err.write(usage.of("top", Command(SUMMARY, USAGE, subcommands=SUBCOMMANDS)))
    return 1


async def top_node(ctx: Context, flags: Flags, args: list[str]) -> int:
    name = _name(flags, args, "node [NAME | -l label]", "top node")
    selector = flags.text("selector")
    if name and selector:
        raise KubectlError("only one of NAME or --selector can be provided")
    await _check_served(ctx)
    metrics = await _read(ctx, NODE_METRICS, "", name, selector=selector)
    if not metrics:
        raise KubectlError("metrics not available yet")
    nodes = await _read(ctx, NODES, "", name, selector=selector)
    of = "capacity" if flags.on("show-capacity") else "allocatable"
    given = {name_of(node): _amounts((node.get("status") or {}).get(of)) for node in nodes}
    rows = [] if flags.on("no-headers") else [["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"]]
    for item in sorted(metrics, key=_order(flags, lambda item: _amounts(item.get("usage")), name_of)):
        rows.append([name_of(item), *_usage(_amounts(item.get("usage")), given.pop(name_of(item), {}))])
    rows += [[name, *[_UNKNOWN] * 4] for name in sorted(given)]
    _print(ctx, rows)
    return 0


async def top_pod(ctx: Context, flags: Flags, args: list[str]) -> int:
    name = _name(flags, args, "pod [NAME | -l label]", "top pod")
    selectors = {"selector": flags.text("selector"), "field_selector": flags.text("field-selector")}
    if name and any(selectors.values()):
        raise KubectlError("only one of NAME or selector can be provided")
    await _check_served(ctx)
    everywhere = flags.on("all-namespaces")
    metrics = await _read(ctx, POD_METRICS, "" if everywhere else ctx.namespace, name, **selectors)
    if not metrics:
        await _explain_nothing(ctx, selectors)
        ctx.complain("No resources found" if everywhere else f"No resources found in {ctx.namespace} namespace.")
        return 0
    metrics.sort(key=_order(flags, _pod_usage, lambda item: (namespace_of(item), name_of(item))))
    _print(ctx, _pod_rows(flags, metrics))
    return 0


def _pod_rows(flags: Flags, metrics: Sequence[Obj]) -> list[list[str]]:
    everywhere, per_container = flags.on("all-namespaces"), flags.on("containers")
    head = ["NAME", "CPU(cores)", "MEMORY(bytes)"]
    if not flags.on("no-headers"):
        head = (["NAMESPACE"] if everywhere else []) + (["POD"] if per_container else []) + head
    rows = [] if flags.on("no-headers") else [head]
    for item in metrics:
        before = [namespace_of(item)] if everywhere else []
        if not per_container:
            rows.append([*before, name_of(item), *_usage(_pod_usage(item))])
            continue
        order = _order(flags, lambda container: _amounts(container.get("usage")), lambda container: str(container.get("name")))
        for container in sorted(item.get("containers") or (), key=order):
            usage = _usage(_amounts(container.get("usage")))
            rows.append([*before, name_of(item), str(container.get("name", "")), *usage])
    if flags.on("sum"):
        total = _sum(_pod_usage(item) for item in metrics)
        # Below the last two columns. Without headers upstream counts no columns before the name.
        rows.append([*[""] * (len(head) - 2), "________", "________"])
        rows.append([*[""] * (len(head) - 2), *_usage(total)])
    return rows


async def _explain_nothing(ctx: Context, selectors: dict[str, str]) -> None:
    """Raises if there are pods that ought to have metrics. As upstream it looks in one namespace, even for -A."""
    pods = await _read(ctx, PODS, ctx.namespace, "", **selectors)
    for pod in pods:
        created = parse_time(metadata(pod).get("creationTimestamp"))
        age_s = (ctx.clock.now() - created).total_seconds() if created else 0.0
        if age_s > _DELAY_S:
            raise KubectlError(f"Metrics not available for pod {namespace_of(pod)}/{name_of(pod)}, age: {format_go(age_s)}")
    if pods:
        raise KubectlError("metrics not available yet")


def _name(flags: Flags, args: Sequence[str], usage: str, command: str) -> str:
    if len(args) > 1:
        raise UsageError(command, usage)
    if flags.text("sort-by") not in ("", *_MEASURED):
        raise KubectlError("--sort-by accepts only cpu or memory")
    labeltext.parse(flags.text("selector"))
    return args[0] if args else ""


async def _check_served(ctx: Context) -> None:
    at = NODE_METRICS
    for fresh in (False, True):
        if any(
            (item.resource.group, item.resource.version) == (at.group, at.version) for item in await ctx.mapper.all(fresh=fresh)
        ):
            return
    raise KubectlError("Metrics API not available")


async def _read(
    ctx: Context, resource: Resource, namespace: str, name: str, *, selector: str = "", field_selector: str = ""
) -> list[Obj]:
    if name:
        return [await ctx.client.get(resource, name, namespace)]
    found = await ctx.client.list(resource, namespace, label_selector=selector, field_selector=field_selector)
    items: list[Obj] = found["items"]
    return items


def _order(flags: Flags, usage: Callable[[Obj], Amounts], name: Callable[[Obj], object]) -> Callable[[Obj], tuple[object, ...]]:
    """The most used first with --sort-by, else by name."""
    by = flags.text("sort-by")
    if by == "cpu":
        return lambda item: (-usage(item).get(by, ZERO).milli,)
    if by == "memory":
        return lambda item: (-usage(item).get(by, ZERO).value,)
    return lambda item: (name(item),)


def _amounts(given: Obj | None) -> Amounts:
    return {name: quantity.parse((given or {}).get(name, "0")) for name in _MEASURED}


def _pod_usage(item: Obj) -> Amounts:
    return _sum(_amounts(container.get("usage")) for container in item.get("containers") or ())


def _sum(parts: Iterable[Amounts]) -> Amounts:
    found = dict.fromkeys(_MEASURED, ZERO)
    for part in parts:
        found = {name: found[name] + part[name] for name in _MEASURED}
    return found


def _usage(used: Amounts, available: Amounts | None = None) -> list[str]:
    """`5m`, `12Mi`; with how many percent of what is available."""
    cells = []
    for name in _MEASURED:
        amount = used[name]
        cells.append(f"{amount.milli}m" if name == "cpu" else f"{amount.value // (1 << 20)}Mi")
        if available:
            whole = available[name].milli
            cells.append(f"{int(amount.milli / whole * 100) if whole else 0}%")
    return cells


def _print(ctx: Context, rows: Sequence[Sequence[str]]) -> None:
    ctx.out.write(Table().align("".join("".join(f"{cell}\t" for cell in row) + "\n" for row in rows)))


NODE = Command(
    summary="Display resource (CPU/memory) usage of nodes.",
    usage="top node [NAME | -l label] [options]",
    examples="""  # Show metrics for all nodes
  kubectl top node

  # Show metrics for a given node
  kubectl top node NODE_NAME""",
    flags=(
        _NO_HEADERS,
        common.SELECTOR,
        Flag("show-capacity", "bool", "Print node resources based on Capacity instead of Allocatable(default) of the nodes."),
        Flag("sort-by", help=_BY.format("node")),
        _PROTOBUF,
    ),
    run=top_node,
)
POD = Command(
    summary="Display resource (CPU/memory) usage of pods.",
    usage="top pod [NAME | -l label] [options]",
    examples="""  # Show metrics for all pods in the default namespace
  kubectl top pod

  # Show metrics for all pods in the given namespace
  kubectl top pod --namespace=NAMESPACE

  # Show metrics for a given pod and its containers
  kubectl top pod POD_NAME --containers

  # Show metrics for the pods defined by label name=myLabel
  kubectl top pod -l name=myLabel""",
    flags=(
        common.ALL_NAMESPACES,
        Flag("containers", "bool", "If present, print usage of containers within a pod."),
        common.FIELD_SELECTOR,
        _NO_HEADERS,
        common.SELECTOR,
        Flag("sort-by", help=_BY.format("pod")),
        Flag("sum", "bool", "Print the sum of the resource usage"),
        _PROTOBUF,
    ),
    run=top_pod,
)
