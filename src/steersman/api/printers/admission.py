"""Rows of admissionregistration.k8s.io."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from steersman.api.kinds import TableSpec
from steersman.api.printers.cells import AGE, NAME, Cells, age, col, label_selector, spec
from steersman.machinery.meta import Obj, dig, name_of


def _webhooks(obj: Obj, now: datetime) -> list[Any]:
    return [name_of(obj), len(obj.get("webhooks") or ()), age(obj, now)]


def _policy(rules: str) -> Cells:
    def cells(obj: Obj, now: datetime) -> list[Any]:
        wanted = obj.get("spec") or {}
        kind = wanted.get("paramKind")
        shown = f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}" if kind else "<unset>"
        return [name_of(obj), len(wanted.get(rules) or ()), shown, age(obj, now)]

    return cells


def _binding(obj: Obj, now: datetime) -> list[Any]:
    reference = dig(obj, "spec", "paramRef")
    shown = "<unset>"
    if reference and reference.get("name"):
        shown = f"{reference.get('namespace') or '*'}/{reference['name']}"
    elif reference:
        shown = label_selector(reference.get("selector"), empty="")
    return [name_of(obj), str(dig(obj, "spec", "policyName", default="")), shown, age(obj, now)]


_WEBHOOKS = spec(_webhooks, NAME, col("Webhooks", "integer"), AGE)
_BINDING = spec(_binding, NAME, col("PolicyName"), col("ParamRef"), AGE)

TABLES: dict[str, TableSpec] = {
    "MutatingWebhookConfiguration": _WEBHOOKS,
    "ValidatingWebhookConfiguration": _WEBHOOKS,
    "ValidatingAdmissionPolicy": spec(_policy("validations"), NAME, col("Validations", "integer"), col("ParamKind"), AGE),
    "MutatingAdmissionPolicy": spec(_policy("mutations"), NAME, col("Mutations", "integer"), col("ParamKind"), AGE),
    "ValidatingAdmissionPolicyBinding": _BINDING,
    "MutatingAdmissionPolicyBinding": _BINDING,
}
