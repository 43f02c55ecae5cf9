"""`kubectl scale`: the scale subresource of whatever has one."""

from __future__ import annotations

from steersman.cli.kubectl import common
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError, PlainError, raise_all
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.resources import Info, find, query_of
from steersman.cli.kubectl.writing import Writer
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import dig, resource_version_of

SUMMARY = """Set a new size for a deployment, replica set, replication controller, or stateful set.

 Scale also allows users to specify one or more preconditions for the scale action."""
USAGE = "scale [--resource-version=version] [--current-replicas=count] --replicas=COUNT (-f FILENAME | TYPE NAME) [options]"
EXAMPLES = """  # Scale a replica set named 'foo' to 3
  kubectl scale --replicas=3 rs/foo

  # If the deployment named mysql's current size is 2, scale mysql to 3
  kubectl scale --current-replicas=2 --replicas=3 deployment/mysql"""
FLAGS = (
    Flag("all", "bool", "Select all resources in the namespace of the specified resource types"),
    Flag("current-replicas", "int", "Precondition for current size. The current size must match this value.", default=-1),
    common.DRY_RUN,
    Flag("replicas", "int", "The new desired number of replicas. Required."),
    common.RESOURCE_VERSION,
    common.SELECTOR,
    Flag("timeout", "duration", "The length of time to wait before giving up on a scale operation, zero means don't wait."),
    *common.FILES,
    *common.PRINTING,
)
_LOOK_S = 0.2


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    if not flags.changed("replicas"):
        raise PlainError('error: required flag(s) "replicas" not set')
    count = flags.number("replicas")
    if count < 0:
        raise KubectlError("The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0")
    writer = Writer(ctx, "kubectl")
    found = await find(ctx, query_of(flags, args, latest=True))
    if flags.text("resource-version") and len(found.infos) > 1:
        raise KubectlError("cannot use --resource-version with multiple resources")
    if not found.infos:
        raise KubectlError(" ".join(["no objects passed to scale", *map(str, found.errors)]))
    done: list[Info] = []
    for info in found.infos:
        try:
            if not writer.local:
                await _scale(ctx, flags, writer, info, count)
        except (StatusError, KubectlError) as error:
            found.errors.append(error)
            continue
        writer.tell(info, "scaled")
        done.append(info)
    if flags.seconds("timeout") and writer.dry_run == "none":
        for info in done:
            await _wait(ctx, info, count, flags.seconds("timeout"))
    raise_all(found.errors)
    return 0


async def _scale(ctx: Context, flags: Flags, writer: Writer, info: Info, count: int) -> None:
    """With preconditions, what was checked must still be so when it is changed: the version goes with it."""
    patch: dict[str, object] = {"spec": {"replicas": count}}
    expected, version = flags.number("current-replicas"), flags.text("resource-version")
    if expected >= 0 or version:
        scale = await ctx.client.get(info.resource, info.name, info.namespace, subresource="scale")
        current = int(dig(scale, "spec", "replicas", default=0))
        if expected >= 0 and current != expected:
            raise KubectlError(f"Expected replicas to be {expected}, was {current}")
        live = str(resource_version_of(scale))
        if version and live != version:
            raise KubectlError(f"Expected resource version to be {version}, was {live}")
        patch["metadata"] = {"resourceVersion": live}
    await writer.patch(info, patch, "merge", subresource="scale")


async def _wait(ctx: Context, info: Info, count: int, timeout_s: float) -> None:
    """Until the status shows as many as are wanted."""
    end = ctx.clock.monotonic() + timeout_s
    while True:
        scale = await ctx.client.get(info.resource, info.name, info.namespace, subresource="scale")
        # Someone else may scale meanwhile: then this is not ours to wait for.
        if dig(scale, "spec", "replicas", default=0) != count or dig(scale, "status", "replicas", default=0) == count:
            return
        if ctx.clock.monotonic() >= end:
            raise KubectlError(f'timed out waiting for "{info.name}" to be synced')
        await ctx.clock.sleep(_LOOK_S)
