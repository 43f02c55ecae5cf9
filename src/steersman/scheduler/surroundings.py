"""What of the cluster besides nodes and pods matters to scheduling: namespaces' labels, what selects pods, disruption budgets,
claims and volumes.

Pure; filled by run.py. Of each object only what is looked at is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from steersman.machinery.labels import Requirement, Selector, everything, from_label_selector, from_map
from steersman.machinery.meta import Key, Obj, controller_of, key_of, labels_of, name_of
from steersman.scheduler.podinfo import PodInfo
from steersman.scheduler.volumes import Plan, Volumes

SERVICE, REPLICATION_CONTROLLER, REPLICA_SET, STATEFUL_SET = "Service", "ReplicationController", "ReplicaSet", "StatefulSet"

_MAPS = (SERVICE, REPLICATION_CONTROLLER)
"""Kinds whose selector is a plain map."""


class Surroundings:
    """`version` grows with every change that can alter what a plugin says of a pod."""

    def __init__(self) -> None:
        self.version = 0
        self.namespaces: dict[str, Mapping[str, str]] = {}
        self._services: dict[str, dict[str, Mapping[str, str]]] = {}
        self._owners: dict[str, dict[Key, Selector]] = {kind: {} for kind in (REPLICATION_CONTROLLER, REPLICA_SET, STATEFUL_SET)}
        self._budgets: dict[str, dict[str, Obj]] = {}
        self.budgets_version = 0
        self.volumes = Volumes()
        self._setters = {
            "PersistentVolumeClaim": self.volumes.set_claim,
            "PersistentVolume": self.volumes.set_volume,
            "StorageClass": self.volumes.set_class,
            "CSINode": self.volumes.set_csi_node,
        }

    # --- filling ---------------------------------------------------------------------------------------------------

    def set_namespace(self, old: Obj | None, new: Obj | None) -> None:
        name = name_of(new or old or {})
        labels = labels_of(new) if new is not None else None
        if labels == self.namespaces.get(name):
            return
        self.version += 1
        if labels is None:
            del self.namespaces[name]
        else:
            self.namespaces[name] = labels

    def set_workload(self, kind: str, old: Obj | None, new: Obj | None) -> None:
        """A Service or a controller of pods."""
        before, after = (_selecting(obj) if obj is not None else None for obj in (old, new))
        if before == after:
            return
        self.version += 1
        namespace, name = key_of(new or old or {})
        if kind == SERVICE:
            services = self._services.setdefault(namespace, {})
            services.pop(name, None)
            if after:
                services[name] = after
        elif new is None:
            self._owners[kind].pop((namespace, name), None)
        else:
            self._owners[kind][namespace, name] = from_map(after) if kind in _MAPS else _label_selector(after)

    def set_budget(self, old: Obj | None, new: Obj | None) -> None:
        namespace, name = key_of(new or old or {})
        self.budgets_version += 1
        budgets = self._budgets.setdefault(namespace, {})
        budgets.pop(name, None)
        if new is not None:
            budgets[name] = new

    def set_storage(self, kind: str, old: Obj | None, new: Obj | None) -> None:
        """A claim, volume or storage class, or what a node's CSI drivers say."""
        if self._setters[kind](old, new):
            self.version += 1

    def promise(self, plan: Plan) -> None:
        self.volumes.promise(plan)
        self.version += 1

    def take_back(self, plan: Plan) -> None:
        self.volumes.take_back(plan)
        self.version += 1

    # --- asking ----------------------------------------------------------------------------------------------------

    def budgets(self, namespace: str) -> Sequence[Obj]:
        """The namespace's PodDisruptionBudgets."""
        return tuple(self._budgets.get(namespace, {}).values())

    def selecting(self, pod: PodInfo) -> Selector:
        """What the services and the controller of a pod select, all at once; everything() if none selects it."""
        labels, merged = pod.group.labels, dict[str, str]()
        for wanted in self._services.get(pod.group.namespace, {}).values():
            if wanted.items() <= labels.items():
                merged.update(wanted)
        selector = from_map(merged) if merged else everything()
        owner = controller_of(pod.obj)
        if owner is None:
            return selector
        own = self._owners.get(owner.get("kind") or "", {}).get((pod.group.namespace, owner.get("name") or ""))
        if own is None:
            return selector
        added: list[Requirement] = [item for item in own.requirements if item not in selector.requirements]
        return Selector([*selector.requirements, *added]) if added else selector


def _selecting(obj: Obj) -> Obj:
    found: Obj = (obj.get("spec") or {}).get("selector") or {}
    return found


def _label_selector(selector: Obj | None) -> Selector:
    try:
        return from_label_selector(selector or None)
    except ValueError:
        return everything()
