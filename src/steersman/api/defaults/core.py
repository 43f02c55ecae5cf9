"""Defaults of the core group's kinds, pods and services aside."""

from __future__ import annotations

import uuid
from base64 import b64encode

from steersman.api.defaults.podspec import PERSISTENT_SOURCES, pod_spec
from steersman.machinery.meta import Obj, labels_of, metadata, name_of


def node(obj: Obj) -> None:
    """allocatable from capacity; podCIDR and podCIDRs are one value."""
    spec = obj.setdefault("spec", {})
    status = obj.get("status")
    if status and status.get("allocatable") is None and status.get("capacity"):
        status["allocatable"] = dict(status["capacity"])
    single, many = spec.get("podCIDR") or "", spec.get("podCIDRs") or []
    if single and (not many or many[0] != single):
        spec["podCIDRs"] = [single]
    elif many and not single:
        spec["podCIDR"] = many[0]


def namespace(obj: Obj) -> None:
    """The phase, and the label that selectors find namespaces by."""
    name = name_of(obj)
    if name:
        meta = metadata(obj)
        if labels_of(obj).get("kubernetes.io/metadata.name") != name:
            meta["labels"] = {**labels_of(obj), "kubernetes.io/metadata.name": name}
    status = obj.setdefault("status", {})
    if not status.get("phase"):
        status["phase"] = "Active"


def secret(obj: Obj) -> None:
    """type; stringData merged into data."""
    if not obj.get("type"):
        obj["type"] = "Opaque"
    plain = obj.pop("stringData", None)
    if plain:
        data = dict(obj.get("data") or {})
        data.update({key: b64encode(value.encode()).decode() for key, value in plain.items()})
        obj["data"] = data


def service_account(obj: Obj) -> None:
    """References to secrets keep nothing but names."""
    if obj.get("secrets"):
        obj["secrets"] = [{"name": ref.get("name", "")} for ref in obj["secrets"]]


def endpoints(obj: Obj) -> None:
    for subset in obj.get("subsets") or ():
        for port in subset.get("ports") or ():
            if not port.get("protocol"):
                port["protocol"] = "TCP"


def persistent_volume(obj: Obj) -> None:
    status = obj.setdefault("status", {})
    if not status.get("phase"):
        status["phase"] = "Pending"
    spec = obj.setdefault("spec", {})
    if not spec.get("persistentVolumeReclaimPolicy"):
        spec["persistentVolumeReclaimPolicy"] = "Retain"
    spec.setdefault("volumeMode", "Filesystem")
    for kind, default in PERSISTENT_SOURCES.items():
        if spec.get(kind) is not None:
            default(spec[kind])


def claim_spec(spec: Obj) -> None:
    """A claim's or claim template's spec."""
    spec.setdefault("volumeMode", "Filesystem")
    mirror_data_source(spec)


def mirror_data_source(spec: Obj) -> None:
    """dataSource and dataSourceRef are one value while no namespace is involved."""
    source, ref = spec.get("dataSource"), spec.get("dataSourceRef")
    if source is not None and ref is None:
        spec["dataSourceRef"] = dict(source)
    elif ref is not None and source is None and not ref.get("namespace"):
        spec["dataSource"] = {key: ref[key] for key in ("apiGroup", "kind", "name") if key in ref}


def persistent_volume_claim(obj: Obj) -> None:
    status = obj.setdefault("status", {})
    if not status.get("phase"):
        status["phase"] = "Pending"
    obj.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")


def limit_range(obj: Obj) -> None:
    """A name if there is none; for containers, limits from max and requests from limits, then min."""
    meta = metadata(obj)
    if not meta.get("name") and not meta.get("generateName"):
        meta["name"] = str(uuid.uuid4())
    for item in (obj.get("spec") or {}).get("limits") or ():
        if item.get("type") != "Container":
            continue
        default, request = dict(item.get("default") or {}), dict(item.get("defaultRequest") or {})
        for name, value in (item.get("max") or {}).items():
            default.setdefault(name, value)
        for name, value in (*default.items(), *(item.get("min") or {}).items()):
            request.setdefault(name, value)
        for key, value in (("default", default), ("defaultRequest", request)):
            if value:
                item[key] = value


def pod_template(obj: Obj) -> None:
    template = obj.setdefault("template", {})
    pod_spec(template.setdefault("spec", {}))


def replication_controller(obj: Obj) -> None:
    """replicas; selector and labels from the template's labels."""
    spec = obj.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    template = spec.get("template")
    if template is None:
        return
    found = labels_of(template)
    if found:
        if not spec.get("selector"):
            spec["selector"] = dict(found)
        if not labels_of(obj):
            metadata(obj)["labels"] = dict(found)
    pod_spec(template.setdefault("spec", {}))
