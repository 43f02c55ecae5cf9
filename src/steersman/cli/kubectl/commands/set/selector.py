"""`kubectl set selector`: of a Service."""

from __future__ import annotations

from steersman.cli.kubectl import common
from steersman.cli.kubectl.command import Command
from steersman.cli.kubectl.commands.set.change import FLAGS, change_all
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError
from steersman.cli.kubectl.flags import Flags
from steersman.cli.kubectl.resources import Info
from steersman.machinery.meta import metadata


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    if not args:
        raise KubectlError("one or more resources must be specified as <resource> <name> or <resource>/<name>")
    *resources, text = args
    labels: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals:
            raise KubectlError(f"invalid selector: {text}")
        labels[key.strip()] = value.strip().removeprefix("=")

    def change(info: Info) -> None:
        if info.resource.kind != "Service":
            raise KubectlError("error: setting a selector is only supported for Services")
        info.object["spec"]["selector"] = labels
        if version := flags.text("resource-version"):
            metadata(info.object)["resourceVersion"] = version

    return await change_all(ctx, resources, change, "selector")


SELECTOR = Command(
    "Set the selector on a resource.",
    "set selector (-f FILENAME | TYPE NAME) EXPRESSIONS [--resource-version=version] [options]",
    (*(flag for flag in FLAGS if flag.name != "selector"), common.RESOURCE_VERSION),
    run,
)
