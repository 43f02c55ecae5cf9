"""ServiceCIDRs: a range of cluster IPs stays as long as an address of it is in use that no other range has.

Source: upstream pkg/controller/servicecidrs; KEP-1880. Addresses are given out by the API server.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import datetime, timedelta

from steersman.api.resources import IP_ADDRESSES, SERVICE_CIDRS
from steersman.loop.spec import ControllerSpec, Decision, Emit, Snapshot, Update, Watch
from steersman.machinery.meta import Key, Obj, condition, dig, format_time, is_deleting, key_of, labels_of, name_of, parse_time

FINALIZER = "networking.k8s.io/service-cidr-finalizer"
_MANAGED = ("ipaddress.kubernetes.io/managed-by", "ipallocator.k8s.io")
_GRACE = timedelta(seconds=10)
"""So long API servers may take to hear that a range is going, and still give out an address of it."""
_READY = "Kubernetes Service CIDR is ready"
_IN_USE = "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR"
_PENDING = "KubernetesServiceCIDRDeletionPending"
_TOLD = "The ServiceCIDR is still referenced by some IPAddresses"
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(cidr: Obj) -> list[Network]:
    return [ipaddress.ip_network(text) for text in dig(cidr, "spec", "cidrs", default=())]


def _reconcile(snapshot: Snapshot, key: Key, now: datetime) -> Decision:
    cidr = snapshot.get(SERVICE_CIDRS, *key)
    if cidr is None:
        return Decision()
    finalizers = cidr["metadata"].get("finalizers") or []
    if is_deleting(cidr):
        return _going(snapshot, cidr, now) if FINALIZER in finalizers else Decision()
    if FINALIZER not in finalizers:
        held = {**cidr, "metadata": {**cidr["metadata"], "finalizers": [*finalizers, FINALIZER]}}
        return Decision((Update(SERVICE_CIDRS, held),))
    ready = condition(cidr, "Ready")
    if ready is not None and ready.get("status") == "True":
        return Decision()
    return Decision((_saying(cidr, "True", "", _READY, now),))


def _going(snapshot: Snapshot, cidr: Obj, now: datetime) -> Decision:
    if _needed(snapshot, cidr):
        ready = condition(cidr, "Ready")
        if ready is not None and (ready.get("status"), ready.get("reason")) == ("False", "Terminating"):
            return Decision()
        said = _saying(cidr, "False", "Terminating", _IN_USE, now)
        return Decision((said, Emit(cidr, "Warning", _PENDING, _TOLD)))
    deleted = parse_time(cidr["metadata"].get("deletionTimestamp"))
    if deleted is not None and now < deleted + _GRACE:
        return Decision(again_after_s=(deleted + _GRACE - now).total_seconds())
    kept = [item for item in cidr["metadata"].get("finalizers") or () if item != FINALIZER]
    return Decision((Update(SERVICE_CIDRS, {**cidr, "metadata": {**cidr["metadata"], "finalizers": kept}}),))


def _needed(snapshot: Snapshot, cidr: Obj) -> bool:
    """Whether an address in use is of this range, and of no other that stays."""
    own = _networks(cidr)
    others = [
        network
        for other in snapshot.list(SERVICE_CIDRS)
        if name_of(other) != name_of(cidr) and not is_deleting(other)
        for network in _networks(other)
    ]
    for item in snapshot.list(IP_ADDRESSES):
        if labels_of(item).get(_MANAGED[0]) != _MANAGED[1]:
            continue
        address = ipaddress.ip_address(name_of(item))
        if any(address in network for network in own) and not any(address in network for network in others):
            return True
    return False


def _saying(cidr: Obj, status: str, reason: str, message: str, now: datetime) -> Update:
    others = [item for item in dig(cidr, "status", "conditions", default=()) if item.get("type") != "Ready"]
    ready = {"type": "Ready", "status": status, "lastTransitionTime": format_time(now), "reason": reason, "message": message}
    return Update(SERVICE_CIDRS, {**cidr, "status": {"conditions": [*others, ready]}}, "status")


def _around(item: Obj, snapshot: Snapshot) -> Iterable[Key]:
    """The ranges that are going and that an address is of: it may have been the last."""
    address = ipaddress.ip_address(name_of(item))
    for cidr in snapshot.list(SERVICE_CIDRS):
        if is_deleting(cidr) and any(address in network for network in _networks(cidr)):
            yield key_of(cidr)


def _overlapping(changed: Obj, snapshot: Snapshot) -> Iterable[Key]:
    """The range itself, and those it may stand in for."""
    networks = _networks(changed)
    yield key_of(changed)
    for other in snapshot.list(SERVICE_CIDRS):
        mine = _networks(other)
        if any(one.version == two.version and one.overlaps(two) for one in networks for two in mine):
            yield key_of(other)


SPEC = ControllerSpec(
    name="service-cidr-controller",
    watches=(Watch(SERVICE_CIDRS, keys_with=_overlapping), Watch(IP_ADDRESSES, keys_with=_around)),
    reconcile=_reconcile,
    workers=1,
)
