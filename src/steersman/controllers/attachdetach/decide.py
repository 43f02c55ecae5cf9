"""From what a node's pods want and what is attached to the next steps. Pure."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from steersman.api.resources import NODES, VOLUME_ATTACHMENTS
from steersman.controllers.attachdetach.wanted import View, Wanted
from steersman.loop.attachments import attachment_name, parts
from steersman.loop.spec import Action, Create, Decision, Delete, Emit, Patch
from steersman.machinery.meta import Obj, dig, is_condition_true, is_deleting, name_of, uid_of

FORCE_AFTER = timedelta(minutes=6)
"""Upstream's maxWaitForUnmountDuration: a node that is not well is no longer asked whether it has let go."""
RETRY_S = 10.0
_OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"


def decide(view: View, overdue: Collection[str]) -> Decision:
    """overdue: attachments that have not been wanted for FORCE_AFTER."""
    actions: list[Action] = []
    again_s: float | None = None
    for name, wanted in view.volumes.items():
        found = view.attachments.get(name)
        if found is None and wanted.elsewhere:
            actions += _refusals(wanted)
            again_s = RETRY_S
        elif found is None:
            actions.append(Create(VOLUME_ATTACHMENTS, _attachment(view.name, name, wanted.volume)))
        else:
            actions += _outcome(view, wanted, found)
    leaving = [each for name, each in view.attachments.items() if name not in view.volumes]
    going = [each for each in leaving if not is_deleting(each) and _may_go(view, name_of(each), name_of(each) in overdue)]
    if len(going) < len([each for each in leaving if not is_deleting(each)]):
        again_s = RETRY_S
    # The node learns first that it has them no more.
    actions += _shown(view, {name_of(each) for each in going})
    actions += [Delete(VOLUME_ATTACHMENTS, "", name_of(each), uid_of(each)) for each in going]
    return Decision(actions, again_after_s=again_s)


def _attachment(node: str, name: str, volume: Obj) -> Obj:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "VolumeAttachment",
        "metadata": {"name": name},
        "spec": {
            "attacher": volume["spec"]["csi"]["driver"],
            "nodeName": node,
            "source": {"persistentVolumeName": name_of(volume)},
        },
    }


def _refusals(wanted: Wanted) -> list[Action]:
    if wanted.others:
        why = f"Volume is already used by pod(s) {', '.join(sorted(name_of(pod) for pod in wanted.others))}"
    else:
        why = "Volume is already exclusively attached to one node and can't be attached to another"
    text = f'Multi-Attach error for volume "{name_of(wanted.volume)}" {why}'
    return [Emit(pod, "Warning", "FailedAttachVolume", text) for pod in wanted.pods]


def _outcome(view: View, wanted: Wanted, attachment: Obj) -> list[Action]:
    """Told to the pods: once that it is attached, and what is against it."""
    name = name_of(wanted.volume)
    if dig(attachment, "status", "attached", default=False):
        if wanted.unique in _attached(view.node):
            return []
        text = f'AttachVolume.Attach succeeded for volume "{name}" '
        return [Emit(pod, "Normal", "SuccessfulAttachVolume", text) for pod in wanted.pods]
    why = dig(attachment, "status", "attachError", "message", default="")
    text = f'AttachVolume.Attach failed for volume "{name}" : {why}'
    return [Emit(pod, "Warning", "FailedAttachVolume", text) for pod in wanted.pods] if why else []


def _may_go(view: View, name: str, overdue: bool) -> bool:
    if view.node is None or name not in view.in_use:
        return True
    taints = dig(view.node, "spec", "taints", default=None) or ()
    if any(taint.get("key") == _OUT_OF_SERVICE for taint in taints):
        return True
    return overdue and not is_condition_true(view.node, "Ready")


def _attached(node: Obj | None) -> list[str]:
    found = dig(node or {}, "status", "volumesAttached", default=None) or ()
    return [str(each["name"]) for each in found]


def _shown(view: View, going: Collection[str]) -> list[Action]:
    """Node.status.volumesAttached, if it is to change; what is not CSI's stays as it is."""
    if view.node is None:
        return []
    shown = dig(view.node, "status", "volumesAttached", default=None) or []
    have = {each["name"] for each in shown}
    fresh = {
        wanted.unique
        for name, wanted in view.volumes.items()
        if name in view.attachments and dig(view.attachments[name], "status", "attached", default=False)
    }
    kept = [each for each in shown if parts(each["name"]) is None or each["name"] in fresh or _stays(view, each["name"], going)]
    after = kept + [{"name": name, "devicePath": ""} for name in sorted(fresh - have)]
    if after == shown:
        return []
    return [Patch(NODES, "", view.name, {"status": {"volumesAttached": after}}, "merge", "status")]


def _stays(view: View, unique: str, going: Collection[str]) -> bool:
    """Not wanted any more, but attached and not yet to go."""
    found = parts(unique)
    name = attachment_name(found[1], found[0], view.name) if found is not None else ""
    left = view.attachments.get(name)
    return left is not None and name not in going and name not in view.volumes and not is_deleting(left)
