"""The endpointslice controller: the pods behind each service with a selector, in slices of at most 100.

What the proxy and DNS read. Slices of services without a selector are others' business, as is the `kubernetes` service.
Source: upstream pkg/controller/endpointslice, staging/src/k8s.io/endpointslice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from steersman.api.resources import ENDPOINT_SLICES, NODES, PODS, SERVICES
from steersman.loop import backends, zones
from steersman.loop.failures import namespace_terminates
from steersman.loop.pods import is_ready, node_of
from steersman.loop.slices import MANAGED_BY, SERVICE_NAME, Group, PortKey, changes, port_key, slice_index, slice_keys
from steersman.loop.spec import Action, ControllerSpec, Decision, Delete, Emit, Result, Snapshot, Watch
from steersman.machinery.errors import Conflict
from steersman.machinery.meta import (
    Key,
    Obj,
    annotations_of,
    dig,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    uid_of,
)

MANAGER = "endpointslice-controller.k8s.io"
TOPOLOGY_MODE = ("service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints")
_RESERVED = (SERVICE_NAME, MANAGED_BY, backends.HEADLESS)
_BY_MODE, _WORKED_OUT = "by-topology-mode", "auto"
_UNKNOWN_NODE_RETRY_S = 5.0


def _reconcile(snapshot: Snapshot, key: Key, now: datetime) -> Decision:
    service = snapshot.get(SERVICES, *key)
    if service is None or is_deleting(service) or not backends.selector_of(service):
        return Decision()
    existing = snapshot.indexed(ENDPOINT_SLICES, MANAGER, "/".join(key))
    found = backends.pods_of(snapshot, service, with_terminating=True)
    pods = [pod for pod in found if _has_place(snapshot, service, pod)]
    actions: list[Action] = []
    types = backends.address_types(service)
    for kind in types:
        of_type = [item for item in existing if item.get("addressType") == kind]
        groups = _groups(snapshot, service, pods, kind)
        if _wants_zones_worked_out(service):
            actions += _hint_zones(snapshot, service, kind, groups, of_type)
        actions += changes(of_type, groups, _blank(service, kind, pods), placeholder=True)
    for item in existing:
        if item.get("addressType") not in types:
            actions.append(Delete(ENDPOINT_SLICES, namespace_of(item), name_of(item), uid=uid_of(item)))
    again = _UNKNOWN_NODE_RETRY_S if len(pods) < len(found) else None

    def after(results: Sequence[Result]) -> Decision:
        failed = next((item.error for item in results if item.error and not isinstance(item.error, Conflict)), None)
        if failed is None or namespace_terminates(failed):
            return Decision(again_after_s=again)
        message = f"Error updating Endpoint Slices for Service {key[0]}/{key[1]}: {failed}"
        return Decision((Emit(service, "Warning", "FailedToUpdateEndpointSlices", message),), again_after_s=again)

    return Decision(actions, then=after) if actions else Decision(again_after_s=again)


def _has_place(snapshot: Snapshot, service: Obj, pod: Obj) -> bool:
    """Pods of a node that isn't known (yet, or any more) are left out, unless the service wants all it can get."""
    node = node_of(pod)
    known = not node or snapshot.get(NODES, "", node) is not None
    return known or bool(dig(service, "spec", "publishNotReadyAddresses"))


def _groups(snapshot: Snapshot, service: Obj, pods: Sequence[Obj], kind: str) -> dict[PortKey, Group]:
    portless = not dig(service, "spec", "ports", default=())
    groups: dict[PortKey, Group] = {}
    for pod in pods:
        addresses = [item for item in backends.addresses_of(pod) if backends.address_type(item) == kind]
        ports = backends.ports_of(pod, service)
        if addresses and (ports or portless):
            group = groups.setdefault(port_key(ports), Group(ports))
            group.endpoints.append(_endpoint(snapshot, service, pod, addresses[0]))
    return groups


