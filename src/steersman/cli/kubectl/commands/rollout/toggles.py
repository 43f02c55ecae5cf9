"""`kubectl rollout pause`, `resume` and `restart`: one small patch each."""

from __future__ import annotations

from collections.abc import Callable

from steersman.cli.kubectl import common
from steersman.cli.kubectl.command import Command, Run
from steersman.cli.kubectl.commands.rollout.subjects import SELECTING, subjects, tell_nothing_found
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError, raise_all
from steersman.cli.kubectl.flags import Flags
from steersman.cli.kubectl.resources import Info
from steersman.cli.kubectl.writing import Writer
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Obj, annotations_of, dig

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
_RESTARTABLE = ("Deployment", "DaemonSet", "StatefulSet")

Change = Callable[[Context, Info], Obj]
"""The strategic merge patch for an object. KubectlError (what follows its name) if there is nothing to do or it can't be done."""


def _pause(ctx: Context, info: Info) -> Obj:
    if info.resource.kind != "Deployment":
        raise KubectlError("pausing is not supported")
    if dig(info.object, "spec", "paused"):
        raise KubectlError("is already paused")
    return {"spec": {"paused": True}}


def _resume(ctx: Context, info: Info) -> Obj:
    if info.resource.kind != "Deployment":
        raise KubectlError("resuming is not supported")
    if not dig(info.object, "spec", "paused"):
        raise KubectlError("is not paused")
    return {"spec": {"paused": None}}


def _restart(ctx: Context, info: Info) -> Obj:
    if info.resource.kind not in _RESTARTABLE:
        raise KubectlError("restarting is not supported")
    if dig(info.object, "spec", "paused"):
        raise KubectlError("can't restart paused deployment (run rollout resume first)")
    now = ctx.clock.now().astimezone().isoformat(timespec="seconds").replace("+00:00", "Z")
    if annotations_of(dig(info.object, "spec", "template", default={})).get(RESTARTED_AT) == now:
        raise KubectlError(
            "if restart has already been triggered within the past second, please wait before attempting to trigger another"
        )
    return {"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: now}}}}}


def _runner(change: Change, done: str) -> Run:
    async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
        writer = Writer(ctx, "kubectl-rollout")
        found = await subjects(ctx, flags, args)
        tell_nothing_found(ctx, found)
        for info in found.infos:
            try:
                patch = change(ctx, info)
            except KubectlError as error:
                found.errors.append(KubectlError(f'{info.resource.qualified} "{info.name}" {error}'))
                continue
            try:
                info.refresh(await writer.patch(info, patch, "strategic"))
                writer.tell(info, done)
            except StatusError as error:
                found.errors.append(KubectlError(f"failed to patch: {error.message}"))
        raise_all(found.errors)
        return 0

    return run


_FLAGS = (common.field_manager("kubectl-rollout"), *SELECTING, *common.PRINTING)
PAUSE = Command(
    'Mark the provided resource as paused.\n\n Paused resources will not be reconciled by a controller. Use "kubectl rollout '
    'resume" to resume a paused resource. Currently only deployments support being paused.',
    "rollout pause RESOURCE [options]",
    _FLAGS,
    _runner(_pause, "paused"),
)
RESUME = Command(
    "Resume a paused resource.\n\n Paused resources will not be reconciled by a controller. By resuming a resource, we allow it "
    "to be reconciled again. Currently only deployments support being resumed.",
    "rollout resume RESOURCE [options]",
    _FLAGS,
    _runner(_resume, "resumed"),
)
RESTART = Command(
    "Restart a resource.\n\n Resource rollout will be restarted.",
    "rollout restart RESOURCE [options]",
    _FLAGS,
    _runner(_restart, "restarted"),
)
