"""`kubectl rollout history`: the revisions of a workload, or one of them in detail."""

from __future__ import annotations

from steersman.cli.kubectl import common
from steersman.cli.kubectl.command import Command
from steersman.cli.kubectl.commands.rollout.revisions import described, revisions
from steersman.cli.kubectl.commands.rollout.subjects import SELECTING, subjects
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError, raise_all
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.output import Printer, PrintOptions, printer
from steersman.cli.kubectl.resources import Info
from steersman.cli.kubectl.tabwriter import align
from steersman.machinery.errors import StatusError

KINDS = frozenset((("apps", "Deployment"), ("apps", "DaemonSet"), ("apps", "StatefulSet")))


async def _history(ctx: Context, flags: Flags, args: list[str]) -> int:
    wanted = flags.number("revision")
    if wanted < 0:
        raise KubectlError(f"revision must be a positive integer: {wanted}")
    options = PrintOptions(
        template=flags.text("template"),
        managed_fields=flags.on("show-managed-fields"),
        allow_missing_keys=flags.on("allow-missing-template-keys"),
    )
    output = flags.text("output")
    printing = printer(output, options) if output or options.template else None
    found = await subjects(ctx, flags, args)
    for info in found.infos:
        try:
            await _one(ctx, info, wanted, printing)
        except (StatusError, KubectlError) as error:
            found.errors.append(error)
    raise_all(found.errors)
    return 0


async def _one(ctx: Context, info: Info, wanted: int, printing: Printer | None) -> None:
    if (info.resource.group, info.resource.kind) not in KINDS:
        kind, group = info.resource.kind, info.resource.group
        raise KubectlError(f'error retrieving history for "{kind}", no visitor method exists for {{{group} {kind}}}')
    known = await revisions(ctx, info)
    if wanted and wanted not in known:
        raise KubectlError("unable to find the specified revision")
    if printing is not None:
        for number in [wanted] if wanted else known:
            printing.print(known[number].whole, ctx.out)
        return
    if wanted:
        held = known[wanted]
        cause = held.cause if info.resource.kind == "Deployment" else ""
        ctx.print(f"{info.shown} with revision #{wanted}")
        ctx.print(described(held.template, cause))
        return
    ctx.print(f"{info.shown} ")
    if not known:
        ctx.print("No rollout history found.")
        return
    rows = "".join(f"{held.number}\t{held.cause or '<none>'}\n" for held in known.values())
    ctx.print(align(f"REVISION\tCHANGE-CAUSE\n{rows}"))


HISTORY = Command(
    "View previous rollout revisions and configurations.",
    "rollout history (TYPE NAME | TYPE/NAME) [flags] [options]",
    (
        Flag("revision", "int", "See the details, including podTemplate of the revision specified"),
        *SELECTING,
        *common.PRINTING,
    ),
    _history,
)
