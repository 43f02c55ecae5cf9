"""Rows of core/v1, events and pods aside (events.py, pod.py)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from steersman.api.kinds import TableSpec
from steersman.api.printers.cells import (
    AGE,
    CONTAINERS,
    IMAGES,
    NAME,
    SELECTOR,
    access_modes,
    age,
    amount,
    col,
    containers,
    count,
    label_map,
    limited,
    load_balancer,
    name_and_age,
    spec,
    storage_class,
    terminating_or,
    text,
    wide,
)
from steersman.api.printers.pod import POD
from steersman.machinery.meta import Obj, condition, dig, labels_of, name_of

_ROLE_PREFIX, _ROLE_LABEL = "node-role.kubernetes.io/", "kubernetes.io/role"


def _pod_template(obj: Obj, _now: datetime) -> list[Any]:
    template = obj.get("template") or {}
    return [name_of(obj), *containers(template.get("spec")), label_map(dig(template, "metadata", "labels"))]


def _replication_controller(obj: Obj, now: datetime) -> list[Any]:
    wanted, status = obj.get("spec") or {}, obj.get("status") or {}
    return [
        name_of(obj),
        count(wanted.get("replicas")),
        count(status.get("replicas")),
        count(status.get("readyReplicas")),
        age(obj, now),
        *containers(dig(wanted, "template", "spec")),
        label_map(wanted.get("selector")),
    ]


def _external_ip(service: Obj) -> str:
    wanted = service.get("spec") or {}
    external = ",".join(wanted.get("externalIPs") or ())
    match wanted.get("type") or "ClusterIP":
        case "ClusterIP" | "NodePort":
            return external or "<none>"
        case "LoadBalancer":
            points = load_balancer(service.get("status"))
            return ",".join(part for part in (points, external) if part) or "<pending>"
        case "ExternalName":
            return str(wanted.get("externalName") or "")
        case _:
            return "<unknown>"


def _service_ports(ports: list[Obj]) -> str:
    shown = []
    for port in ports:
        node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
        shown.append(f"{port.get('port')}{node_port}/{port.get('protocol') or 'TCP'}")
    return ",".join(shown) or "<none>"


def _service(obj: Obj, now: datetime) -> list[Any]:
    wanted = obj.get("spec") or {}
    return [
        name_of(obj),
        str(wanted.get("type") or ""),
        text(dig(wanted, "clusterIPs", 0) or wanted.get("clusterIP")),
        _external_ip(obj),
        _service_ports(wanted.get("ports") or []),
        age(obj, now),
        label_map(wanted.get("selector")),
    ]


def _host_port(ip: str, port: Any) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def _endpoints_text(subsets: list[Obj]) -> str:
    if not subsets:
        return "<none>"
    found: list[str] = []
    for subset in subsets:
        ips = [address.get("ip", "") for address in subset.get("addresses") or ()]
        if subset.get("ports"):
            found += [_host_port(ip, port.get("port")) for port in subset["ports"] for ip in ips]
        else:
            found += ips
    return limited(found, 3, "")


def _endpoints(obj: Obj, now: datetime) -> list[Any]:
    return [name_of(obj), _endpoints_text(obj.get("subsets") or []), age(obj, now)]


def _roles(node: Obj) -> str:
    found = {
        key.removeprefix(_ROLE_PREFIX) if key.startswith(_ROLE_PREFIX) else value
        for key, value in labels_of(node).items()
        if key.startswith(_ROLE_PREFIX) or key == _ROLE_LABEL
    }
    return ",".join(sorted(found - {""})) or "<none>"


def _node_status(node: Obj) -> str:
    ready = condition(node, "Ready")
    shown = "Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"
    return f"{shown},SchedulingDisabled" if dig(node, "spec", "unschedulable") else shown


def _node(obj: Obj, now: datetime) -> list[Any]:
    info = dig(obj, "status", "nodeInfo", default={})
    addresses: dict[str, str] = {}
    for address in dig(obj, "status", "addresses", default=()):
        addresses.setdefault(address.get("type", ""), address.get("address", ""))
    kernel = text(info.get("kernelVersion"), "<unknown>")
    return [
        name_of(obj),
        _node_status(obj),
        _roles(obj),
        age(obj, now),
        str(info.get("kubeletVersion") or ""),
        text(addresses.get("InternalIP")),
        text(addresses.get("ExternalIP")),
        text(info.get("osImage"), "<unknown>"),
        f"{kernel} ({info['architecture']})" if info.get("architecture") else kernel,
        text(info.get("containerRuntimeVersion"), "<unknown>"),
    ]


def _namespace(obj: Obj, now: datetime) -> list[Any]:
    return [name_of(obj), str(dig(obj, "status", "phase", default="")), age(obj, now)]


def _secret(obj: Obj, now: datetime) -> list[Any]:
    return [name_of(obj), str(obj.get("type") or ""), len(obj.get("data") or ()), age(obj, now)]


def _config_map(obj: Obj, now: datetime) -> list[Any]:
    return [name_of(obj), len(obj.get("data") or ()) + len(obj.get("binaryData") or ()), age(obj, now)]


def _persistent_volume(obj: Obj, now: datetime) -> list[Any]:
    wanted, status = obj.get("spec") or {}, obj.get("status") or {}
    claim = wanted.get("claimRef")
    return [
        name_of(obj),
        amount(dig(wanted, "capacity", "storage")),
        access_modes(wanted.get("accessModes")),
        str(wanted.get("persistentVolumeReclaimPolicy") or ""),
        terminating_or(obj, status.get("phase")),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        storage_class(obj),
        text(wanted.get("volumeAttributesClassName"), "<unset>"),
        str(status.get("reason") or ""),
        age(obj, now),
        text(wanted.get("volumeMode"), "<unset>"),
    ]


def _persistent_volume_claim(obj: Obj, now: datetime) -> list[Any]:
    wanted, status = obj.get("spec") or {}, obj.get("status") or {}
    volume = str(wanted.get("volumeName") or "")
    return [
        name_of(obj),
        terminating_or(obj, status.get("phase")),
        volume,
        amount(dig(status, "capacity", "storage")) if volume else "",
        access_modes(status.get("accessModes")) if volume else "",
        storage_class(obj),
        text(wanted.get("volumeAttributesClassName"), "<unset>"),
        age(obj, now),
        text(wanted.get("volumeMode"), "<unset>"),
    ]


def _component_status(obj: Obj, _now: datetime) -> list[Any]:
    found = condition(obj.get("conditions"), "Healthy")
    if found is None:
        return [name_of(obj), "Unknown", "", ""]
    shown = "Healthy" if found.get("status") == "True" else "Unhealthy"
    return [name_of(obj), shown, str(found.get("message") or ""), str(found.get("error") or "")]


def _resource_quota(obj: Obj, now: datetime) -> list[Any]:
    hard, used = dig(obj, "status", "hard", default={}), dig(obj, "status", "used", default={})
    requests: list[str] = []
    limits: list[str] = []
    for name in sorted(hard):
        entry = f"{name}: {amount(used.get(name))}/{amount(hard[name])}"
        (limits if name.startswith("limits.") else requests).append(entry)
    return [name_of(obj), ", ".join(requests), ", ".join(limits), age(obj, now)]


TABLES: dict[str, TableSpec] = {
    "Pod": POD,
    "PodTemplate": spec(_pod_template, NAME, col("Containers"), col("Images"), col("Pod Labels")),
    "ReplicationController": spec(
        _replication_controller,
        NAME,
        col("Desired", "integer"),
        col("Current", "integer"),
        col("Ready", "integer"),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    "Service": spec(_service, NAME, col("Type"), col("Cluster-IP"), col("External-IP"), col("Port(s)"), AGE, SELECTOR),
    "Endpoints": spec(_endpoints, NAME, col("Endpoints"), AGE),
    "Node": spec(
        _node,
        NAME,
        col("Status"),
        col("Roles"),
        AGE,
        col("Version"),
        wide("Internal-IP"),
        wide("External-IP"),
        wide("OS-Image"),
        wide("Kernel-Version"),
        wide("Container-Runtime"),
    ),
    "Namespace": spec(_namespace, NAME, col("Status"), AGE),
    "Secret": spec(_secret, NAME, col("Type"), col("Data"), AGE),
    "ConfigMap": spec(_config_map, NAME, col("Data"), AGE),
    "ServiceAccount": spec(name_and_age, NAME, AGE),
    "PersistentVolume": spec(
        _persistent_volume,
        NAME,
        col("Capacity"),
        col("Access Modes"),
        col("Reclaim Policy"),
        col("Status"),
        col("Claim"),
        col("StorageClass"),
        col("VolumeAttributesClass"),
        col("Reason"),
        AGE,
        wide("VolumeMode"),
    ),
    "PersistentVolumeClaim": spec(
        _persistent_volume_claim,
        NAME,
        col("Status"),
        col("Volume"),
        col("Capacity"),
        col("Access Modes"),
        col("StorageClass"),
        col("VolumeAttributesClass"),
        AGE,
        wide("VolumeMode"),
    ),
    "ComponentStatus": spec(_component_status, NAME, col("Status"), col("Message"), col("Error")),
    "ResourceQuota": spec(_resource_quota, NAME, col("Request"), col("Limit"), AGE),
}
