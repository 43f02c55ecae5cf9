"""`kubectl delete`: asks for deletion, and waits until what was asked for is gone."""

from __future__ import annotations

from steersman.cli.kubectl import common
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError, raise_all, with_source
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.gone import wait_until_gone
from steersman.cli.kubectl.resources import Found, Info, find, query_of
from steersman.cli.kubectl.writing import Writer
from steersman.machinery.errors import NotFound, StatusError
from steersman.machinery.meta import Obj, uid_of

SUMMARY = """Delete resources by file names, stdin, resources and names, or by resources and label selector.

 JSON and YAML formats are accepted. Only one type of argument may be specified: file names, resources and names, or resources \
and label selector."""
USAGE = "delete ([-f FILENAME] | [-k DIRECTORY] | TYPE [(NAME | -l label | --all)]) [options]"
EXAMPLES = """  # Delete a pod using the type and name specified in pod.json
  kubectl delete -f ./pod.json

  # Delete pods and services with label name=myLabel
  kubectl delete pods,services -l name=myLabel

  # Delete a pod with minimal delay
  kubectl delete pod foo --now"""
FLAGS = (
    Flag("all", "bool", "Delete all resources, in the namespace of the specified resource types."),
    common.ALL_NAMESPACES,
    Flag(
        "cascade",
        help='Must be "background", "orphan", or "foreground". Selects the deletion cascading strategy for the dependents '
        "(e.g. Pods created by a ReplicationController). Defaults to background.",
        default="background",
        bare="background",
    ),
    common.DRY_RUN,
    common.FIELD_SELECTOR,
    Flag("force", "bool", "If true, immediately remove resources from API and bypass graceful deletion."),
    Flag("grace-period", "int", "Period of time in seconds given to the resource to terminate gracefully.", default=-1),
    Flag("ignore-not-found", "bool", 'Treat "resource not found" as a successful delete.'),
    Flag("interactive", "bool", "If true, delete resource only when user confirms.", short="i"),
    Flag("now", "bool", "If true, resources are signaled for immediate shutdown (same as --grace-period=1)."),
    Flag("output", help='Output mode. Use "-o name" for shorter output (resource/name).', short="o"),
    Flag("raw", help="Raw URI to DELETE to the server. Uses the transport specified by the kubeconfig file."),
    common.SELECTOR,
    Flag(
        "timeout", "duration", "The length of time to wait before giving up on a delete, zero means determine a timeout from it."
    ),
    Flag("wait", "bool", "If true, wait for resources to be gone before returning. This waits for finalizers.", default=True),
    *common.FILES,
)
_PROPAGATION = {
    "background": "Background",
    "foreground": "Foreground",
    "orphan": "Orphan",
    "true": "Background",
    "false": "Orphan",
}


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    if raw := flags.text("raw"):
        ctx.out.write(str(await ctx.client.raw("DELETE", raw)))
        return 0
    grace = _grace_period(ctx, flags)
    propagation = _propagation(flags)
    if (mode := flags.text("output")) not in ("", "name"):
        raise KubectlError(f"unexpected -o output mode: {mode}. We only support '-o name'")
    writer = Writer(ctx, "")
    # --ignore-not-found is on when the objects are found and not named.
    query = query_of(flags, args, fetch=False)
    by_search = query.everything or query.selector or query.field_selector
    forgiving = flags.on("ignore-not-found") or bool(by_search and not flags.changed("ignore-not-found"))
    if query.everything and query.selector:
        raise KubectlError("setting 'all' parameter but found a non empty selector. ")
    if query.everything and len(args) > 1 and "/" not in args[0]:
        raise KubectlError("name cannot be provided when a selector is specified")
    found = await find(ctx, query)
    if flags.on("interactive") and not _confirmed(ctx, found):
        return 0
    deleted = await _delete_all(ctx, flags, writer, found, _options(grace, propagation), forgiving)
    if not found.infos and not found.errors:
        ctx.print("No resources found")
    raise_all(found.errors)
    if flags.on("wait") and writer.dry_run == "none":
        await _wait(ctx, flags, deleted)
    return 0


def _grace_period(ctx: Context, flags: Flags) -> int:
    """Seconds, or -1 for each object's own."""
    grace = flags.number("grace-period")
    if flags.on("now"):
        if grace != -1:
            raise KubectlError("--now and --grace-period cannot be specified together")
        grace = 1
    if flags.on("force"):
        if grace > 0:
            raise KubectlError("--force and --grace-period greater than 0 cannot be specified together")
        ctx.complain(
            "Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. "
            "The resource may continue to run on the cluster indefinitely."
        )
        return 0
    # Only --force removes an object at once; 0 alone becomes 1, so that the pod's node still sees it go.
    return 1 if grace == 0 else grace


def _propagation(flags: Flags) -> str:
    given = flags.text("cascade")
    if given not in _PROPAGATION:
        raise KubectlError(f'invalid cascade value ({given}). Must be "background", "foreground", or "orphan"')
    return _PROPAGATION[given]


def _options(grace: int, propagation: str) -> Obj:
    options: Obj = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
    if grace >= 0:
        options["gracePeriodSeconds"] = grace
    return options


async def _delete_all(
    ctx: Context, flags: Flags, writer: Writer, found: Found, options: Obj, forgiving: bool
) -> list[tuple[Info, str]]:
    """Those whose deletion was accepted, with their UIDs; refusals go into `found.errors`."""
    deleted: list[tuple[Info, str]] = []
    for info in found.infos:
        try:
            answer: Obj = {} if writer.local else await writer.delete(info, options)
        except NotFound as error:
            if not forgiving:
                found.errors.append(with_source("deleting", info.source, error))
            continue
        except StatusError as error:
            found.errors.append(with_source("deleting", info.source, error))
            continue
        _tell(ctx, flags, writer, info)
        deleted.append((info, _uid_in(answer)))
    return deleted


def _uid_in(answer: Obj) -> str:
    """Of the object that was deleted: the server answers with it, or with a Status that names it."""
    if answer.get("kind") == "Status" and "details" in answer:
        return str((answer["details"] or {}).get("uid") or "")
    return uid_of(answer) if answer.get("metadata") else ""


def _tell(ctx: Context, flags: Flags, writer: Writer, info: Info) -> None:
    if flags.text("output") == "name":
        ctx.print(info.shown)
        return
    how = "force deleted" if flags.on("force") else "deleted"
    ctx.print(f'{info.kind_shown} "{info.name}" {writer.done(how)}')


async def _wait(ctx: Context, flags: Flags, deleted: list[tuple[Info, str]]) -> None:
    timeout_s = flags.seconds("timeout")
    ctx.out.flush()
    for info, uid in deleted:
        try:
            await wait_until_gone(ctx, info, uid, timeout_s)
        except StatusError as error:
            # Who may delete but not watch has done what they may.
            if error.code not in (403, 405):
                raise


def _confirmed(ctx: Context, found: Found) -> bool:
    ctx.print(f"You are about to delete the following {len(found.infos)} resource(s):")
    for info in found.infos:
        ctx.print(info.shown)
    ctx.out.write("Do you want to continue? (y/N): ")
    ctx.out.flush()
    if ctx.stdin.readline().strip().lower() == "y":
        return True
    ctx.print("deletion is cancelled.")
    return False
