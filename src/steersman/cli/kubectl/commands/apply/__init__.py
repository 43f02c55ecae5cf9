"""`kubectl apply`: create what is not there, and patch what is: by the difference of what was applied last and what is now
(here), or by asking the server to apply (server_side.py).
"""

from __future__ import annotations

import copy

import orjson

from steersman.cli.kubectl import common
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError, PlainError, UsageError, raise_all, with_source
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.gone import wait_until_gone
from steersman.cli.kubectl.lastapplied import ANNOTATION, annotate, read
from steersman.cli.kubectl.resources import Info, find, query_of
from steersman.cli.kubectl.writing import Writer
from steersman.machinery.errors import Conflict, Invalid, NotFound, StatusError
from steersman.machinery.meta import Obj, annotations_of, is_deleting, metadata, uid_of

SUMMARY = """Apply a configuration to a resource by file name or stdin. The resource name must be specified. This resource \
will be created if it doesn't exist yet. To use 'apply', always create the resource initially with either 'apply' or \
'create --save-config'.

 JSON and YAML formats are accepted."""
USAGE = "apply (-f FILENAME | -k DIRECTORY) [options]"
EXAMPLES = """  # Apply the configuration in pod.json to a pod
  kubectl apply -f ./pod.json

  # Apply the JSON passed into stdin to a pod
  cat pod.json | kubectl apply -f -"""
FLAGS = (
    Flag("all", "bool", "Select all resources in the namespace of the specified resource types."),
    common.DRY_RUN,
    common.field_manager(""),
    Flag("force", "bool", "If true, immediately remove resources from API and bypass graceful deletion."),
    Flag("force-conflicts", "bool", "If true, server-side apply will force the changes against conflicts."),
    Flag("openapi-patch", "bool", "If true, use openapi to calculate diff when the openapi presents.", default=True),
    Flag("overwrite", "bool", "Automatically resolve conflicts by using values from the modified configuration.", default=True),
    common.SELECTOR,
    Flag("server-side", "bool", "If true, apply runs in the server instead of the client."),
    Flag("timeout", "duration", "The length of time to wait before giving up on a delete, zero means no limit."),
    common.VALIDATE,
    Flag("wait", "bool", "If true, wait for resources to be gone before returning. This waits for finalizers."),
    *common.FILES,
    *common.PRINTING,
)
SUBCOMMANDS = {
    "set-last-applied": "steersman.cli.kubectl.commands.apply.last_applied:SET",
    "view-last-applied": "steersman.cli.kubectl.commands.apply.last_applied:VIEW",
}

_MANAGER = "kubectl-client-side-apply"
_MISSING = (
    "resource {plural}/{name} is missing the kubectl.kubernetes.io/last-applied-configuration annotation which is required by "
    "{command}. {command} should only be used on resources created declaratively by either kubectl create --save-config or "
    "kubectl apply. The missing annotation will be patched automatically."
)
_TRIES = 5
"""Against changes that others make at the same time."""
_BACK_OFF_S = 1.0


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    _check(ctx, flags, args)
    if flags.on("server-side"):
        from steersman.cli.kubectl.commands.apply.server_side import apply_all

        return await apply_all(ctx, flags)
    writer = Writer(ctx, _MANAGER)
    found = await find(ctx, query_of(flags, (), fetch=False))
    applied: list[tuple[Obj, str]] = []
    for info in found.infos:
        try:
            if not info.name:
                raise _nameless(info)
            operation = await _apply(ctx, flags, writer, info)
        except (StatusError, KubectlError) as error:
            found.errors.append(error)
            continue
        if flags.text("output") and flags.text("output") != "name":
            applied.append((info.object, operation))
        else:
            writer.tell(info, operation)
    writer.tell_objects(applied)
    raise_all(found.errors)
    return 0


def _nameless(info: Info) -> KubectlError:
    if prefix := metadata(info.object).get("generateName"):
        return KubectlError(f"from {prefix}: cannot use generate name with apply")
    return KubectlError(
        f"error when retrieving current configuration of:\n{_about(info)}\n"
        f'from server for: "{info.source}": resource name may not be empty'
    )


