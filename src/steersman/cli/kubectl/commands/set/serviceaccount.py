"""`kubectl set serviceaccount`."""

from __future__ import annotations

from steersman.cli.kubectl.command import Command
from steersman.cli.kubectl.commands.set.change import FLAGS, change_all
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError
from steersman.cli.kubectl.flags import Flags
from steersman.cli.kubectl.podtemplates import pod_spec_of
from steersman.cli.kubectl.resources import Info


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    if not args:
        raise KubectlError("serviceaccount is required")
    *resources, account = args

    def change(info: Info) -> None:
        spec = pod_spec_of(info)
        # The old name of the field is kept equal by the server; sent along so that a merge leaves no doubt.
        spec["serviceAccountName"] = account
        if "serviceAccount" in spec:
            spec["serviceAccount"] = account

    return await change_all(ctx, resources, change, "serviceaccount")


SERVICE_ACCOUNT = Command(
    "Update the service account of a resource.\n\n Update the service account of pod template resources.",
    "set serviceaccount (-f FILENAME | TYPE NAME) SERVICE_ACCOUNT [options]",
    FLAGS,
    run,
)
