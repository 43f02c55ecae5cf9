"""Claims, volumes and storage classes as the scheduler sees them: what a pod's claims ask of its node, and what is promised.

A pod's volumes decide where it may go (bound ones have a place), and where it goes decides what claims that wait for their
first consumer get. What was decided but is not yet written stands here as a promise, so that no two pods get one volume.
Pure. Not here: what each node says to it (placing.py). Source: upstream plugins/volumebinding (binder).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from steersman.loop.volumes import (
    BOUND_BY_CONTROLLER,
    SELECTED_NODE,
    claim_names,
    class_of,
    closeness,
    is_bound,
    may_serve,
    not_owner,
    requested,
    waits_for_consumer,
)
from steersman.machinery.meta import (
    Key,
    Obj,
    annotations_of,
    controller_of,
    dig,
    is_deleting,
    key_of,
    name_of,
    namespace_of,
    resource_version_of,
    uid_of,
)
from steersman.scheduler.nodeselector import term_matches_node
from steersman.scheduler.podinfo import PodInfo

_K = TypeVar("_K")

CsiVolume = tuple[str, str]
"""Driver and handle; of a volume that is yet to be made the claim, which has a slash where handles may have anything."""

UNBOUND_IMMEDIATE = "pod has unbound immediate PersistentVolumeClaims"


@dataclass(frozen=True, slots=True)
class Unbound:
    """A claim that waits for its consumer's node. `candidates`: names of volumes, closest first."""

    claim: Key
    candidates: tuple[str, ...]
    class_name: str
    selected: str