def _check(ctx: Context, flags: Flags, args: list[str]) -> None:
    if args:
        raise UsageError(ctx.command, f"Unexpected args: [{' '.join(args)}]")
    if not flags.texts("filename") and not flags.text("kustomize"):
        raise PlainError("error: must specify one of -f and -k")
    if flags.on("all") and flags.text("selector"):
        raise KubectlError("cannot set --all and --selector at the same time")
    if flags.on("force-conflicts") and not flags.on("server-side"):
        raise KubectlError("--force-conflicts only works with --server-side")
    if flags.on("force") and flags.on("server-side"):
        raise KubectlError("--force cannot be used with --server-side")
    if flags.text("dry-run") == "client" and flags.on("server-side"):
        raise KubectlError("--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)")
    if flags.text("dry-run") == "server" and flags.on("force"):
        raise KubectlError("--dry-run=server cannot be used with --force")


async def _apply(ctx: Context, flags: Flags, writer: Writer, info: Info) -> str:
    """Do it; `info.obj` is then what the server holds. Returns created, configured or unchanged."""
    wanted = annotate(info.object)
    try:
        live = await ctx.client.get(info.resource, info.name, info.namespace)
    except NotFound:
        info.obj = wanted
        if not writer.local:
            try:
                info.refresh(await writer.create(info))
            except StatusError as error:
                raise with_source("creating", info.source, error) from None
        return "created"
    except StatusError as error:
        raise with_source(
            "retrieving current configuration of:\n" + _about(info) + "\nfrom server for:", info.source, error
        ) from None
    if ANNOTATION not in annotations_of(live) and not writer.local:
        ctx.warn(_MISSING.format(plural=info.resource.plural, name=info.name, command="kubectl apply"))
    if is_deleting(live):
        ctx.warn(f"Detected changes to resource {info.name} which is currently being deleted.")
    if writer.local:
        info.obj = live
        return "configured"
    return await _patch(ctx, flags, writer, info, wanted, live)


async def _patch(ctx: Context, flags: Flags, writer: Writer, info: Info, wanted: Obj, live: Obj) -> str:
    """Send the three-way difference; anew, from what is there then, if somebody else was faster."""
    from steersman.cli.kubectl.patching import three_way
    from steersman.machinery.patch.strategic_diff import ApplyConflict

    for left in range(_TRIES, -1, -1):
        original = read(live) or {}
        try:
            kind, patch = three_way(info.resource, original, wanted, live, overwrite=flags.on("overwrite"))
        except ApplyConflict as error:
            raise KubectlError(f"error when applying patch:\n{error}") from None
        if not patch:
            info.obj = live
            return "unchanged"
        try:
            info.refresh(await writer.patch(info, patch, kind))
            return "configured"
        except StatusError as error:
            versioned = "resourceVersion" in (patch.get("metadata") or {})
            if isinstance(error, Conflict) and not versioned and left:
                await ctx.clock.sleep(_BACK_OFF_S)
                live = await ctx.client.get(info.resource, info.name, info.namespace)
                continue
            if flags.on("force") and isinstance(error, Conflict | Invalid):
                await _recreate(ctx, flags, writer, info, wanted, live)
                return "configured"
            raise _told(info, patch, error) from None
    raise AssertionError("the last try returns or raises")


def _told(info: Info, patch: Obj, error: StatusError) -> Exception:
    inner = with_source("patching", info.source, error)
    text = orjson.dumps(patch, option=orjson.OPT_SORT_KEYS).decode()
    return with_source(f"applying patch:\n{text}\nto:\n{_about(info)}\nfor:", info.source, inner)


def _about(info: Info) -> str:
    at = info.resource
    where = f"{at.group}/{at.version}"
    return (
        f'Resource: "{where}, Resource={at.plural}", GroupVersionKind: "{where}, Kind={at.kind}"\n'
        f'Name: "{info.name}", Namespace: "{info.namespace}"'
    )


async def _recreate(ctx: Context, flags: Flags, writer: Writer, info: Info, wanted: Obj, live: Obj) -> None:
    """--force: what can't be changed is deleted and made anew; if that fails, the old one is put back."""
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
    await writer.delete(info, options)
    await wait_until_gone(ctx, info, uid_of(live), flags.seconds("timeout"))
    fresh = copy.deepcopy(wanted)
    metadata(fresh).pop("resourceVersion", None)
    info.obj = fresh
    try:
        info.refresh(await writer.create(info))
    except StatusError:
        former = copy.deepcopy(live)
        for field in ("resourceVersion", "uid", "creationTimestamp"):
            metadata(former).pop(field, None)
        info.obj = former
        await writer.create(info)
        raise
