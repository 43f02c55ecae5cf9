"""The node DNS controller: every node that answers cluster DNS is an endpoint of the Service kube-system/kube-dns.

A node says so by an annotation on its Node (api/nodeagents.py). Each has a slice of its own, whose endpoint is ready while the
node is; with the Node it goes. So nodes need no rights to write endpoints, and one that falls silent is no longer asked. A node
asks itself first (forNodes hints, KEP-3015), and the others while it is not ready.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from steersman.api import nodeagents
from steersman.api.resources import ENDPOINT_SLICES, NODES
from steersman.loop.spec import ControllerSpec, Create, Decision, Delete, Snapshot, Update, Watch
from steersman.machinery.meta import (
    Key,
    Obj,
    annotations_of,
    dig,
    is_condition_true,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    uid_of,
)

SERVICE_NAMESPACE, SERVICE = "kube-system", "kube-dns"
SERVICE_NAME, MANAGED_BY = "kubernetes.io/service-name", "endpointslice.kubernetes.io/managed-by"
MANAGER = "node-dns-controller.steersman.io"


def slice_name(node: str) -> str:
    return f"{SERVICE}-{node}"


def _reconcile(snapshot: Snapshot, key: Key, now: datetime) -> Decision:
    node = snapshot.get(NODES, "", key[1])
    found = snapshot.get(ENDPOINT_SLICES, SERVICE_NAMESPACE, slice_name(key[1]))
    wanted = None if node is None or is_deleting(node) else endpoint_slice(node)
    if wanted is None:
        if found is None or not _is_ours(found):
            return Decision()
        return Decision((Delete(ENDPOINT_SLICES, SERVICE_NAMESPACE, name_of(found), uid=uid_of(found)),))
    if found is None:
        return Decision((Create(ENDPOINT_SLICES, wanted),))
    if all(found.get(field) == wanted[field] for field in ("addressType", "ports", "endpoints")) and _is_ours(found):
        return Decision()
    labels = {**labels_of(found), **labels_of(wanted)}
    changed = {**found, **{field: wanted[field] for field in ("ports", "endpoints")}}
    changed["metadata"] = {**found["metadata"], "labels": labels}
    return Decision((Update(ENDPOINT_SLICES, changed),))


def endpoint_slice(node: Obj) -> Obj | None:
    """The slice of a node, None if it answers no DNS."""
    name, port = name_of(node), annotations_of(node).get(nodeagents.DNS_PORT, "")
    addresses = [item["address"] for item in dig(node, "status", "addresses", default=()) if item.get("type") == "InternalIP"]
    address = next((address for address in addresses if ":" not in address), None)
    if address is None or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        return None
    ready = is_condition_true(node, "Ready")
    endpoint: Obj = {
        "addresses": [address],
        "conditions": {"ready": ready, "serving": ready, "terminating": False},
        "nodeName": name,
        "hints": {"forNodes": [{"name": name}]},
    }
    return {
        "apiVersion": ENDPOINT_SLICES.api_version,
        "kind": ENDPOINT_SLICES.kind,
        "metadata": {
            "namespace": SERVICE_NAMESPACE,
            "name": slice_name(name),
            "labels": {SERVICE_NAME: SERVICE, MANAGED_BY: MANAGER},
        },
        "addressType": "IPv4",
        "ports": [
            {"name": "dns", "port": int(port), "protocol": "UDP"},
            {"name": "dns-tcp", "port": int(port), "protocol": "TCP"},
        ],
        "endpoints": [endpoint],
    }


def _is_ours(endpoints: Obj) -> bool:
    return labels_of(endpoints).get(MANAGED_BY) == MANAGER


def _of_slice(endpoints: Obj) -> Iterable[Key]:
    """The node of a slice of ours: also one whose Node went while nobody looked."""
    if namespace_of(endpoints) == SERVICE_NAMESPACE and _is_ours(endpoints):
        yield "", name_of(endpoints).removeprefix(f"{SERVICE}-")


SPEC = ControllerSpec(
    name="node-dns-controller",
    watches=(Watch(NODES, keys=lambda obj: (("", name_of(obj)),)), Watch(ENDPOINT_SLICES, keys=_of_slice)),
    reconcile=_reconcile,
    workers=1,
)