@dataclass(frozen=True, slots=True)
class Question:
    """What a pod's claims ask. `conflict`: why no node will do; `missing`: a claim's volume does not exist."""

    conflict: str = ""
    missing: bool = False
    bound: tuple[str, ...] = ()
    unbound: tuple[Unbound, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to be written and to come true before a pod may be bound to the node."""

    node: str
    claims: tuple[Key, ...]
    volumes: Mapping[Key, str]
    """Claims that get a volume which is there; the others have one made."""


class Volumes:
    """Objects by key; older versions than those held are passed over, as answers to writes come before the watch does."""

    def __init__(self) -> None:
        self.claims: dict[Key, Obj] = {}
        self.volumes: dict[str, Obj] = {}
        self.classes: dict[str, Obj] = {}
        self.limits: dict[str, Mapping[str, int]] = {}
        """By node and CSI driver: how many volumes."""
        self._promised: dict[str, Key] = {}
        self._selected: dict[Key, str] = {}

    # --- filling ---------------------------------------------------------------------------------------------------

    def set_claim(self, old: Obj | None, new: Obj | None) -> bool:
        """Whether anything changed that matters."""
        return _keep(self.claims, key_of(new or old or {}), new)

    def set_volume(self, old: Obj | None, new: Obj | None) -> bool:
        return _keep(self.volumes, name_of(new or old or {}), new)

    def set_class(self, old: Obj | None, new: Obj | None) -> bool:
        return _keep(self.classes, name_of(new or old or {}), new)

    def set_csi_node(self, old: Obj | None, new: Obj | None) -> bool:
        name, found = name_of(new or old or {}), dict[str, int]()
        for driver in dig(new or {}, "spec", "drivers", default=None) or ():
            if (count := dig(driver, "allocatable", "count", default=None)) is not None:
                found[driver["name"]] = int(count)
        if found == self.limits.get(name, {}):
            return False
        if found:
            self.limits[name] = found
        else:
            del self.limits[name]
        return True

    def promise(self, plan: Plan) -> None:
        for claim in plan.claims:
            self._selected[claim] = plan.node
        for claim, volume in plan.volumes.items():
            self._promised[volume] = claim

    def take_back(self, plan: Plan) -> None:
        """The promise is kept, or given up."""
        for claim in plan.claims:
            self._selected.pop(claim, None)
        for volume in plan.volumes.values():
            self._promised.pop(volume, None)

    # --- what a pod asks -------------------------------------------------------------------------------------------

    def question(self, pod: PodInfo) -> Question | None:
        """None: its volumes have no claims."""
        bound: list[str] = []
        unbound: list[Obj] = []
        immediate = missing = False
        namespace, found_any = pod.group.namespace, False
        for name in claim_names(pod.obj):
            found_any = True
            claim = self.claims.get((namespace, name))
            if why := _unusable(pod.obj, claim, name):
                return Question(conflict=why)
            if claim is None:
                continue
            if is_bound(claim):
                volume = claim["spec"]["volumeName"]
                missing = missing or volume not in self.volumes
                bound.append(volume)
            elif dig(claim, "spec", "volumeName") or not waits_for_consumer(self.classes.get(class_of(claim))):
                immediate = True
            else:
                unbound.append(claim)
        if immediate:
            return Question(conflict=UNBOUND_IMMEDIATE)
        if not found_any:
            return None
        # Small ones first: they must not take what only fits the large ones.
        unbound.sort(key=lambda claim: (requested(claim).nano, name_of(claim)))
        return Question(missing=missing, bound=tuple(bound), unbound=tuple(map(self._unbound, unbound)))

    def of_csi(self, pod: PodInfo) -> frozenset[CsiVolume]:
        """The volumes of CSI drivers that the pod's claims stand for, or will."""
        found = set[CsiVolume]()
        for name in claim_names(pod.obj):
            claim = self.claims.get((pod.group.namespace, name))
            if claim is None:
                continue
            if volume := dig(claim, "spec", "volumeName"):
                if source := dig(self.volumes.get(volume) or {}, "spec", "csi"):
                    found.add((source["driver"], source["volumeHandle"]))
            elif driver := (self.classes.get(class_of(claim)) or {}).get("provisioner"):
                found.add((driver, f"{pod.group.namespace}/{name}"))
        return frozenset(found)

    def _unbound(self, claim: Obj) -> Unbound:
        key = key_of(claim)
        selected = self._selected.get(key) or annotations_of(claim).get(SELECTED_NODE) or ""
        found = [volume for volume in self.volumes.values() if may_serve(volume, claim) and self._is_free(volume, key)]
        reserved = [volume for volume in found if dig(volume, "spec", "claimRef") is not None]
        found = sorted(reserved or found, key=closeness)
        return Unbound(key, tuple(name_of(volume) for volume in found), class_of(claim), selected)

    def _is_free(self, volume: Obj, claim: Key) -> bool:
        return self._promised.get(name_of(volume), claim) == claim

    # --- carrying out a plan ---------------------------------------------------------------------------------------

    def reservation(self, claim: Obj, volume: str) -> Obj | None:
        """The patch that keeps a volume for a claim; the binder does the rest. None if it is kept already."""
        held = self.volumes.get(volume)
        if held is None or (dig(held, "spec", "claimRef", default={}).get("uid") == uid_of(claim)):
            return None
        ref = {
            "kind": "PersistentVolumeClaim",
            "apiVersion": "v1",
            "namespace": namespace_of(claim),
            "name": name_of(claim),
            "uid": uid_of(claim),
            "resourceVersion": claim["metadata"]["resourceVersion"],
        }
        metadata: Obj = {"resourceVersion": held["metadata"]["resourceVersion"]}
        if dig(held, "spec", "claimRef") is None:
            metadata["annotations"] = {BOUND_BY_CONTROLLER: "yes"}
        return {"metadata": metadata, "spec": {"claimRef": ref}}

    def unfinished(self, plan: Plan, node: Obj) -> bool:
        """Whether there is still something to wait for. Raises ValueError when it will not come true."""
        waiting = False
        for key in plan.claims:
            claim = self.claims.get(key)
            if claim is None:
                raise ValueError(f'persistentvolumeclaim "{key[1]}" not found')
            if not is_bound(claim):
                if key not in plan.volumes and annotations_of(claim).get(SELECTED_NODE) != plan.node:
                    raise ValueError(f'provisioning failed for PVC "{key[1]}"')
                waiting = True
                continue
            volume = self.volumes.get(claim["spec"]["volumeName"])
            if volume is None:
                waiting = True
            elif not _reaches(volume, node):
                raise ValueError(f'pv "{name_of(volume)}" node affinity doesn\'t match node "{plan.node}"')
        return waiting


def is_own_claim(pod: PodInfo, claim: Obj | None) -> bool:
    """Whether the pod mounts this claim."""
    return claim is not None and namespace_of(claim) == pod.group.namespace and name_of(claim) in claim_names(pod.obj)


def _unusable(pod: Obj, claim: Obj | None, name: str) -> str:
    """Why a claim of that name keeps the pod from any node."""
    ephemeral = any(
        item.get("ephemeral") is not None and f"{name_of(pod)}-{item['name']}" == name for item in pod["spec"]["volumes"]
    )
    if claim is None and ephemeral:
        return f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{name}"'
    if claim is None:
        return f'persistentvolumeclaim "{name}" not found'
    if dig(claim, "status", "phase") == "Lost":
        gone = dig(claim, "spec", "volumeName", default="")
        return f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{gone}"'
    if is_deleting(claim):
        return f'persistentvolumeclaim "{name}" is being deleted'
    if ephemeral and (controller_of(claim) or {}).get("uid") != uid_of(pod):
        return not_owner(claim, pod)
    return ""


def _reaches(volume: Obj, node: Obj) -> bool:
    terms = dig(volume, "spec", "nodeAffinity", "required", "nodeSelectorTerms")
    return terms is None or any(term_matches_node(term, node) for term in terms)


def _keep(held: dict[_K, Obj], key: _K, new: Obj | None) -> bool:
    old = held.get(key)
    if new is None:
        return held.pop(key, None) is not None
    if old is not None and uid_of(old) == uid_of(new) and resource_version_of(new) <= resource_version_of(old):
        return False
    held[key] = new
    return True
