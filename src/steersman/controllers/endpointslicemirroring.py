"""The endpointslice mirroring controller: hand-made Endpoints of services without selector, as slices.

Source: upstream pkg/controller/endpointslicemirroring.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import datetime

from steersman.api.resources import ENDPOINT_SLICES, ENDPOINTS, SERVICES
from steersman.loop import backends
from steersman.loop.slices import MANAGED_BY, SERVICE_NAME, Group, PortKey, changes, port_key, slice_index, slice_keys
from steersman.loop.spec import Action, ControllerSpec, Decision, Emit, Snapshot, Watch
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
)

MANAGER = "endpointslicemirroring-controller.k8s.io"
SKIP = "endpointslice.kubernetes.io/skip-mirror"
LEADER = "control-plane.alpha.kubernetes.io/leader"
CAPACITY = 1000
_NOT_COPIED = ("kubectl.kubernetes.io/last-applied-configuration", backends.TRIGGER_TIME)
_API_SERVERS_OWN = ("default", "kubernetes")


def _reconcile(snapshot: Snapshot, key: Key, now: datetime) -> Decision:
    existing = snapshot.indexed(ENDPOINT_SLICES, MANAGER, "/".join(key))
    endpoints, service = snapshot.get(ENDPOINTS, *key), snapshot.get(SERVICES, *key)
    mirrored = endpoints is not None and service is not None and _is_mirrored(endpoints, service)
    actions: list[Action] = []
    for kind in ("IPv4", "IPv6"):
        of_type = [item for item in existing if item.get("addressType") == kind]
        if endpoints is not None and mirrored:
            actions += changes(of_type, _groups(endpoints, kind), _blank(endpoints, kind), placeholder=False)
        else:
            actions += changes(of_type, {}, {"metadata": {}}, placeholder=False)
    if endpoints is not None and mirrored:
        actions += _complaints(endpoints)
    return Decision(actions)


def _is_mirrored(endpoints: Obj, service: Obj) -> bool:
    """Endpoints of services with a selector have slices of their own already."""
    if key_of(endpoints) == _API_SERVERS_OWN or is_deleting(endpoints) or dig(service, "spec", "selector"):
        return False
    return labels_of(endpoints).get(SKIP) != "true" and LEADER not in annotations_of(endpoints)


def _groups(endpoints: Obj, kind: str) -> dict[PortKey, Group]:
    groups: dict[PortKey, Group] = {}
    for subset in endpoints.get("subsets") or ():
        ports = [_port(item) for item in subset.get("ports") or ()]
        group = groups.setdefault(port_key(ports), Group(ports))
        marked = [(item, True) for item in subset.get("addresses") or ()]
        marked += [(item, False) for item in subset.get("notReadyAddresses") or ()]
        for address, ready in marked[:CAPACITY]:
            if _is_address(address["ip"]) and backends.address_type(address["ip"]) == kind:
                group.endpoints.append(_endpoint(address, ready))
    return {key: group for key, group in groups.items() if group.endpoints}


def _port(port: Obj) -> Obj:
    made = {"name": port.get("name", ""), "port": port["port"], "protocol": port.get("protocol", "TCP")}
    if port.get("appProtocol"):
        made["appProtocol"] = port["appProtocol"]
    return made


def _endpoint(address: Obj, ready: bool) -> Obj:
    made: Obj = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
    return made | {field: address[field] for field in ("hostname", "nodeName", "targetRef") if address.get(field)}


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _complaints(endpoints: Obj) -> Iterable[Action]:
    """Once per change only in effect: events of the same text are counted, not repeated."""
    for subset in endpoints.get("subsets") or ():
        addresses = [*(subset.get("addresses") or ()), *(subset.get("notReadyAddresses") or ())]
        bad = sum(not _is_address(item["ip"]) for item in addresses)
        if bad:
            message = f"Skipped {bad} invalid IP addresses when mirroring to EndpointSlices"
            yield Emit(endpoints, "Warning", "InvalidIPAddress", message)
        if len(addresses) > CAPACITY:
            skipped = len(addresses) - CAPACITY
            message = f"A max of {CAPACITY} addresses can be mirrored to EndpointSlices per Endpoints subset. "
            message += f"{skipped} addresses were skipped"
            yield Emit(endpoints, "Warning", "TooManyAddressesToMirror", message)


def _blank(endpoints: Obj, kind: str) -> Obj:
    labels = {**labels_of(endpoints), SERVICE_NAME: name_of(endpoints), MANAGED_BY: MANAGER}
    metadata: Obj = {
        "generateName": f"{name_of(endpoints)}-",
        "namespace": namespace_of(endpoints),
        "labels": labels,
        "ownerReferences": [owner_reference(endpoints)],
    }
    annotations = {key: value for key, value in annotations_of(endpoints).items() if key not in _NOT_COPIED}
    if annotations:
        metadata["annotations"] = annotations
    return {
        "apiVersion": ENDPOINT_SLICES.api_version,
        "kind": ENDPOINT_SLICES.kind,
        "metadata": metadata,
        "addressType": kind,
    }


SPEC = ControllerSpec(
    name="endpointslice-mirroring-controller",
    reports_as="endpoint-slice-mirroring-controller",
    watches=(
        Watch(ENDPOINTS, keys=lambda obj: (key_of(obj),)),
        Watch(SERVICES, keys=lambda obj: (key_of(obj),)),
        Watch(ENDPOINT_SLICES, keys=slice_keys(MANAGER), indexes={MANAGER: slice_index(MANAGER)}),
    ),
    reconcile=_reconcile,
    max_retries=15,
)
