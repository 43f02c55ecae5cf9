"""What client-side apply managed goes over to server-side apply."""

from __future__ import annotations

from typing import Any

from steersman.cli.kubectl.commands.apply.migrating import taken_over
from steersman.machinery.meta import Obj

LAST = "f:kubectl.kubernetes.io/last-applied-configuration"


def entry(manager: str, operation: str, fields: dict[str, Any], **more: object) -> Obj:
    return {"manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": fields, **more}


def test_the_fields_of_client_side_apply_become_those_of_the_applier() -> None:
    applied = entry("kubectl", "Apply", {"f:data": {"f:a": {}}})
    other = entry("kubectl-label", "Update", {"f:metadata": {"f:labels": {"f:x": {}}}})
    before = entry("kubectl-client-side-apply", "Update", {"f:data": {".": {}, "f:a": {}, "f:b": {}}})
    assert taken_over([applied, other, before], "kubectl") == [
        {**applied, "fieldsV1": {"f:data": {".": {}, "f:a": {}, "f:b": {}}}},
        other,
    ]


def test_whoever_wrote_the_annotation_applied_on_the_clients_side() -> None:
    applied = entry("mine", "Apply", {"f:data": {}})
    before = entry("older", "Update", {"f:metadata": {"f:annotations": {LAST: {}}}})
    fields: dict[str, Any] = {"f:data": {}, "f:metadata": {"f:annotations": {LAST: {}}}}
    assert taken_over([before, applied], "mine") == [{**applied, "fieldsV1": fields}]


def test_nothing_is_taken_over_where_nobody_applied_on_the_clients_side() -> None:
    applied = entry("kubectl", "Apply", {"f:data": {}})
    status = entry("kubectl-client-side-apply", "Update", {"f:status": {}}, subresource="status")
    assert taken_over([applied, status], "kubectl") is None


def test_nothing_is_taken_over_for_a_manager_that_has_not_applied() -> None:
    before = entry("kubectl-client-side-apply", "Update", {"f:data": {}})
    assert taken_over([before], "kubectl") is None
