"""Strategies of the core group, pods aside."""

from __future__ import annotations

from steersman.api.equality import same
from steersman.api.kinds import Strategy
from steersman.api.strategies.common import (
    carry_generation,
    create_with_status,
    first_generation,
    keep,
    keep_generation,
    keep_status,
    only_status,
    reset_status,
    update_status_kind,
    update_with_status,
)  # fmt: skip
from steersman.api.strategies.pod_warnings import template_warnings
from steersman.api.validation import config, endpoints, node, persistent, quota, service, workloads
from steersman.machinery import names
from steersman.machinery.meta import Obj, labels_of, metadata, name_of

_NAME_LABEL = "kubernetes.io/metadata.name"


def _create_service(obj: Obj) -> None:
    obj["status"] = {"loadBalancer": {}}


def _service_warnings(new: Obj, old: Obj | None) -> list[str]:
    spec = new.get("spec") or {}
    if spec.get("clusterIP") != "None":
        return []
    found = []
    if spec.get("sessionAffinity") not in (None, "", "None"):
        found.append("spec.SessionAffinity is ignored for headless services")
    if spec.get("externalIPs"):
        found.append('spec.externalIPs is ignored when spec.clusterIP is "None"')
    if spec.get("loadBalancerIP"):
        found.append('spec.loadBalancerIP is ignored when spec.clusterIP is "None"')
    return found


def _create_node(obj: Obj) -> None:
    (obj.get("spec") or {}).pop("configSource", None)
    (obj.get("status") or {}).pop("config", None)


def _create_namespace(obj: Obj) -> None:
    """The phase, the finalizer that empties it, and the label that carries its name."""
    obj["status"] = {"phase": "Active"}
    spec = obj.setdefault("spec", {})
    if "kubernetes" not in (spec.get("finalizers") or ()):
        spec["finalizers"] = [*(spec.get("finalizers") or ()), "kubernetes"]
    _label_namespace(obj)


def _label_namespace(obj: Obj) -> None:
    name = name_of(obj)
    if labels_of(obj).get(_NAME_LABEL) != name:
        metadata(obj)["labels"] = {**labels_of(obj), _NAME_LABEL: name}


def _update_namespace(new: Obj, old: Obj) -> None:
    """spec.finalizers change through the finalize subresource only."""
    keep(new, old, "status")
    keep(new, old, "spec")
    _label_namespace(new)
    keep_generation(new, old)


def _pending(obj: Obj) -> None:
    obj["status"] = {"phase": "Pending"}


def _create_claim(obj: Obj) -> None:
    _pending(obj)
    _claim_sources(obj, {})


def _claim_sources(obj: Obj, stored: Obj) -> None:
    """A dataSource that no provisioner can read is dropped; else dataSource and dataSourceRef say the same."""
    spec = obj.setdefault("spec", {})
    source, ref = spec.get("dataSource"), spec.get("dataSourceRef")
    if ref is not None and not stored.get("dataSourceRef"):
        ref.pop("namespace", None)
    if source is not None and ref is None and not stored.get("dataSource"):
        kind = (source.get("apiGroup") or "", source.get("kind"))
        if kind not in (("", "PersistentVolumeClaim"), ("snapshot.storage.k8s.io", "VolumeSnapshot")):
            del spec["dataSource"]
            return
    if source is not None and ref is None:
        spec["dataSourceRef"] = dict(source)
    elif ref is not None and source is None and not ref.get("namespace"):
        spec["dataSource"] = {key: ref[key] for key in ("apiGroup", "kind", "name") if key in ref}


def _update_claim(new: Obj, old: Obj) -> None:
    keep_status(new, old)
    _claim_sources(new, old.get("spec") or {})
    keep_generation(new, old)


def _volume_warnings(new: Obj, old: Obj | None) -> list[str]:
    if (new.get("spec") or {}).get("persistentVolumeReclaimPolicy") != "Recycle":
        return []
    text = "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning."
    return [f"spec.persistentVolumeReclaimPolicy: {text}"]


