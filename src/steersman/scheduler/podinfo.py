"""What the scheduler needs to know of a pod, worked out once; pods that are alike share it (KEP-5598's idea of a signature)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from weakref import WeakValueDictionary

import orjson

from steersman.loop.volumes import claim_names
from steersman.machinery import quantity
from steersman.machinery.meta import Key, Obj, is_deleting, key_of, labels_of, namespace_of, uid_of
from steersman.scheduler.relations import NO_TERMS, Constraint, Group, Terms, constraints_of, terms_of

CPU, MEMORY, EPHEMERAL_STORAGE = "cpu", "memory", "ephemeral-storage"
"""cpu is counted in thousandths, everything else in whole units."""

DEFAULT_CPU_MILLI = 100
DEFAULT_MEMORY = 200 * 1024 * 1024
"""What scores assume for a container that requests nothing."""

_SHARED_LIMIT = 10_000
_SPEC_PARTS = (
    "nodeName",
    "nodeSelector",
    "affinity",
    "tolerations",
    "topologySpreadConstraints",
    "overhead",
    "resources",
    "schedulingGates",
)
_CONTAINER_PARTS = ("image", "resources", "ports", "restartPolicy")

Amounts = dict[str, int]

_K = TypeVar("_K")
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class HostPort:
    """A port wanted on the node. `ip` 0.0.0.0 is every address."""

    ip: str
    protocol: str
    port: int


@dataclass(frozen=True, slots=True)
class Demand:
    """What a pod takes of a node. `scored_*`: with defaults where nothing is requested."""

    requests: Mapping[str, int]
    scored_cpu: int
    scored_memory: int
    ports: tuple[HostPort, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PodInfo:
    """A pod as the scheduler sees it. Pods with equal `signature` and `group` fare alike on every node."""

    obj: Obj
    uid: str
    key: Key
    priority: int
    signature: bytes
    demand: Demand
    group: Group
    terms: Terms
    constraints: tuple[Constraint, ...]

    @property
    def spec(self) -> Obj:
        found: Obj = self.obj["spec"]
        return found


class PodInfos:
    """Makes PodInfos; pods that are alike share what is parsed."""

    def __init__(self) -> None:
        self._demands: OrderedDict[bytes, Demand] = OrderedDict()
        self._terms: OrderedDict[tuple[bytes, str], Terms] = OrderedDict()
        self._groups: WeakValueDictionary[Hashable, Group] = WeakValueDictionary()

    def make(self, pod: Obj) -> PodInfo:
        signature, spec, group = signature_of(pod), pod["spec"], self._group(pod)
        demand = self._demands.get(signature)
        if demand is None:
            demand = _keep(self._demands, signature, demand_of(pod))
        return PodInfo(
            obj=pod,
            uid=uid_of(pod),
            key=key_of(pod),
            priority=int(spec.get("priority") or 0),
            signature=signature,
            demand=demand,
            group=group,
            terms=self._terms_of(spec, signature, group) if spec.get("affinity") else NO_TERMS,
            constraints=constraints_of(spec, group.labels) if spec.get("topologySpreadConstraints") else (),
        )

    def _group(self, pod: Obj) -> Group:
        namespace, labels, terminating = namespace_of(pod), labels_of(pod), is_deleting(pod)
        key = (namespace, frozenset(labels.items()), terminating)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(namespace, labels, terminating)
        return group

    def _terms_of(self, spec: Obj, signature: bytes, group: Group) -> Terms:
        key = signature, group.namespace
        found = self._terms.get(key)
        return found if found is not None else _keep(self._terms, key, terms_of(spec, group.namespace))


def _keep(shared: OrderedDict[_K, _V], key: _K, value: _V) -> _V:
    shared[key] = value
    if len(shared) > _SHARED_LIMIT:
        shared.popitem(last=False)
    return value


def signature_of(pod: Obj) -> bytes:
    """All of a spec that plugins look at. Names, mounts and environment differ between replicas and matter to none of them.

    Claims do matter: what one asks of a node is its own.
    """
    spec = pod["spec"]
    parts = [spec.get(part) for part in _SPEC_PARTS]
    for section in ("containers", "initContainers"):
        parts.append([[container.get(part) for part in _CONTAINER_PARTS] for container in spec.get(section) or ()])
    parts.append([volume["image"] for volume in spec.get("volumes") or () if volume.get("image")])
    if claims := list(claim_names(pod)):
        parts.append([namespace_of(pod), claims])
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    parts.append([[status.get("name"), status.get("allocatedResources"), status.get("resources")] for status in statuses])
    return orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)


def demand_of(pod: Obj) -> Demand:
    spec = pod["spec"]
    requests = total_requests(pod, {})
    scored = total_requests(pod, {CPU: DEFAULT_CPU_MILLI, MEMORY: DEFAULT_MEMORY})
    return Demand(
        requests={name: amount for name, amount in requests.items() if amount > 0},
        scored_cpu=scored.get(CPU, 0),
        scored_memory=scored.get(MEMORY, 0),
        ports=tuple(host_ports(spec)),
    )


def total_requests(pod: Obj, missing: Amounts) -> Amounts:
    """max(containers + sidecars, each init container + the sidecars before it) + overhead; `missing` for absent requests.

    Pod-level requests (KEP-2837) replace the sums of the resources they name.
    """
    spec = pod["spec"]
    held = _held_by_container(pod)
    total: Amounts = {}
    for container in spec.get("containers") or ():
        _add(total, _container_requests(container, held, missing))
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.get("initContainers") or ():
        amounts = _container_requests(container, held, missing)
        if container.get("restartPolicy") == "Always":
            _add(sidecars, amounts)
            _raise_to(peak, sidecars)
        else:
            _add(amounts, sidecars)
            _raise_to(peak, amounts)
    _add(total, sidecars)
    _raise_to(total, peak)
    total.update(amounts_of((spec.get("resources") or {}).get("requests")))
    _add(total, amounts_of(spec.get("overhead")))
    return total


def amounts_of(resources: Mapping[str, str] | None) -> Amounts:
    """Quantities of a resource list as integers."""
    return {name: quantity.milli(amount) if name == CPU else quantity.value(amount) for name, amount in (resources or {}).items()}


def host_ports(spec: Obj) -> Iterable[HostPort]:
    """Host ports of regular containers and sidecars (init containers that end are gone before these are used)."""
    sidecars = [item for item in spec.get("initContainers") or () if item.get("restartPolicy") == "Always"]
    for container in [*(spec.get("containers") or ()), *sidecars]:
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                yield HostPort(port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", int(port["hostPort"]))


def _container_requests(container: Obj, held: Mapping[str, Amounts], missing: Amounts) -> Amounts:
    amounts = {**missing, **amounts_of((container.get("resources") or {}).get("requests"))}
    _raise_to(amounts, held.get(container.get("name") or "", {}))
    return amounts


def _held_by_container(pod: Obj) -> dict[str, Amounts]:
    """What running containers have: during a resize (KEP-1287) a pod counts with the largest of wanted, allocated, actual."""
    found: dict[str, Amounts] = {}
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        amounts = amounts_of(status.get("allocatedResources"))
        _raise_to(amounts, amounts_of((status.get("resources") or {}).get("requests")))
        if amounts:
            found[status["name"]] = amounts
    return found


def _add(into: Amounts, amounts: Mapping[str, int]) -> None:
    for name, amount in amounts.items():
        into[name] = into.get(name, 0) + amount


def _raise_to(into: Amounts, amounts: Mapping[str, int]) -> None:
    for name, amount in amounts.items():
        into[name] = max(into.get(name, 0), amount)
