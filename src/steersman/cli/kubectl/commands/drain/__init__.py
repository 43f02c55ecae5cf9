"""`kubectl drain`: cordons a node and takes its pods away, as far as they may go.

choosing.py says which pods go, evicting.py takes them away.
"""

from __future__ import annotations

from steersman.cli.kubectl import common
from steersman.cli.kubectl.commands.cordon import chosen_nodes, set_unschedulable
from steersman.cli.kubectl.commands.drain.choosing import Rules, Verdict, errors, judge, warnings
from steersman.cli.kubectl.commands.drain.evicting import PODS, Remover
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import Aggregate, KubectlError, PlainError
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.writing import Writer
from steersman.machinery import labeltext
from steersman.machinery.errors import StatusError
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, controller_of, name_of, namespace_of

SUMMARY = "Drain node in preparation for maintenance."
USAGE = "drain NODE [options]"
EXAMPLES = """  # Drain node "foo", even if there are pods not managed by a controller on it
  kubectl drain foo --force

  # As above, but abort if there are pods not managed by a controller, and use a grace period of 15 minutes
  kubectl drain foo --grace-period=900"""
FLAGS = (
    Flag("chunk-size", "int", "Return large lists in chunks rather than all at once. Pass 0 to disable.", default=500),
    Flag(
        "delete-emptydir-data",
        "bool",
        "Continue even if there are pods using emptyDir (local data that will be deleted when the node is drained).",
    ),
    Flag("disable-eviction", "bool", "Force drain to use delete, even if eviction is supported."),
    common.DRY_RUN,
    Flag("force", "bool", "Continue even if there are pods that do not declare a controller."),
    Flag(
        "grace-period",
        "int",
        "Period of time in seconds given to each pod to terminate gracefully. If negative, the default value specified in the "
        "pod will be used.",
        default=-1,
    ),
    Flag("ignore-daemonsets", "bool", "Ignore DaemonSet-managed pods."),
    Flag("pod-selector", help="Label selector to filter pods on the node"),
    common.SELECTOR,
    Flag(
        "skip-wait-for-delete-timeout",
        "int",
        "If pod DeletionTimestamp older than N seconds, skip waiting for the pod. Seconds must be greater than 0 to skip.",
    ),
    Flag("timeout", "duration", "The length of time to wait before giving up, zero means infinite"),
)
_DAEMON_SETS = Resource("apps", "v1", "daemonsets", True, "DaemonSet")


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    if flags.text("pod-selector"):
        try:
            labeltext.parse(flags.text("pod-selector"))
        except ValueError:
            raise KubectlError("--pod-selector=<pod_selector> must be a valid label selector") from None
    writer = Writer(ctx, "")
    infos = await chosen_nodes(ctx, flags, args)
    await set_unschedulable(writer, infos, cordon=True)
    failures: list[Exception] = []
    pending: list[str] = []
    for info in infos:
        wrong = await _drain(ctx, flags, writer, info.name)
        if not wrong:
            writer.tell(info, "drained")
            continue
        failures += wrong
        pending.append(info.name)
        shown = str(wrong[0]) if len(wrong) == 1 else f"[{', '.join(map(str, wrong))}]"
        ctx.complain(f'error: unable to drain node "{info.name}" due to error: {shown}, continuing command...')
    if pending:
        ctx.complain("There are pending nodes to be drained:\n" + "\n".join(f" {name}" for name in pending))
        raise Aggregate([PlainError(str(error)) for error in failures])
    return 0


async def _drain(ctx: Context, flags: Flags, writer: Writer, node: str) -> list[Exception]:
    """What stands in the way, or went wrong."""
    verdicts = await _verdicts(ctx, flags, node)
    if wrong := errors(verdicts):
        return [KubectlError(text) for text in wrong]
    if text := warnings(verdicts):
        ctx.complain(f"Warning: {text}")
    pods = [verdict.pod for verdict in verdicts if verdict.delete]
    if writer.local:
        for pod in pods:
            ctx.print(f"evicting pod {namespace_of(pod)}/{name_of(pod)} (dry run)")
        return []
    by_deletion = flags.on("disable-eviction")
    remover = Remover(
        ctx,
        flags.number("grace-period"),
        flags.seconds("timeout"),
        flags.number("skip-wait-for-delete-timeout"),
        writer.dry_run == "server",
        lambda pod: ctx.print(f"pod/{name_of(pod)} {'deleted' if by_deletion else 'evicted'}"),
    )
    failures = await (remover.delete(pods) if by_deletion else remover.evict(pods))
    if failures:
        await _tell_pending(ctx, flags, node, failures)
    return failures


async def _verdicts(ctx: Context, flags: Flags, node: str) -> list[Verdict]:
    listed = await ctx.client.list(PODS, field_selector=f"spec.nodeName={node}", label_selector=flags.text("pod-selector"))
    pods: list[Obj] = listed["items"]
    rules = Rules(
        force=flags.on("force"),
        ignore_daemon_sets=flags.on("ignore-daemonsets"),
        delete_empty_dir=flags.on("delete-emptydir-data"),
        skip_deleted_after_s=flags.number("skip-wait-for-delete-timeout"),
        now=ctx.clock.now(),
        orphan_errors=await _orphans(ctx, pods),
    )
    return [judge(pod, rules) for pod in pods]


async def _orphans(ctx: Context, pods: list[Obj]) -> dict[tuple[str, str], str]:
    """The DaemonSets that pods say they belong to and that can't be read, and why."""
    wrong: dict[tuple[str, str], str] = {}
    owners = {
        (namespace_of(pod), str(ref.get("name")))
        for pod in pods
        if (ref := controller_of(pod)) and ref.get("kind") == "DaemonSet"
    }
    for namespace, name in sorted(owners):
        try:
            await ctx.client.get(_DAEMON_SETS, name, namespace)
        except StatusError as error:
            wrong[namespace, name] = error.message
    return wrong


async def _tell_pending(ctx: Context, flags: Flags, node: str, failures: list[Exception]) -> None:
    left = [verdict.pod for verdict in await _verdicts(ctx, flags, node) if verdict.delete]
    if left:
        why = str(failures[0]) if len(failures) == 1 else f"[{', '.join(map(str, failures))}]"
        ctx.complain(f'There are pending pods in node "{node}" when an error occurred: {why}')
        for pod in left:
            ctx.complain(f"pod/{name_of(pod)}")
