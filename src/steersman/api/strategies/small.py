"""Strategies of the groups with one or two small kinds: coordination, discovery, node, policy, scheduling."""

from __future__ import annotations

from steersman.api.equality import same
from steersman.api.kinds import Strategy
from steersman.api.strategies.common import (
    carry_generation,
    create_with_status,
    first_generation,
    keep_generation,
    only_status,
    update_with_status,
)  # fmt: skip
from steersman.api.validation import endpoints, policy, runtime_class, small
from steersman.machinery import names
from steersman.machinery.meta import Obj, labels_of

_COORDINATED = ("strategy", "preferredHolder")


def _create_lease(obj: Obj) -> None:
    """Fields of coordinated leader election, which is off."""
    for key in _COORDINATED:
        (obj.get("spec") or {}).pop(key, None)


def _update_lease(new: Obj, old: Obj) -> None:
    for key in _COORDINATED:
        if key not in (old.get("spec") or {}):
            (new.get("spec") or {}).pop(key, None)
    keep_generation(new, old)


def _create_endpoint_slice(obj: Obj) -> None:
    for endpoint in obj.get("endpoints") or ():
        endpoint.pop("deprecatedTopology", None)
    first_generation(obj)


def _update_endpoint_slice(new: Obj, old: Obj) -> None:
    """Generation counts label changes and everything outside metadata."""
    for endpoint in new.get("endpoints") or ():
        endpoint.pop("deprecatedTopology", None)
    changed = labels_of(new) != labels_of(old) or any(
        not same(new.get(key), old.get(key)) for key in (new.keys() | old.keys()) - {"metadata", "kind", "apiVersion"}
    )
    carry_generation(new, old, changed)


LEASE = Strategy(
    prepare_create=_create_lease,
    prepare_update=_update_lease,
    validate_create=small.validate_lease,
    validate_update=small.validate_lease_update,
    create_on_update=True,
    unconditional_update=False,
)
ENDPOINT_SLICE = Strategy(
    prepare_create=_create_endpoint_slice,
    prepare_update=_update_endpoint_slice,
    validate_create=endpoints.validate_slice,
    validate_update=endpoints.validate_slice_update,
    warnings=endpoints.slice_warnings,
)
PRIORITY_CLASS = Strategy(
    prepare_create=first_generation,
    prepare_update=keep_generation,
    validate_create=small.validate_priority_class,
    validate_update=small.validate_priority_class_update,
)
POD_DISRUPTION_BUDGET = Strategy(
    prepare_create=create_with_status,
    prepare_update=update_with_status,
    prepare_status_update=only_status,
    validate_create=policy.validate_budget,
    validate_update=policy.validate_budget_update,
    validate_status_update=policy.validate_budget_status,
    validate_name=names.path_segment,
    unconditional_update=False,
)
RUNTIME_CLASS = Strategy(
    prepare_update=keep_generation,
    validate_create=runtime_class.validate_runtime_class,
    validate_update=runtime_class.validate_runtime_class_update,
    create_on_update=True,
    unconditional_update=False,
)
