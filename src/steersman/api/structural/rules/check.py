"""May a definition have these rules: what is asked of each, whether it compiles, and whether it might cost too much.

Source: apiextensions-apiserver pkg/apis/apiextensions/validation/{validation,cel_validation}.go.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from steersman.api.structural.model import Node
from steersman.api.structural.rules import compiled, fieldpath
from steersman.api.structural.rules.compiled import Rule
from steersman.api.structural.rules.declare import LARGEST_REQUEST, Declarations
from steersman.machinery.cel import Program
from steersman.machinery.cel.cost.estimate import SizeOf, estimate
from steersman.machinery.cel.cost.ranges import LARGEST
from steersman.machinery.fielderrors import FieldError, forbidden, internal, invalid, not_supported, required
from steersman.machinery.meta import Obj

RULE_LIMIT = 10_000_000
SCHEMA_LIMIT = 100_000_000
_REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
_ADVICE = (
    "try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared"
)
_TOTAL = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema"
_CONTRIBUTED = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
_MOST_EXPENSIVE = 4


@dataclass(slots=True)
class _Place:
    """A level of a schema. cardinality: how often a rule there may run; None where nothing bounds it."""

    node: Node
    path: str
    cardinality: int | None = 1
    uncorrelatable: str = ""
    """The level from which on values cannot be compared with what they were."""


@dataclass(slots=True)
class _Check:
    declarations: Declarations = field(default_factory=Declarations)
    errors: list[FieldError] = field(default_factory=list)
    costs: list[tuple[int, str]] = field(default_factory=list)


def check(root: Node, path: str) -> list[FieldError]:
    """What is wrong with the rules in the schema of a whole resource, at `path` (…openAPIV3Schema)."""
    run = _Check()
    _level(run, _Place(root, path), is_root=True)
    total = min(sum(cost for cost, _ in run.costs), LARGEST)
    if total > SCHEMA_LIMIT:
        expensive = sorted((item for item in run.costs if item[0] > SCHEMA_LIMIT // 100), key=lambda item: -item[0])
        run.errors += [forbidden(at, _CONTRIBUTED) for _, at in expensive[:_MOST_EXPENSIVE]]
        run.errors.append(forbidden(path, _too_much(_TOTAL, total, SCHEMA_LIMIT)))
    return run.errors


def _level(run: _Check, place: _Place, *, is_root: bool = False) -> None:
    node, path = place.node, place.path
    if node.raw.get(compiled.KEY):
        _rules(run, place, is_root)
    atomic = path if node.map_type == "atomic" else ""
    for name, inner in node.properties.items():
        _level(run, _Place(inner, f"{path}.properties[{name}]", place.cardinality, place.uncorrelatable or atomic))
    if node.additional is not None:
        count = _times(place.cardinality, node.raw.get("maxProperties"))
        _level(run, _Place(node.additional, f"{path}.additionalProperties", count, place.uncorrelatable or atomic))
    if node.items is not None:
        lost = "" if node.list_type == "map" else path
        count = _times(place.cardinality, node.raw.get("maxItems"))
        _level(run, _Place(node.items, f"{path}.items", count, place.uncorrelatable or lost))


def _times(cardinality: int | None, limit: Any) -> int | None:
    if cardinality is None or limit is None:
        return None
    return int(min(cardinality * max(limit, 0), LARGEST))


def _rules(run: _Check, place: _Place, is_root: bool) -> None:
    node, at = place.node, f"{place.path}.{compiled.KEY}"
    wrong: list[FieldError] = []
    for index, raw in enumerate(node.raw[compiled.KEY]):
        _form(raw, f"{at}[{index}]", node, wrong)
    run.errors += wrong
    if wrong:
        return
    decl = run.declarations.of(node, is_root=is_root)
    if decl is None:
        text = f"type: '{node.type}' x-kubernetes-preserve-unknown-fields: '{str(node.preserve).lower()}'"
        lead = "failed to compile x-kubernetes-validations rules: rule declared on schema that does not support validation rules"
        run.errors.append(internal(at, f"{lead} {text}"))
        return
    count = LARGEST_REQUEST // (decl.smallest + 1) if place.cardinality is None else place.cardinality
    for index, rule in enumerate(compiled.of_level(node, decl)):
        _rule(run, rule, f"{at}[{index}]", place, decl.size_of, count)


def _rule(run: _Check, rule: Rule, at: str, place: _Place, size_of: SizeOf, count: int) -> None:
    if rule.program is not None:
        cost = min(estimate(rule.program.tree, size_of).high * count, LARGEST)
        _afford(run, f"{at}.rule", "estimated rule cost", cost)
    if rule.fault:
        run.errors.append(_invalid(f"{at}.rule", rule.raw, rule.fault))
    if rule.message_fault:
        run.errors.append(_invalid(f"{at}.messageExpression", rule.raw, rule.message_fault))
    elif isinstance(rule.message, Program):
        _afford(run, f"{at}.messageExpression", "estimated messageExpression cost", estimate(rule.message.tree, size_of).high)
    if rule.is_transition:
        if place.uncorrelatable:
            text = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {place.uncorrelatable}"
            run.errors.append(invalid(f"{at}.rule", rule.raw["rule"], text))
    elif rule.program is not None and rule.raw.get("optionalOldSelf") is not None:
        text = "may not be set if oldSelf is not used in rule"
        run.errors.append(invalid(f"{at}.optionalOldSelf", rule.raw["optionalOldSelf"], text))


def _afford(run: _Check, at: str, name: str, cost: int) -> None:
    run.costs.append((cost, at))
    if cost > RULE_LIMIT:
        run.errors.append(forbidden(at, _too_much(name, cost, RULE_LIMIT)))


def _too_much(name: str, cost: int, limit: int) -> str:
    factor = cost / limit
    shown = "more than 100x" if factor > 100 else f"{factor:f}x" if factor < 1.5 else f"{factor:.1f}x"
    return f"{name} exceeds budget by factor of {shown} ({_ADVICE})"


def _form(raw: Obj, at: str, node: Node, errors: list[FieldError]) -> None:
    rule, message, path = (raw.get(key) or "" for key in ("rule", "message", "fieldPath"))
    if not rule.strip():
        errors.append(required(f"{at}.rule", "rule is not specified"))
    elif message and not message.strip():
        errors.append(invalid(f"{at}.message", message, "message must be non-empty if specified"))
    elif _has_newlines(message.strip()):
        errors.append(invalid(f"{at}.message", message, "message must not contain line breaks"))
    elif _has_newlines(rule.strip()) and not message.strip():
        errors.append(required(f"{at}.message", "message must be specified if rule contains line breaks"))
    expression = raw.get("messageExpression") or ""
    if expression and not expression.strip():
        errors.append(required(f"{at}.messageExpression", "messageExpression must be non-empty if specified"))
    if raw.get("reason") is not None and raw["reason"] not in _REASONS:
        errors.append(not_supported(f"{at}.reason", raw["reason"], _REASONS))
    if not path:
        return
    if not path.strip():
        errors.append(invalid(f"{at}.fieldPath", path, "fieldPath must be non-empty if specified"))
    elif _has_newlines(path):
        errors.append(invalid(f"{at}.fieldPath", path, "fieldPath must not contain line breaks"))
    elif fieldpath.parse(path.strip(), node) is None:
        errors.append(invalid(f"{at}.fieldPath", path, "fieldPath must be a valid path"))


def _has_newlines(text: str) -> bool:
    return "\n" in text or "\r" in text


def _invalid(at: str, raw: Obj, detail: str) -> FieldError:
    """With the whole rule as the value, as Go writes it."""
    shown = {
        "Rule": raw.get("rule") or "",
        "Message": raw.get("message") or "",
        "MessageExpression": raw.get("messageExpression") or "",
        "Reason": raw.get("reason"),
        "FieldPath": raw.get("fieldPath") or "",
        "OptionalOldSelf": raw.get("optionalOldSelf"),
    }
    text = json.dumps(shown, separators=(",", ":"), ensure_ascii=False)
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return FieldError(at, "FieldValueInvalid", "Invalid value", f"{text}: {detail}")
