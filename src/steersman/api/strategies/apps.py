"""Strategies of apps/v1."""

from __future__ import annotations

from steersman.api.defaults.apps import TEMPLATE_GENERATION, set_template_generation
from steersman.api.equality import same
from steersman.api.kinds import Strategy
from steersman.api.strategies.common import (
    carry_generation,
    create_with_status,
    keep_generation,
    keep_status,
    only_status,
    update_with_status,
)  # fmt: skip
from steersman.api.strategies.pod_warnings import template_warnings
from steersman.api.validation import apps, workloads
from steersman.machinery import names
from steersman.machinery.meta import Obj, annotations_of, labels_of, metadata


def _update_deployment(new: Obj, old: Obj) -> None:
    """Generation counts annotations as well: rollouts copy them to replica sets."""
    keep_status(new, old)
    carry_generation(new, old, not same(new.get("spec"), old.get("spec")) or annotations_of(new) != annotations_of(old))


def _update_deployment_status(new: Obj, old: Obj) -> None:
    only_status(new, old)
    if labels_of(old):
        metadata(new)["labels"] = dict(labels_of(old))
    else:
        metadata(new).pop("labels", None)


def _template_generation(obj: Obj) -> int:
    text = annotations_of(obj).get(TEMPLATE_GENERATION, "")
    return int(text) if text.isdigit() else 0


def _create_daemon_set(obj: Obj) -> None:
    create_with_status(obj)
    set_template_generation(obj, max(_template_generation(obj), 1))


def _update_daemon_set(new: Obj, old: Obj) -> None:
    update_with_status(new, old)
    spec, stored = new.get("spec") or {}, old.get("spec") or {}
    changed = not same(spec.get("template"), stored.get("template"))
    set_template_generation(new, _template_generation(old) + changed)


def _template_warnings(new: Obj, old: Obj | None) -> list[str]:
    before = ((old.get("spec") or {}).get("template") or {}) if old is not None else None
    return template_warnings("spec.template", (new.get("spec") or {}).get("template") or {}, before)


def _named_warnings(new: Obj, old: Obj | None) -> list[str]:
    return apps.new_name_warnings(new, old) + _template_warnings(new, old)


def _stateful_set_warnings(new: Obj, old: Obj | None) -> list[str]:
    return apps.stateful_set_warnings(new, old) + _template_warnings(new, old)


DEPLOYMENT = Strategy(
    prepare_create=create_with_status,
    prepare_update=_update_deployment,
    prepare_status_update=_update_deployment_status,
    validate_create=apps.validate_deployment,
    validate_update=apps.validate_deployment_update,
    validate_status_update=apps.validate_deployment_status,
    warnings=_named_warnings,
)
REPLICA_SET = Strategy(
    prepare_create=create_with_status,
    prepare_update=update_with_status,
    prepare_status_update=only_status,
    validate_create=apps.validate_replica_set,
    validate_update=apps.validate_replica_set_update,
    validate_status_update=workloads.validate_controller_status,
    warnings=_named_warnings,
)
STATEFUL_SET = Strategy(
    prepare_create=create_with_status,
    prepare_update=update_with_status,
    prepare_status_update=only_status,
    validate_create=apps.validate_stateful_set,
    validate_update=apps.validate_stateful_set_update,
    validate_status_update=apps.validate_stateful_set_status,
    validate_name=names.dns1123_label,
    warnings=_stateful_set_warnings,
)
DAEMON_SET = Strategy(
    prepare_create=_create_daemon_set,
    prepare_update=_update_daemon_set,
    prepare_status_update=only_status,
    validate_create=apps.validate_daemon_set,
    validate_update=apps.validate_daemon_set_update,
    validate_status_update=apps.validate_daemon_set_status,
    warnings=_template_warnings,
)
CONTROLLER_REVISION = Strategy(
    prepare_update=keep_generation,
    validate_create=apps.validate_revision,
    validate_update=apps.validate_revision_update,
)
