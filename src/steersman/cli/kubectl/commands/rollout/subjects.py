"""What the subcommands of `rollout` have in common: what they work on."""

from __future__ import annotations

from steersman.cli.kubectl import common
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError
from steersman.cli.kubectl.flags import Flags
from steersman.cli.kubectl.resources import Found, Info, find, query_of

SELECTING = (*common.FILES, common.SELECTOR)


def kind_of(info: Info) -> str:
    """`Job.batch`, `Pod`: in messages about kinds that have no rollouts."""
    at = info.resource
    return f"{at.kind}.{at.group}" if at.group else at.kind


def tell_nothing_found(ctx: Context, found: Found) -> None:
    if not found.infos and not found.errors:
        ctx.complain(f"No resources found in {ctx.namespace} namespace.")


async def subjects(ctx: Context, flags: Flags, args: list[str]) -> Found:
    """The objects named, all of a type if none is. Objects from files are read anew."""
    if not args and not flags.texts("filename"):
        raise KubectlError("required resource not specified")
    return await find(ctx, query_of(flags, args, everything=True, latest=True))
