"""The attach/detach controller: volumes of CSI drivers that must be attached to a node before its kubelet can mount them.

For every node: VolumeAttachments for what its pods want, none for what they want no more and the kubelet has let go of. The
driver's attacher does the work and says so in their status. What is attached is written into Node.status.volumesAttached.
Source: upstream pkg/controller/volume/attachdetach. Not here: types of volumes built into upstream.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from steersman.api.resources import CSI_DRIVERS, NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, VOLUME_ATTACHMENTS
from steersman.controllers.attachdetach import wanted
from steersman.controllers.attachdetach.decide import FORCE_AFTER, decide
from steersman.loop.pods import node_of
from steersman.loop.spec import ControllerSpec, Decision, Snapshot, Watch
from steersman.machinery.meta import Key, Obj, dig, key_of, name_of

NAME = "attachdetach-controller"


class _Controller:
    """Remembers since when attachments are no longer wanted: nobody waits for ever for a kubelet that is gone."""

    def __init__(self) -> None:
        self._unwanted_since: dict[str, datetime] = {}

    def reconcile(self, snapshot: Snapshot, key: Key, now: datetime) -> Decision:
        node = key[1]
        view = wanted.of_node(snapshot, node)
        for name in view.attachments:
            if name in view.volumes:
                self._unwanted_since.pop(name, None)
            else:
                self._unwanted_since.setdefault(name, now)
        if not view.attachments:
            self._forget(snapshot)
        overdue = {name for name in view.attachments if now - self._unwanted_since.get(name, now) >= FORCE_AFTER}
        return decide(view, overdue)

    def _forget(self, snapshot: Snapshot) -> None:
        known = {name_of(each) for each in snapshot.list(VOLUME_ATTACHMENTS)} if self._unwanted_since else set()
        self._unwanted_since = {name: since for name, since in self._unwanted_since.items() if name in known}


def _pod_keys(pod: Obj) -> Iterable[Key]:
    return (("", node_of(pod)),) if node_of(pod) and any(wanted.claims_of(pod)) else ()


def _claim_keys(claim: Obj, snapshot: Snapshot) -> Iterable[Key]:
    namespace, name = key_of(claim)
    return {("", node_of(pod)) for pod in snapshot.indexed(PODS, wanted.BY_CLAIM, f"{namespace}/{name}") if node_of(pod)}


def _volume_keys(volume: Obj, snapshot: Snapshot) -> Iterable[Key]:
    ref = dig(volume, "spec", "claimRef", default=None)
    if not ref or dig(volume, "spec", "csi") is None:
        return ()
    return _claim_keys({"metadata": {"namespace": ref.get("namespace", ""), "name": ref.get("name", "")}}, snapshot)


def _attachment_keys(attachment: Obj, snapshot: Snapshot) -> Iterable[Key]:
    """Its node's, and those of nodes that may have waited for the volume."""
    yield "", str(attachment["spec"]["nodeName"])
    volume = snapshot.get(PERSISTENT_VOLUMES, "", dig(attachment, "spec", "source", "persistentVolumeName", default=""))
    if volume is not None:
        yield from _volume_keys(volume, snapshot)


def _node_keys(node: Obj, snapshot: Snapshot) -> Iterable[Key]:
    return (("", name_of(node)),) if snapshot.indexed(VOLUME_ATTACHMENTS, wanted.BY_NODE, name_of(node)) else ()


def spec() -> ControllerSpec:
    return ControllerSpec(
        name=NAME,
        watches=(
            Watch(PODS, keys=_pod_keys, indexes={wanted.BY_CLAIM: wanted.claim_keys, wanted.PODS_OF_NODE: wanted.claiming}),
            Watch(PERSISTENT_VOLUME_CLAIMS, keys_with=_claim_keys),
            Watch(PERSISTENT_VOLUMES, keys_with=_volume_keys),
            Watch(
                VOLUME_ATTACHMENTS,
                keys_with=_attachment_keys,
                indexes={wanted.BY_NODE: wanted.node_of_attachment, wanted.BY_VOLUME: wanted.volume_of_attachment},
            ),
            Watch(NODES, keys_with=_node_keys),
            Watch(CSI_DRIVERS),
        ),
        reconcile=_Controller().reconcile,
        every_s=60.0,
        periodic=lambda snapshot: {("", str(each["spec"]["nodeName"])) for each in snapshot.list(VOLUME_ATTACHMENTS)},
    )