def _template_changed(new: Obj, old: Obj) -> None:
    carry_generation(new, old, not same(new.get("template"), old.get("template")))


def _controller_warnings(new: Obj, old: Obj | None) -> list[str]:
    before = ((old.get("spec") or {}).get("template") or {}) if old is not None else None
    return template_warnings("spec.template", (new.get("spec") or {}).get("template") or {}, before)


def _pod_template_warnings(new: Obj, old: Obj | None) -> list[str]:
    return template_warnings("template", new.get("template") or {}, (old.get("template") or {}) if old is not None else None)


SERVICE = Strategy(
    prepare_create=_create_service,
    prepare_update=update_status_kind,
    prepare_status_update=only_status,
    validate_create=service.validate_service,
    validate_update=service.validate_service_update,
    validate_status_update=service.validate_service_status,
    validate_name=names.dns1123_label,
    warnings=_service_warnings,
    create_on_update=True,
)
NODE = Strategy(
    prepare_create=_create_node,
    prepare_update=update_status_kind,
    prepare_status_update=only_status,
    validate_create=node.validate_node,
    validate_update=node.validate_node_update,
    validate_status_update=node.validate_node_update,
)
NAMESPACE = Strategy(
    prepare_create=_create_namespace,
    prepare_update=_update_namespace,
    prepare_status_update=only_status,
    validate_create=node.validate_namespace,
    validate_status_update=node.validate_namespace_status,
    validate_name=names.dns1123_label,
)
SECRET = Strategy(
    prepare_update=keep_generation,
    validate_create=config.validate_secret,
    validate_update=config.validate_secret_update,
)
CONFIG_MAP = Strategy(
    prepare_update=keep_generation,
    validate_create=config.validate_config_map,
    validate_update=config.validate_config_map_update,
)
SERVICE_ACCOUNT = Strategy(prepare_update=keep_generation)
PERSISTENT_VOLUME = Strategy(
    prepare_create=_pending,
    prepare_update=update_status_kind,
    prepare_status_update=only_status,
    validate_create=persistent.validate_volume,
    validate_update=persistent.validate_volume_update,
    warnings=_volume_warnings,
)
PERSISTENT_VOLUME_CLAIM = Strategy(
    prepare_create=_create_claim,
    prepare_update=_update_claim,
    prepare_status_update=only_status,
    validate_create=persistent.validate_claim,
    validate_update=persistent.validate_claim_update,
    validate_status_update=persistent.validate_claim_status,
)
RESOURCE_QUOTA = Strategy(
    prepare_create=reset_status,
    prepare_update=update_status_kind,
    prepare_status_update=only_status,
    validate_create=quota.validate_quota,
    validate_update=quota.validate_quota_update,
    validate_status_update=quota.validate_quota_status,
)
LIMIT_RANGE = Strategy(
    prepare_update=keep_generation,
    validate_create=quota.validate_limit_range,
    validate_update=quota.validate_limit_range_update,
    create_on_update=True,
)
ENDPOINTS = Strategy(
    prepare_update=keep_generation,
    validate_create=endpoints.validate_endpoints,
    validate_update=endpoints.validate_endpoints_update,
    warnings=endpoints.endpoints_warnings,
    create_on_update=True,
)
REPLICATION_CONTROLLER = Strategy(
    prepare_create=create_with_status,
    prepare_update=update_with_status,
    prepare_status_update=only_status,
    validate_create=workloads.validate_controller,
    validate_update=workloads.validate_controller_update,
    validate_status_update=workloads.validate_controller_status,
    warnings=_controller_warnings,
    default_orphan=True,
)
POD_TEMPLATE = Strategy(
    prepare_create=first_generation,
    prepare_update=_template_changed,
    validate_create=workloads.validate_pod_template,
    validate_update=workloads.validate_pod_template_update,
    warnings=_pod_template_warnings,
)
