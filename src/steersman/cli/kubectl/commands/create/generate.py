"""What all `create KIND` have in common: one name, an object made from flags, one POST."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from steersman.cli.kubectl import common
from steersman.cli.kubectl.command import Command
from steersman.cli.kubectl.commands.create import SAVE_CONFIG
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError, PlainError, UsageError
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.lastapplied import annotate
from steersman.cli.kubectl.resources import Info
from steersman.cli.kubectl.writing import Writer
from steersman.machinery.errors import StatusError
from steersman.machinery.gvk import split_api_version
from steersman.machinery.meta import Obj


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a builder has to go by. `command` is what stands behind the name or `--`."""

    ctx: Context
    flags: Flags
    name: str
    command: Sequence[str] = ()


Build = Callable[[Wanted], Obj | Awaitable[Obj]]

SHARED = (common.DRY_RUN, common.field_manager("kubectl-create"), SAVE_CONFIG, common.VALIDATE, *common.PRINTING)


def generator(
    summary: str,
    usage: str,
    build: Build,
    flags: Sequence[Flag] = (),
    *,
    required: Sequence[str] = (),
    failing: str = "",
) -> Command:
    """A subcommand of create. `failing`: put before a server's refusal (`failed to create job: `), as upstream does for most."""

    async def run(ctx: Context, values: Flags, args: list[str]) -> int:
        missing = [f'"{name}"' for name in required if not values.changed(name)]
        if missing:
            raise PlainError(f"error: required flag(s) {', '.join(missing)} not set")
        named = values.dash if values.dash >= 0 else len(args)
        if named != 1:
            raise UsageError(ctx.command, f"exactly one NAME is required, got {named}")
        made = build(Wanted(ctx, values, args[0], args[1:]))
        return await create(ctx, await made if inspect.isawaitable(made) else made, failing)

    return Command(summary, usage, (*flags, *SHARED), run)


async def create(ctx: Context, obj: Obj, failing: str) -> int:
    """Send the object, or print it for --dry-run=client, and say so."""
    writer = Writer(ctx, "kubectl-create")
    mapping = await ctx.mapper.for_kind(*split_api_version(obj["apiVersion"]), obj["kind"])
    namespace = ctx.namespace if mapping.resource.namespaced else ""
    if namespace and ctx.namespace_set:
        obj["metadata"]["namespace"] = namespace
    if ctx.flags.on("save-config"):
        obj = annotate(obj)
    info = Info(mapping, namespace, obj["metadata"]["name"], "", obj)
    if not writer.local:
        try:
            info.refresh(await writer.create(info))
        except StatusError as error:
            if not failing:
                raise
            raise KubectlError(f"{failing}{error.message}") from None
    writer.tell(info, "created")
    return 0


def meta(name: str, **more: object) -> Obj:
    """Metadata as upstream's typed objects print it."""
    return {"creationTimestamp": None, "name": name, **more}
