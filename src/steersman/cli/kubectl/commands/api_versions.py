"""`kubectl api-versions`: the group versions that the server serves."""

from __future__ import annotations

from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import UsageError
from steersman.cli.kubectl.flags import Flags

SUMMARY = 'Print the supported API versions on the server, in the form of "group/version".'
USAGE = "api-versions"
EXAMPLES = "  # Print the supported API versions\n  kubectl api-versions"


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    if args:
        raise UsageError(ctx.command, f"unexpected arguments: [{' '.join(args)}]")
    groups = await ctx.client.raw("GET", "/apis")
    core = await ctx.client.raw("GET", "/api")
    found = [version["groupVersion"] for group in groups["groups"] for version in group["versions"]]
    for version in sorted([*found, *core["versions"]]):
        ctx.print(version)
    return 0
