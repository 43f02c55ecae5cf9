"""`kubectl cordon` and `uncordon`: whether new pods may come to a node."""

from __future__ import annotations

from steersman.cli.kubectl import common
from steersman.cli.kubectl.command import Command, Run
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError, UsageError, raise_all
from steersman.cli.kubectl.flags import Flags
from steersman.cli.kubectl.resources import Info, Query, find
from steersman.cli.kubectl.writing import Writer
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import dig


async def chosen_nodes(ctx: Context, flags: Flags, args: list[str]) -> list[Info]:
    """The nodes of the arguments or of --selector. Raises if one is not there."""
    selector = flags.text("selector")
    if args and selector:
        raise UsageError(ctx.command, "cannot specify both a node name and a --selector option")
    if not args and not selector:
        raise UsageError(ctx.command, f"USAGE: {ctx.command} NODE [flags]")
    words = args if all("/" in arg for arg in args) and args else ["nodes", *args]
    return (await find(ctx, Query(args=words, selector=selector))).checked()


async def set_unschedulable(writer: Writer, infos: list[Info], *, cordon: bool) -> None:
    """Patch the nodes that are not so yet, and tell of all of them."""
    word = "cordoned" if cordon else "uncordoned"
    errors: list[Exception] = []
    for info in infos:
        if bool(dig(info.object, "spec", "unschedulable")) is cordon:
            writer.tell(info, f"already {word}")
            continue
        try:
            if not writer.local:
                patch = {"spec": {"unschedulable": True if cordon else None}}
                info.refresh(await writer.patch(info, patch, "strategic"))
            writer.tell(info, word)
        except StatusError as error:
            errors.append(KubectlError(f'unable to {word[:-2]} node "{info.name}": {error.message}'))
    raise_all(errors)


def _runner(*, cordon: bool) -> Run:
    async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
        writer = Writer(ctx, "")
        await set_unschedulable(writer, await chosen_nodes(ctx, flags, args), cordon=cordon)
        return 0

    return run


CORDON = Command("Mark node as unschedulable.", "cordon NODE [options]", (common.DRY_RUN, common.SELECTOR), _runner(cordon=True))
UNCORDON = Command(
    "Mark node as schedulable.", "uncordon NODE [options]", (common.DRY_RUN, common.SELECTOR), _runner(cordon=False)
)