def _endpoint(snapshot: Snapshot, service: Obj, pod: Obj, address: str) -> Obj:
    serving, terminating = is_ready(pod), is_deleting(pod)
    ready = bool(dig(service, "spec", "publishNotReadyAddresses")) or (serving and not terminating)
    made: Obj = {
        "addresses": [address],
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        "targetRef": backends.target_ref(pod),
    }
    node = node_of(pod)
    if node:
        made["nodeName"] = node
    zone = labels_of(snapshot.get(NODES, "", node) or {}).get(zones.ZONE)
    if zone:
        made["zone"] = zone
    hostname = backends.hostname_of(pod, service)
    if hostname:
        made["hostname"] = hostname
    hints = _hints(service, node, zone) if ready else {}
    if hints:
        made["hints"] = hints
    return made


def _mode_of(service: Obj) -> Iterable[str]:
    return (_WORKED_OUT,) if _wants_zones_worked_out(service) else ()


def _depending_on_zones(_node: Obj, snapshot: Snapshot) -> Iterable[Key]:
    """A node's zone, readiness and CPUs count for the hints of all services that want them worked out."""
    return [key_of(service) for service in snapshot.indexed(SERVICES, _BY_MODE, _WORKED_OUT)]


def _wants_zones_worked_out(service: Obj) -> bool:
    """KEP-2433. The annotation goes before spec.trafficDistribution; its older name is still read."""
    annotations = annotations_of(service)
    return next((annotations[name] for name in TOPOLOGY_MODE if name in annotations), "") in ("Auto", "auto")


def _hint_zones(snapshot: Snapshot, service: Obj, kind: str, groups: dict[PortKey, Group], before: Sequence[Obj]) -> list[Action]:
    """Put hints on the ready endpoints; an event when that begins, or is no longer possible."""
    ready = [item for _, group in sorted(groups.items()) for item in group.endpoints if item["conditions"]["ready"]]
    hinted = any(dig(item, "hints", "forZones") for found in before for item in found.get("endpoints") or ())
    try:
        serves = zones.assigned([item.get("zone", "") for item in ready], zones.zone_cpus(snapshot.list(NODES)))
    except zones.NoHints as why:
        text = f"{why}, addressType: {kind}"
        return [Emit(service, "Warning", "TopologyAwareHintsDisabled", text)] if hinted else []
    for item, zone in zip(ready, serves, strict=True):
        item["hints"] = {"forZones": [{"name": zone}]}
    text = f"Topology Aware Hints has been enabled, addressType: {kind}"
    return [] if hinted else [Emit(service, "Normal", "TopologyAwareHintsEnabled", text)]


def _hints(service: Obj, node: str, zone: str | None) -> Obj:
    """KEP-4444, KEP-3015: which consumers an endpoint is nearest to."""
    wish = "" if _wants_zones_worked_out(service) else dig(service, "spec", "trafficDistribution")
    hints: Obj = {}
    if wish in ("PreferClose", "PreferSameZone", "PreferSameNode") and zone:
        hints["forZones"] = [{"name": zone}]
    if wish == "PreferSameNode" and node:
        hints["forNodes"] = [{"name": node}]
    return hints


def _blank(service: Obj, kind: str, pods: Sequence[Obj]) -> Obj:
    labels = {key: value for key, value in labels_of(service).items() if key not in _RESERVED}
    labels |= {SERVICE_NAME: name_of(service), MANAGED_BY: MANAGER}
    if backends.is_headless(service):
        labels[backends.HEADLESS] = ""
    metadata: Obj = {
        "generateName": f"{name_of(service)}-",
        "namespace": namespace_of(service),
        "labels": labels,
        "ownerReferences": [owner_reference(service)],
    }
    moment = backends.trigger_time(service, pods)
    if moment:
        metadata["annotations"] = {backends.TRIGGER_TIME: moment}
    return {
        "apiVersion": ENDPOINT_SLICES.api_version,
        "kind": ENDPOINT_SLICES.kind,
        "metadata": metadata,
        "addressType": kind,
    }


SPEC = ControllerSpec(
    name="endpointslice-controller",
    reports_as="endpoint-slice-controller",
    watches=(
        Watch(SERVICES, keys=lambda obj: (key_of(obj),), indexes={_BY_MODE: _mode_of}),
        Watch(PODS, keys_with=backends.services_of),
        Watch(NODES, keys_with=_depending_on_zones),
        Watch(ENDPOINT_SLICES, keys=slice_keys(MANAGER), indexes={MANAGER: slice_index(MANAGER)}),
    ),
    reconcile=_reconcile,
    max_retries=15,
)
