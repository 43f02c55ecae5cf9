"""What every `set` does: change objects here, send the difference, say what was updated, but not what stays as it is."""

from __future__ import annotations

import copy
from collections.abc import Callable

from steersman.cli.kubectl import common
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import Aggregate, KubectlError
from steersman.cli.kubectl.flags import Flag
from steersman.cli.kubectl.patching import difference
from steersman.cli.kubectl.resources import Found, Info, Query, find, query_of
from steersman.cli.kubectl.writing import Writer
from steersman.machinery.errors import StatusError

FLAGS = (
    Flag("all", "bool", "Select all resources, in the namespace of the specified resource types"),
    common.DRY_RUN,
    common.field_manager("kubectl-set"),
    common.LOCAL,
    common.SELECTOR,
    *common.FILES,
    *common.PRINTING,
)

Change = Callable[[Info], None]
"""Changes `info.obj` in place. KubectlError (with its own `error: `) where that is not possible."""


def query(ctx: Context, resources: list[str]) -> Query:
    local = ctx.flags.on("local")
    return query_of(ctx.flags, resources, latest=not local, fetch=not local, local=local)


async def change_all(ctx: Context, resources: list[str], change: Change, what: str) -> int:
    """`what`: `image`, in `deployment.apps/web image updated`."""
    writer = Writer(ctx, "kubectl-set")
    found = await find(ctx, query(ctx, resources))
    await send(ctx, writer, found, change, what)
    return 0


async def send(ctx: Context, writer: Writer, found: Found, change: Change, what: str) -> None:
    """Raises Aggregate at the end for all that went wrong."""
    local = ctx.flags.on("local")
    for info in found.infos:
        before = copy.deepcopy(info.object)
        try:
            change(info)
            kind, patch = difference(info.resource, before, info.object)
            if not patch and not local:
                continue
            if not local and not writer.local:
                info.refresh(await writer.patch(info, patch, kind))
        except StatusError as error:
            found.errors.append(KubectlError(f"failed to patch {what} update to pod template: {error.message}"))
            continue
        except KubectlError as error:
            found.errors.append(error)
            continue
        writer.tell(info, f"{what} updated", alone=True)
    if found.errors:
        raise Aggregate(found.errors)
