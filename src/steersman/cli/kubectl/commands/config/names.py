"""`kubectl config`: listing, choosing, renaming and deleting whole entries."""

from __future__ import annotations

from steersman.cli.kubectl import usage
from steersman.cli.kubectl.command import Command, Run
from steersman.cli.kubectl.commands.config.store import SECTIONS, open_store
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError
from steersman.cli.kubectl.flags import Flags


def need_args(ctx: Context, command: Command, args: list[str], count: int, word: str = "Unexpected") -> None:
    """The help on stdout and an error, unless there are that many arguments."""
    if len(args) != count:
        ctx.out.write(usage.of(ctx.command, command))
        raise KubectlError(f"{word} args: [{' '.join(args)}]")


async def _current_context(ctx: Context, flags: Flags, args: list[str]) -> int:
    current = open_store(ctx).merged().current
    if not current:
        raise KubectlError("current-context is not set")
    ctx.print(current)
    return 0


async def _use_context(ctx: Context, flags: Flags, args: list[str]) -> int:
    need_args(ctx, USE_CONTEXT, args, 1)
    store = open_store(ctx)
    if args[0] not in store.merged().entries["contexts"]:
        raise KubectlError(f'no context exists with the name: "{args[0]}"')
    store.set_current(args[0])
    ctx.print(f'Switched to context "{args[0]}".')
    return 0


async def _rename_context(ctx: Context, flags: Flags, args: list[str]) -> int:
    need_args(ctx, RENAME_CONTEXT, args, 2)
    old, new = args
    store = open_store(ctx)
    found = store.merged()
    lead = f'cannot rename the context "{old}"'
    if old not in found.entries["contexts"]:
        raise KubectlError(f"{lead}, it's not in {store.default}")
    if new in found.entries["contexts"]:
        raise KubectlError(f'{lead}, the context "{new}" already exists in {store.default}')
    content = found.entries["contexts"][old]
    store.remove("contexts", old)
    store.put("contexts", new, content)
    if found.current == old:
        store.set_current(new)
    ctx.print(f'Context "{old}" renamed to "{new}".')
    return 0


def _listing(section: str) -> Run:
    async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
        ctx.print("NAME")
        for name in sorted(open_store(ctx).merged().entries[section]):
            ctx.print(name)
        return 0

    return run


def _deleting(section: str) -> Run:
    kind = SECTIONS[section]

    async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
        if len(args) != 1:
            ctx.out.write(usage.of(ctx.command, _DELETING[section]))
            return 0
        store = open_store(ctx)
        found = store.merged()
        if args[0] not in found.entries[section]:
            raise KubectlError(f"cannot delete {kind} {args[0]}, not in {store.default}")
        if section == "contexts" and found.current == args[0]:
            ctx.complain('warning: this removed your active context, use "kubectl config use-context" to select a different one')
        store.remove(section, args[0])
        ctx.print(f"deleted {kind} {args[0]} from {store.default}")
        return 0

    return run


CURRENT_CONTEXT = Command("Display the current-context.", "config current-context [flags] [options]", run=_current_context)
USE_CONTEXT = Command(
    "Set the current-context in a kubeconfig file.", "config use-context CONTEXT_NAME [options]", run=_use_context
)
RENAME_CONTEXT = Command(
    "Renames a context from the kubeconfig file.", "config rename-context CONTEXT_NAME NEW_NAME [options]", run=_rename_context
)
GET_CLUSTERS = Command(
    "Display clusters defined in the kubeconfig.", "config get-clusters [flags] [options]", run=_listing("clusters")
)
GET_USERS = Command("Display users defined in the kubeconfig.", "config get-users [flags] [options]", run=_listing("users"))
DELETE_CLUSTER = Command(
    "Delete the specified cluster from the kubeconfig.", "config delete-cluster NAME [options]", run=_deleting("clusters")
)
DELETE_CONTEXT = Command(
    "Delete the specified context from the kubeconfig.", "config delete-context NAME [options]", run=_deleting("contexts")
)
DELETE_USER = Command(
    "Delete the specified user from the kubeconfig.", "config delete-user NAME [options]", run=_deleting("users")
)
_DELETING = {"clusters": DELETE_CLUSTER, "contexts": DELETE_CONTEXT, "users": DELETE_USER}
