"""Strategies of admissionregistration.k8s.io/v1 (upstream pkg/registry/admissionregistration/*/strategy.go)."""

from __future__ import annotations

from steersman.api.equality import same
from steersman.api.kinds import Strategy
from steersman.api.strategies.common import (
    carry_generation,
    create_with_status,
    first_generation,
    only_bare_status,
    update_with_status,
)
from steersman.api.strategies.later import Later
from steersman.machinery.meta import Obj


def _webhooks_changed(new: Obj, old: Obj) -> None:
    carry_generation(new, old, not same(new.get("webhooks"), old.get("webhooks")))


def _spec_changed(new: Obj, old: Obj) -> None:
    carry_generation(new, old, not same(new.get("spec"), old.get("spec")))


def _configuration(kind: str) -> Strategy:
    return Strategy(
        prepare_create=first_generation,
        prepare_update=_webhooks_changed,
        validate_create=Later("admission_webhooks", f"validate_{kind}"),
        validate_update=Later("admission_webhooks", f"validate_{kind}_update"),
        warnings=Later("admission_webhooks", "warnings"),
        unconditional_update=False,
    )


def _plain(kind: str) -> Strategy:
    return Strategy(
        prepare_create=first_generation,
        prepare_update=_spec_changed,
        validate_create=Later("admission_policies", f"validate_{kind}"),
        validate_update=Later("admission_policies", f"validate_{kind}_update"),
        unconditional_update=False,
    )


MUTATING_WEBHOOKS = _configuration("mutating")
VALIDATING_WEBHOOKS = _configuration("validating")
MUTATING_POLICY = _plain("mutating_policy")
MUTATING_POLICY_BINDING = _plain("mutating_binding")
VALIDATING_POLICY_BINDING = _plain("validating_binding")
VALIDATING_POLICY = Strategy(
    prepare_create=create_with_status,
    prepare_update=update_with_status,
    prepare_status_update=only_bare_status,
    validate_create=Later("admission_policies", "validate_validating_policy"),
    validate_update=Later("admission_policies", "validate_validating_policy_update"),
    validate_status_update=Later("admission_policies", "validate_status"),
    unconditional_update=False,
)
