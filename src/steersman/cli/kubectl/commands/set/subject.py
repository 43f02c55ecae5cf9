"""`kubectl set subject`: add users, groups and service accounts to role bindings."""

from __future__ import annotations

from steersman.cli.kubectl.command import Command
from steersman.cli.kubectl.commands.create.rbac import SUBJECTS, subjects_of
from steersman.cli.kubectl.commands.set.change import FLAGS, change_all
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError
from steersman.cli.kubectl.flags import Flags
from steersman.cli.kubectl.resources import Info

_BINDINGS = frozenset({"RoleBinding", "ClusterRoleBinding"})


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    added = subjects_of(flags)
    if not added:
        raise KubectlError("you must specify at least one value of user, group or serviceaccount")

    def change(info: Info) -> None:
        if info.resource.kind not in _BINDINGS:
            raise KubectlError("error: setting subjects is only supported for RoleBinding/ClusterRoleBinding")
        known = info.object.setdefault("subjects", [])
        known += [subject for subject in added if subject not in known]

    return await change_all(ctx, args, change, "subjects")


SUBJECT = Command(
    "Update the user, group, or service account in a role binding or cluster role binding.",
    "set subject (-f FILENAME | TYPE NAME) [--user=username] [--group=groupname] [--serviceaccount=namespace:name] [options]",
    (*SUBJECTS, *FLAGS),
    run,
)
