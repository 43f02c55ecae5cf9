"""What the pods of a node want attached, and what is: read from the caches. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from steersman.api.resources import CSI_DRIVERS, NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, VOLUME_ATTACHMENTS
from steersman.loop.attachments import attachment_name, parts, unique_name
from steersman.loop.pods import is_finished, node_of
from steersman.loop.spec import Snapshot
from steersman.machinery.meta import Obj, annotations_of, controller_of, dig, name_of, namespace_of, uid_of

BY_CLAIM, PODS_OF_NODE = "attachdetach-pods-by-claim", "attachdetach-pods-by-node"
BY_NODE, BY_VOLUME = "attachments-by-node", "attachments-by-volume"
_MANAGED = "volumes.kubernetes.io/controller-managed-attach-detach"
_SHARED_MODES = frozenset(("ReadOnlyMany", "ReadWriteMany"))


def claims_of(pod: Obj) -> Iterable[tuple[str, bool]]:
    """(claim, whether it must be the pod's own) of each volume by claim."""
    for volume in dig(pod, "spec", "volumes", default=None) or ():
        if volume.get("persistentVolumeClaim"):
            yield str(volume["persistentVolumeClaim"]["claimName"]), False
        elif volume.get("ephemeral") is not None:
            yield f"{name_of(pod)}-{volume['name']}", True


def claim_keys(pod: Obj) -> Iterable[str]:
    return [f"{namespace_of(pod)}/{name}" for name, _ in claims_of(pod)]


def claiming(pod: Obj) -> Iterable[str]:
    """Its node, if it has claims at all."""
    return (node_of(pod),) if node_of(pod) and any(claims_of(pod)) else ()


def node_of_attachment(attachment: Obj) -> Iterable[str]:
    return (str(attachment["spec"]["nodeName"]),)


def volume_of_attachment(attachment: Obj) -> Iterable[str]:
    name = dig(attachment, "spec", "source", "persistentVolumeName", default="")
    return (str(name),) if name else ()


@dataclass(slots=True)
class Wanted:
    """A volume that pods of a node want. `elsewhere`: attachments to other nodes, where it may be at one only."""

    volume: Obj
    pods: list[Obj] = field(default_factory=list)
    elsewhere: Sequence[Obj] = ()
    others: Sequence[Obj] = ()
    """Pods of those other nodes that use it."""

    @property
    def unique(self) -> str:
        return unique_name(self.volume["spec"]["csi"]["driver"], self.volume["spec"]["csi"]["volumeHandle"])


@dataclass(slots=True)
class View:
    """One node: by attachment name, what is wanted and what there is. `in_use`: names of attachments the kubelet needs."""

    name: str
    node: Obj | None
    volumes: dict[str, Wanted]
    attachments: Mapping[str, Obj]
    in_use: frozenset[str]


def of_node(snapshot: Snapshot, name: str) -> View:
    node = snapshot.get(NODES, "", name)
    volumes: dict[str, Wanted] = {}
    managed = node is not None and annotations_of(node).get(_MANAGED) == "true"
    for pod in snapshot.indexed(PODS, PODS_OF_NODE, name) if managed else ():
        if is_finished(pod):
            continue
        for volume in _volumes_of(snapshot, pod):
            csi = volume["spec"]["csi"]
            found = attachment_name(csi["volumeHandle"], csi["driver"], name)
            volumes.setdefault(found, Wanted(volume)).pods.append(pod)
    for each in volumes.values():
        if not _SHARED_MODES & set(each.volume["spec"].get("accessModes") or ()):
            each.elsewhere = [
                other
                for other in snapshot.indexed(VOLUME_ATTACHMENTS, BY_VOLUME, name_of(each.volume))
                if other["spec"]["nodeName"] != name
            ]
            each.others = _users_elsewhere(snapshot, each.volume, name) if each.elsewhere else ()
    attachments = {name_of(each): each for each in snapshot.indexed(VOLUME_ATTACHMENTS, BY_NODE, name) if _is_ours(each)}
    named = [parts(each) for each in dig(node or {}, "status", "volumesInUse", default=None) or ()]
    in_use = frozenset(attachment_name(each[1], each[0], name) for each in named if each is not None)
    return View(name, node, volumes, attachments, in_use)


def _is_ours(attachment: Obj) -> bool:
    """Others may attach volumes as well, under names of their own."""
    return name_of(attachment).startswith("csi-") and bool(list(volume_of_attachment(attachment)))


def _volumes_of(snapshot: Snapshot, pod: Obj) -> Iterable[Obj]:
    """The pod's volumes that are to be attached, as far as they are bound."""
    for name, own in claims_of(pod):
        claim = snapshot.get(PERSISTENT_VOLUME_CLAIMS, namespace_of(pod), name)
        if claim is None or dig(claim, "status", "phase") != "Bound":
            continue
        if own and (controller_of(claim) or {}).get("uid") != uid_of(pod):
            continue
        volume = snapshot.get(PERSISTENT_VOLUMES, "", dig(claim, "spec", "volumeName", default=""))
        if volume is None or dig(volume, "spec", "claimRef", "uid") != uid_of(claim) or dig(volume, "spec", "csi") is None:
            continue
        driver = snapshot.get(CSI_DRIVERS, "", volume["spec"]["csi"]["driver"])
        if driver is None or dig(driver, "spec", "attachRequired", default=True):
            yield volume


def _users_elsewhere(snapshot: Snapshot, volume: Obj, node: str) -> list[Obj]:
    ref = volume["spec"]["claimRef"]
    pods = snapshot.indexed(PODS, BY_CLAIM, f"{ref.get('namespace')}/{ref.get('name')}")
    return [pod for pod in pods if node_of(pod) not in ("", node) and not is_finished(pod)]
