"""A service's backends: which pods it selects, and which port of a pod a service port means.

For the controllers that publish Endpoints and EndpointSlices. Source: upstream component-helpers, pkg/controller/util/endpoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from steersman.api.resources import PODS, SERVICES
from steersman.loop.pods import is_finished
from steersman.loop.spec import Snapshot
from steersman.machinery.labels import from_map
from steersman.machinery.meta import (
    Key,
    Obj,
    condition,
    dig,
    format_time,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    parse_time,
    uid_of,
)

HEADLESS = "service.kubernetes.io/headless"
TRIGGER_TIME = "endpoints.kubernetes.io/last-change-trigger-time"


def selector_of(service: Obj) -> dict[str, str]:
    """The pod selector; empty for services whose endpoints somebody else publishes, ExternalName ones included."""
    if dig(service, "spec", "type") == "ExternalName":
        return {}
    found: dict[str, str] = dig(service, "spec", "selector", default={})
    return found


def services_of(pod: Obj, snapshot: Snapshot) -> Iterable[Key]:
    """For Watch.keys_with: a pod to the services that select it."""
    labels = labels_of(pod)
    if not labels:
        return ()
    return [
        key_of(service)
        for service in snapshot.list(SERVICES, namespace_of(pod))
        if (selector := selector_of(service)) and all(labels.get(key) == value for key, value in selector.items())
    ]


def pods_of(snapshot: Snapshot, service: Obj, *, with_terminating: bool) -> list[Obj]:
    """Pods that are or may yet become endpoints: selected, with an address, their containers not finished for good."""
    return [
        pod
        for pod in snapshot.list(PODS, namespace_of(service), from_map(selector_of(service)))
        if not is_finished(pod) and addresses_of(pod) and (with_terminating or not is_deleting(pod))
    ]


def addresses_of(pod: Obj) -> list[str]:
    """All its addresses, the primary one first."""
    status = pod.get("status") or {}
    several = [item["ip"] for item in status.get("podIPs") or () if item.get("ip")]
    return several or ([status["podIP"]] if status.get("podIP") else [])


def address_type(address: str) -> str:
    return "IPv6" if ":" in address else "IPv4"


def address_types(service: Obj) -> list[str]:
    """One or two of IPv4 and IPv6, the primary one first."""
    families = dig(service, "spec", "ipFamilies", default=())
    return list(families) or [address_type(dig(service, "spec", "clusterIP", default=""))]


def is_headless(service: Obj) -> bool:
    return bool(dig(service, "spec", "clusterIP") == "None")


def hostname_of(pod: Obj, service: Obj) -> str:
    """The name a headless service's DNS gives the pod: only if the pod names this service as its subdomain."""
    spec = pod.get("spec") or {}
    if spec.get("hostname") and spec.get("subdomain") == name_of(service):
        return str(spec["hostname"])
    return ""


def target_ref(pod: Obj) -> Obj:
    return {"kind": "Pod", "namespace": namespace_of(pod), "name": name_of(pod), "uid": uid_of(pod)}


def port_number(pod: Obj, service_port: Obj) -> int | None:
    """The pod's port for a service port; None if targetPort is a name that the pod doesn't have for that protocol."""
    target = service_port.get("targetPort") or service_port["port"]
    if isinstance(target, int):
        return target
    protocol = service_port.get("protocol", "TCP")
    spec = pod.get("spec") or {}
    sidecars = [item for item in spec.get("initContainers") or () if item.get("restartPolicy") == "Always"]
    for container in (*(spec.get("containers") or ()), *sidecars):
        for port in container.get("ports") or ():
            if port.get("name") == target and port.get("protocol", "TCP") == protocol:
                return int(port["containerPort"])
    return None


def ports_of(pod: Obj, service: Obj) -> list[Obj]:
    """The endpoint ports of a pod, in the service's order: name, port, protocol, appProtocol."""
    found = []
    for port in dig(service, "spec", "ports", default=()):
        number = port_number(pod, port)
        if number is None:
            continue
        made: Obj = {"name": port.get("name", ""), "port": number, "protocol": port.get("protocol", "TCP")}
        if port.get("appProtocol"):
            made["appProtocol"] = port["appProtocol"]
        found.append(made)
    return found


def trigger_time(service: Obj, pods: Sequence[Obj]) -> str:
    """When the latest change became due: for measuring how long programming the network takes."""
    times: list[datetime] = []
    for pod in pods:
        ready = condition(pod, "Ready")
        if ready is not None and (moment := parse_time(ready.get("lastTransitionTime"))):
            times.append(moment)
    created = parse_time(dig(service, "metadata", "creationTimestamp"))
    if created:
        times.append(created)
    return format_time(max(times)) if times else ""
