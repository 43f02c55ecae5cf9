"""`kubectl replace`: PUT what the file says; with --force, delete and create anew."""

from __future__ import annotations

from steersman.cli.kubectl import common
from steersman.cli.kubectl.commands.create import SAVE_CONFIG
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError, PlainError, UsageError, raise_all, with_source
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.gone import wait_until_gone
from steersman.cli.kubectl.lastapplied import ANNOTATION, annotate
from steersman.cli.kubectl.resources import Info, find, query_of
from steersman.cli.kubectl.writing import Writer
from steersman.machinery.errors import NotFound, StatusError
from steersman.machinery.meta import Obj, annotations_of, metadata, uid_of

SUMMARY = """Replace a resource by file name or stdin.

 JSON and YAML formats are accepted. If replacing an existing resource, the complete resource spec must be provided."""
USAGE = "replace -f FILENAME [options]"
EXAMPLES = """  # Replace a pod using the data in pod.json
  kubectl replace -f ./pod.json

  # Force replace, delete and then re-create the resource
  kubectl replace --force -f ./pod.json"""
FLAGS = (
    Flag("cascade", help='Must be "background", "orphan", or "foreground". Selects the deletion strategy for the dependents.',
         default="background", bare="background"),
    common.DRY_RUN,
    common.field_manager("kubectl-replace"),
    Flag("force", "bool", "If true, immediately remove resources from API and bypass graceful deletion."),
    Flag("grace-period", "int", "Period of time in seconds given to the resource to terminate gracefully.", default=-1),
    Flag("raw", help="Raw URI to PUT to the server. Uses the transport specified by the kubeconfig file."),
    SAVE_CONFIG,
    common.subresource("If specified, replace will operate on the subresource of the requested object."),
    Flag("timeout", "duration", "The length of time to wait before giving up on a delete, zero means no limit."),
    common.VALIDATE,
    Flag("wait", "bool", "If true, wait for resources to be gone before returning. This waits for finalizers."),
    *common.FILES,
    *common.PRINTING,
)  # fmt: skip
_FORCED_WAIT_S = 300.0


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    if raw := flags.text("raw"):
        return await _raw(ctx, flags, raw)
    if not flags.texts("filename") and not flags.text("kustomize"):
        raise PlainError("error: must specify one of -f and -k")
    if args:
        raise UsageError(ctx.command, f"Unexpected args: [{' '.join(args)}]")
    if flags.number("grace-period") >= 0 and not flags.on("force"):
        raise KubectlError("--grace-period must have --force specified")
    if flags.seconds("timeout") and not flags.on("force"):
        raise KubectlError("--timeout must have --force specified")
    writer = Writer(ctx, "kubectl-replace")
    found = await find(ctx, query_of(flags, (), fetch=False))
    if flags.on("force") and not writer.local:
        for info in found.infos:
            await _remove(ctx, flags, writer, info)
    for info in found.infos:
        if flags.on("save-config") or ANNOTATION in annotations_of(info.object):
            info.obj = annotate(info.object)
        try:
            await _replace(flags, writer, info)
        except StatusError as error:
            found.errors.append(with_source("replacing", info.source, error))
            continue
        writer.tell(info, "replaced")
    raise_all(found.errors)
    return 0


async def _replace(flags: Flags, writer: Writer, info: Info) -> None:
    if writer.local:
        return
    if flags.on("force"):
        metadata(info.object).pop("resourceVersion", None)
        info.refresh(await writer.create(info))
    else:
        info.refresh(await writer.replace(info, subresource=flags.text("subresource")))


async def _remove(ctx: Context, flags: Flags, writer: Writer, info: Info) -> None:
    """Delete, and wait until the name is free."""
    options: Obj = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": flags.text("cascade").capitalize()}
    if flags.number("grace-period") >= 0:
        options["gracePeriodSeconds"] = flags.number("grace-period")
    try:
        live = await ctx.client.get(info.resource, info.name, info.namespace)
        await writer.delete(info, options)
    except NotFound:
        return
    ctx.print(f'{info.kind_shown} "{info.name}" deleted')
    if writer.dry_run == "none":
        ctx.out.flush()
        await wait_until_gone(ctx, info, uid_of(live), flags.seconds("timeout") or _FORCED_WAIT_S)


async def _raw(ctx: Context, flags: Flags, target: str) -> int:
    from steersman.cli.kubectl.files import texts

    body = "".join(text for _, text in texts(ctx, flags.texts("filename"), False))
    answer = await ctx.client.raw("PUT", target, body=body.encode())
    ctx.print(str(answer))
    return 0
