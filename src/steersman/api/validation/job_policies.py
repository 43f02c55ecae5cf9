"""Validation of jobs' podFailurePolicy and successPolicy, and of lists of indexes (`0,2-5`)."""

from __future__ import annotations

from collections.abc import Iterator

from steersman.api.validation.common import Errors, complain, not_negative, unique
from steersman.machinery import names
from steersman.machinery.fielderrors import FieldError, invalid, not_supported, required, too_long, too_many
from steersman.machinery.meta import Obj

_MAX_RULES, _MAX_PATTERNS, _MAX_EXIT_CODES = 20, 20, 255
_MAX_INDEXES_BYTES = 64 * 1024
_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_OPERATORS = ("In", "NotIn")
_STATUSES = ("False", "True", "Unknown")


def without_value(path: str, detail: str) -> FieldError:
    """Invalid, of an object that is not shown."""
    return FieldError(path, "FieldValueInvalid", "Invalid value", detail)


def _choice(errors: Errors, path: str, value: str, supported: tuple[str, ...]) -> None:
    if not value:
        listed = " ".join(f'"{item}"' for item in supported)
        errors.append(required(path, f"valid values: [{listed}]"))
    elif value not in supported:
        errors.append(not_supported(path, value, supported))


def pod_failure_policy(errors: Errors, path: str, spec: Obj) -> None:
    """`spec` is the job's: rules name its containers."""
    rules = spec["podFailurePolicy"].get("rules") or ()
    if len(rules) > _MAX_RULES:
        errors.append(too_many(f"{path}.rules", len(rules), _MAX_RULES))
    pod = (spec.get("template") or {}).get("spec") or {}
    known = {item.get("name") for kind in ("containers", "initContainers") for item in pod.get(kind) or ()}
    for index, rule in enumerate(rules):
        inner, action = f"{path}.rules[{index}]", rule.get("action") or ""
        _choice(errors, f"{inner}.action", action, _ACTIONS)
        if action == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
            errors.append(invalid(f"{inner}.action", action, "requires the backoffLimitPerIndex to be set"))
        codes, patterns = rule.get("onExitCodes"), rule.get("onPodConditions") or ()
        if codes is not None and patterns:
            errors.append(without_value(inner, "specifying both OnExitCodes and OnPodConditions is not supported"))
        if codes is not None:
            _exit_codes(errors, f"{inner}.onExitCodes", codes, known)
        if patterns:
            _patterns(errors, f"{inner}.onPodConditions", patterns)
        if codes is None and not patterns:
            errors.append(without_value(inner, "specifying one of OnExitCodes and OnPodConditions is required"))


def _patterns(errors: Errors, path: str, patterns: list[Obj]) -> None:
    if len(patterns) > _MAX_PATTERNS:
        errors.append(too_many(path, len(patterns), _MAX_PATTERNS))
    for index, pattern in enumerate(patterns):
        kind = pattern.get("type") or ""
        complain(errors, f"{path}[{index}].type", kind, names.qualified_name(kind))
        _choice(errors, f"{path}[{index}].status", pattern.get("status") or "", _STATUSES)


def _exit_codes(errors: Errors, path: str, rule: Obj, known: set[str | None]) -> None:
    operator, container, values = rule.get("operator") or "", rule.get("containerName"), rule.get("values") or []
    _choice(errors, f"{path}.operator", operator, _OPERATORS)
    if container is not None and container not in known:
        text = "must be one of the container or initContainer names in the pod template"
        errors.append(invalid(f"{path}.containerName", container, text))
    if not values:
        errors.append(invalid(f"{path}.values", values, "at least one value is required"))
    elif len(values) > _MAX_EXIT_CODES:
        errors.append(too_many(f"{path}.values", len(values), _MAX_EXIT_CODES))
    seen: set[int] = set()
    for index, value in enumerate(values):
        if operator == "In" and value == 0:
            errors.append(invalid(f"{path}.values[{index}]", value, "must not be 0 for the In operator"))
        unique(errors, f"{path}.values[{index}]", value, seen)
    if values != sorted(values):
        errors.append(invalid(f"{path}.values", values, "must be ordered"))


def success_policy(errors: Errors, path: str, spec: Obj) -> None:
    """`spec` is that of an indexed job."""
    rules = spec["successPolicy"].get("rules") or ()
    if not rules:
        errors.append(required(f"{path}.rules", "at least one rules must be specified when the successPolicy is specified"))
    if len(rules) > _MAX_RULES:
        errors.append(too_many(f"{path}.rules", len(rules), _MAX_RULES))
    for index, rule in enumerate(rules):
        _success_rule(errors, f"{path}.rules[{index}]", rule, spec.get("completions") or 0)


def _success_rule(errors: Errors, path: str, rule: Obj, completions: int) -> None:
    listed, count = rule.get("succeededIndexes"), rule.get("succeededCount")
    if listed is None and count is None:
        errors.append(required(path, "at least one of succeededCount or succeededIndexes must be specified"))
    total = 0
    if listed is not None:
        if len(listed.encode()) > _MAX_INDEXES_BYTES:
            errors.append(too_long(f"{path}.succeededIndexes", _MAX_INDEXES_BYTES))
        try:
            total = sum(len(part) for part in parse_indexes(listed, completions))
        except ValueError as error:
            errors.append(invalid(f"{path}.succeededIndexes", listed, f"error parsing succeededIndexes: {error}"))
    if count is None:
        return
    inner = f"{path}.succeededCount"
    not_negative(errors, inner, count)
    lead = "must be less than or equal to"
    if count > completions:
        errors.append(invalid(inner, count, f"{lead} {completions} (the number of specified completions)"))
    if listed is not None and count > total:
        text = f"{lead} {total} (the number of indexes in the specified succeededIndexes field)"
        errors.append(invalid(inner, count, text))


def parse_indexes(text: str, completions: int) -> Iterator[range]:
    """The intervals of a list of indexes, in their order. Raises ValueError with upstream's text, at the interval in question."""
    last: int | None = None
    for part in text.split(",") if text else ():
        limits = part.split("-")
        if len(limits) > 2:
            what = "violates the requirement that an index interval can have at most two parts separated by '-'"
            raise ValueError(f'the fragment "{part}" {what}')
        first = _index(limits[0], completions)
        end = first
        if len(limits) == 2:
            end = _index(limits[1], completions)
            if first >= end:
                raise ValueError(f"non-increasing order, previous: {first}, current: {end}")
        if last is not None and last >= first:
            raise ValueError(f"non-increasing order, previous: {last}, current: {first}")
        last = end
        yield range(first, end + 1)


def _index(text: str, completions: int) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f'cannot convert string to integer for index: "{text}"')
    if int(text) >= completions:
        raise ValueError(f'too large index: "{text}"')
    return int(text)
