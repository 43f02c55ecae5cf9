"""Strategies of flowcontrol.apiserver.k8s.io/v1."""

from __future__ import annotations

from steersman.api.kinds import Strategy
from steersman.api.strategies.common import create_with_status, keep, only_status, update_with_status
from steersman.api.strategies.later import Later
from steersman.machinery.meta import Obj, metadata


def _only_status(new: Obj, old: Obj) -> None:
    """A status update keeps the metadata whole, what it says about who wrote it and when aside."""
    only_status(new, old)
    meta, stored = metadata(new), metadata(old)
    for key in (meta.keys() | stored.keys()) - {"managedFields", "resourceVersion"}:
        keep(meta, stored, key)


FLOW_SCHEMA = Strategy(
    prepare_create=create_with_status,
    prepare_update=update_with_status,
    prepare_status_update=_only_status,
    validate_create=Later("flowcontrol", "validate_flow_schema"),
    validate_update=Later("flowcontrol", "validate_flow_schema_update"),
    validate_status_update=Later("flowcontrol", "validate_status"),
)
PRIORITY_LEVEL_CONFIGURATION = Strategy(
    prepare_create=create_with_status,
    prepare_update=update_with_status,
    prepare_status_update=_only_status,
    validate_create=Later("flowcontrol", "validate_priority_level"),
    validate_update=Later("flowcontrol", "validate_priority_level_update"),
    validate_status_update=Later("flowcontrol", "validate_status"),
)
