"""Strategies of storage.k8s.io/v1."""

from __future__ import annotations

from steersman.api.equality import same
from steersman.api.kinds import Strategy
from steersman.api.strategies.common import (
    carry_generation,
    keep_generation,
    only_bare_status,
    reset_status,
    update_status_kind,
)  # fmt: skip
from steersman.api.strategies.later import Later
from steersman.machinery.meta import Obj

_UNSCHEDULABLE = "preventPodSchedulingIfMissing"
"""A field of CSI drivers whose feature gate is off."""


def _create_driver(obj: Obj) -> None:
    (obj.get("spec") or {}).pop(_UNSCHEDULABLE, None)


def _update_driver(new: Obj, old: Obj) -> None:
    spec, stored = new.get("spec") or {}, old.get("spec") or {}
    if stored.get(_UNSCHEDULABLE) is None:
        spec.pop(_UNSCHEDULABLE, None)
    carry_generation(new, old, not same(spec, stored))


STORAGE_CLASS = Strategy(
    prepare_update=keep_generation,
    validate_create=Later("storage", "validate_storage_class"),
    validate_update=Later("storage", "validate_storage_class_update"),
    warnings=Later("storage", "topology_warnings"),
)
VOLUME_ATTRIBUTES_CLASS = Strategy(
    prepare_update=keep_generation,
    validate_create=Later("storage", "validate_attributes_class"),
    validate_update=Later("storage", "validate_attributes_class_update"),
)
VOLUME_ATTACHMENT = Strategy(
    prepare_create=reset_status,
    prepare_update=update_status_kind,
    prepare_status_update=only_bare_status,
    validate_create=Later("storage", "validate_attachment"),
    validate_update=Later("storage", "validate_attachment_update"),
    validate_status_update=Later("storage", "validate_attachment_update"),
    unconditional_update=False,
)
CSI_DRIVER = Strategy(
    prepare_create=_create_driver,
    prepare_update=_update_driver,
    validate_create=Later("csi", "validate_driver"),
    validate_update=Later("csi", "validate_driver_update"),
    unconditional_update=False,
)
CSI_NODE = Strategy(
    prepare_update=keep_generation,
    validate_create=Later("csi", "validate_node"),
    validate_update=Later("csi", "validate_node_update"),
    unconditional_update=False,
)
CSI_STORAGE_CAPACITY = Strategy(
    prepare_update=keep_generation,
    validate_create=Later("csi", "validate_capacity"),
    validate_update=Later("csi", "validate_capacity_update"),
    unconditional_update=False,
)
