"""The built-in kinds, one module per group-version. BUILTIN is what the API server installs at start."""

from __future__ import annotations

from dataclasses import replace

from steersman.api.groups import (
    admissionregistration_v1,
    apiextensions_v1,
    apiregistration_v1,
    apps_v1,
    autoscaling,
    batch_v1,
    certificates_v1,
    coordination_v1,
    core_v1,
    discovery_v1,
    events_v1,
    flowcontrol_v1,
    networking_v1,
    node_v1,
    policy_v1,
    rbac_v1,
    resource_v1,
    reviews_v1,
    scheduling_v1,
    storage_v1,
)  # fmt: skip
from steersman.api.groups.bodies import BODIES
from steersman.api.kinds import KindSpec
from steersman.api.printers import TABLES

__all__ = ["BODIES", "BUILTIN"]

_KINDS: tuple[KindSpec, ...] = (
    *core_v1.KINDS,
    *admissionregistration_v1.KINDS,
    *apiextensions_v1.KINDS,
    *apiregistration_v1.KINDS,
    *apps_v1.KINDS,
    *autoscaling.KINDS,
    *batch_v1.KINDS,
    *certificates_v1.KINDS,
    *coordination_v1.KINDS,
    *discovery_v1.KINDS,
    *events_v1.KINDS,
    *flowcontrol_v1.KINDS,
    *networking_v1.KINDS,
    *node_v1.KINDS,
    *policy_v1.KINDS,
    *rbac_v1.KINDS,
    *resource_v1.KINDS,
    *reviews_v1.KINDS,
    *scheduling_v1.KINDS,
    *storage_v1.KINDS,
)

BUILTIN: tuple[KindSpec, ...] = tuple(replace(spec, table=TABLES.get((spec.resource.group, spec.kind))) for spec in _KINDS)
"""All of them, with their printer columns."""
