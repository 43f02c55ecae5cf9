"""`kubectl apply view-last-applied` and `set-last-applied`: the annotation that apply keeps."""

from __future__ import annotations

from steersman.cli.kubectl import common
from steersman.cli.kubectl.command import Command
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError, raise_all
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.lastapplied import ANNOTATION, annotate, read
from steersman.cli.kubectl.resources import find, query_of
from steersman.cli.kubectl.writing import Writer
from steersman.machinery.meta import annotations_of


async def view(ctx: Context, flags: Flags, args: list[str]) -> int:
    form = flags.text("output") or "yaml"
    if form not in ("yaml", "json"):
        raise KubectlError(f"Unexpected -o output mode: {form}, the flag 'output' must be one of yaml|json")
    found = await find(ctx, query_of(flags, args, latest=True))
    for info in found.checked():
        config = read(info.object)
        if config is None:
            continue
        if form == "json":
            from steersman.cli.kubectl.output.documents import encode

            ctx.print(encode(config, indent=2))
        else:
            from steersman.machinery import yamlio

            ctx.out.write(yamlio.dump(config))
    return 0


async def set_last_applied(ctx: Context, flags: Flags, args: list[str]) -> int:
    writer = Writer(ctx, "kubectl")
    found = await find(ctx, query_of(flags, args, fetch=False))
    for info in found.infos:
        live = await ctx.client.get(info.resource, info.name, info.namespace)
        if ANNOTATION not in annotations_of(live) and not flags.on("create-annotation"):
            raise KubectlError(
                f"no last-applied-configuration annotation found on resource: {info.name}, to create the annotation, run the "
                "command with --create-annotation"
            )
        value = annotations_of(annotate(info.object))[ANNOTATION]
        if not writer.local:
            info.refresh(await writer.patch(info, {"metadata": {"annotations": {ANNOTATION: value}}}, "merge"))
        writer.tell(info, "configured")
    raise_all(found.errors)
    return 0


VIEW = Command(
    "View the latest last-applied-configuration annotations by type/name or file.",
    "apply view-last-applied (TYPE [NAME | -l label] | TYPE/NAME | -f FILENAME) [options]",
    (
        Flag("all", "bool", "Select all resources in the namespace of the specified resource types"),
        Flag("output", help="Output format. Must be one of (yaml, json)", short="o"),
        common.SELECTOR,
        *common.FILES,
    ),
    view,
)
SET = Command(
    "Set the latest last-applied-configuration annotations by setting it to match the contents of a file.",
    "apply set-last-applied -f FILENAME [options]",
    (
        Flag("create-annotation", "bool", "Will create 'last-applied-configuration' annotations if current objects have none."),
        common.DRY_RUN,
        *common.FILES,
        *common.PRINTING,
    ),
    set_last_applied,
)
