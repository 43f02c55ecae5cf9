"""`kubectl rollout undo`: back to the template of an earlier revision."""

from __future__ import annotations

from copy import deepcopy

from steersman.cli.kubectl import common
from steersman.cli.kubectl.command import Command
from steersman.cli.kubectl.commands.rollout.history import KINDS
from steersman.cli.kubectl.commands.rollout.revisions import POD_TEMPLATE_HASH, REVISION, Revision, described, revisions
from steersman.cli.kubectl.commands.rollout.subjects import SELECTING, kind_of, subjects
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError, raise_all
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.resources import Info
from steersman.cli.kubectl.writing import Writer
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Obj, annotations_of, dig

_SKIPPED = "skipped rollback (current template already matches revision {})"
# A Deployment keeps these whatever revision it goes to; all its other annotations are the ReplicaSet's.
_KEPT = (
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    "deployment.kubernetes.io/revision-history",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
)


async def _undo(ctx: Context, flags: Flags, args: list[str]) -> int:
    writer = Writer(ctx, "kubectl-rollout")
    found = await subjects(ctx, flags, args)
    for info in found.infos:
        try:
            if (info.resource.group, info.resource.kind) not in KINDS:
                raise KubectlError(f'no rollbacker has been implemented for "{kind_of(info)}"')
            roll = _deployment if info.resource.kind == "Deployment" else _other
            writer.tell(info, await roll(ctx, writer, info, flags.number("to-revision")))
        except (StatusError, KubectlError) as error:
            found.errors.append(error)
    raise_all(found.errors)
    return 0


async def _deployment(ctx: Context, writer: Writer, info: Info, number: int) -> str:
    if number < 0:
        raise _missing(number)
    known = await revisions(ctx, info)
    if number:
        target = known.get(number)
        if target is None:
            raise _missing(number)
    else:
        target = _previous(known, f'no rollout history found for deployment "{info.name}"')
    template = _without_hash(target.template)
    if writer.local:
        return described(target.template)
    if dig(info.object, "spec", "paused"):
        raise KubectlError("you cannot rollback a paused deployment; resume it first with 'kubectl rollout resume' and try again")
    if template == _without_hash(dig(info.object, "spec", "template", default={})):
        return _SKIPPED.format(target.number)
    mine, theirs = annotations_of(info.object), annotations_of(target.holder)
    held = {key: value for key, value in mine.items() if key in _KEPT}
    held |= {key: value for key, value in theirs.items() if key not in _KEPT}
    patch = [
        {"op": "replace", "path": "/spec/template", "value": template},
        {"op": "replace", "path": "/metadata/annotations", "value": held},
    ]
    await writer.patch(info, patch, "json")
    return "rolled back"


async def _other(ctx: Context, writer: Writer, info: Info, number: int) -> str:
    if number < 0:
        raise _missing(number)
    known = await revisions(ctx, info)
    if number and number not in known:
        raise _missing(number)
    target = known[number] if number else _previous(known, "no last revision to roll back to")
    if writer.local:
        return f"will roll back to {described(target.template)}"
    current = dict(dig(info.object, "spec", "template", default={}))
    if target.template == current:
        return _SKIPPED.format(target.number)
    await writer.patch(info, target.holder["data"], "strategic")
    return "rolled back"


def _previous(known: dict[int, Revision], why: str) -> Revision:
    """The last but one."""
    if len(known) < 2:
        raise KubectlError(why)
    return known[sorted(known)[-2]]


def _without_hash(template: Obj) -> Obj:
    made = deepcopy(template)
    dig(made, "metadata", "labels", default={}).pop(POD_TEMPLATE_HASH, None)
    return made


def _missing(number: int) -> KubectlError:
    return KubectlError(f"unable to find specified revision {number} in history")


UNDO = Command(
    "Roll back to a previous rollout.",
    "rollout undo (TYPE NAME | TYPE/NAME) [flags] [options]",
    (
        Flag("to-revision", "int", "The revision to rollback to. Default to 0 (last revision)."),
        common.DRY_RUN,
        *SELECTING,
        *common.PRINTING,
    ),
    _undo,
)
