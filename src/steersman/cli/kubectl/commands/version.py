"""`kubectl version`: of this client and of the server."""

from __future__ import annotations

import json
import platform
import re
import sys

from steersman import KUBERNETES_VERSION
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Obj

SUMMARY = "Print the client and server version information for the current context."
USAGE = "version [flags] [options]"
EXAMPLES = "  # Print the client and server versions for the current context\n  kubectl version"
FLAGS = (
    Flag("client", "bool", "If true, shows client version only (no server required)."),
    Flag("output", help="One of 'yaml' or 'json'.", short="o"),
)
_SUPPORTED_SKEW = 1


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    if args:
        raise KubectlError(f"extra arguments: [{' '.join(args)}]")
    output = flags.text("output")
    if output not in ("", "yaml", "json"):
        raise KubectlError("--output must be 'yaml' or 'json'")
    found: Obj = {"clientVersion": client_version()}
    failure: Exception | None = None
    if not flags.on("client"):
        try:
            found["serverVersion"] = await ctx.client.raw("GET", "/version")
        except (OSError, StatusError) as error:
            failure = error
    _print(ctx, found, output)
    if "serverVersion" in found:
        _warn_of_skew(ctx, found["clientVersion"], found["serverVersion"])
    if failure is not None:
        raise failure
    return 0


def client_version() -> Obj:
    """A version.Info of this program."""
    number = KUBERNETES_VERSION.removeprefix("v")
    major, minor, _ = number.split(".", 2)
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"v{number}+steersman",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": f"python{platform.python_version()}",
        "compiler": sys.implementation.name,
        "platform": f"linux/{machine}",
    }


def _print(ctx: Context, found: Obj, output: str) -> None:
    if output == "json":
        ctx.print(json.dumps(found, indent=2))
    elif output == "yaml":
        from steersman.machinery import yamlio

        ctx.print(yamlio.dump(found))
    else:
        ctx.print(f"Client Version: {found['clientVersion']['gitVersion']}")
        if "serverVersion" in found:
            ctx.print(f"Server Version: {found['serverVersion'].get('gitVersion', '')}")


def _warn_of_skew(ctx: Context, client: Obj, server: Obj) -> None:
    ours, theirs = _numbers(client), _numbers(server)
    if ours is None or theirs is None or (ours[0] == theirs[0] and abs(ours[1] - theirs[1]) <= _SUPPORTED_SKEW):
        return
    ctx.complain(
        f"WARNING: version difference between client ({ours[0]}.{ours[1]}) and server ({theirs[0]}.{theirs[1]}) "
        f"exceeds the supported minor version skew of +/-{_SUPPORTED_SKEW}"
    )


def _numbers(version: Obj) -> tuple[int, int] | None:
    found = re.match(r"v([0-9]+)\.([0-9]+)", str(version.get("gitVersion") or ""))
    return (int(found[1]), int(found[2])) if found else None
