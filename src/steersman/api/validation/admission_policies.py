"""Validation of admission policies and their bindings (upstream pkg/apis/admissionregistration/validation/validation.go)."""

from __future__ import annotations

import re
from collections.abc import Callable

from steersman.api.validation import admission_rules as rules
from steersman.api.validation.admission_expressions import Expressions
from steersman.api.validation.common import Errors, complain, label_selector, needs, one_of, subdomain, unique
from steersman.api.validation.conditions import conditions as status_conditions
from steersman.machinery import names
from steersman.machinery.fielderrors import FieldError, duplicate, forbidden, invalid, not_supported, required, too_long
from steersman.machinery.meta import Obj

_ACTIONS = ("Audit", "Deny", "Warn")
_NOT_FOUND_ACTIONS = ("Allow", "Deny")
_REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized")
_REINVOCATION = ("IfNeeded", "Never")
_MUTABLE = ("*", "CONNECT", "CREATE", "UPDATE")
_BLOCKS = {"ApplyConfiguration": "applyConfiguration", "JSONPatch": "jsonPatch"}
_MOST_ANNOTATIONS, _LONGEST = 20, 5 * 1024
_IDENTIFIER = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*", re.ASCII)
_WORDS = "as break const continue else false for function if import in let loop namespace null package return true var void while"
_RESERVED = frozenset(_WORDS.split())
_TWICE = (
    "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers "
    "serves no purpose)"
)


def validate_validating_policy(obj: Obj) -> list[FieldError]:
    return _validating(obj, None)


def validate_validating_policy_update(new: Obj, old: Obj) -> list[FieldError]:
    return _validating(new, old)


def validate_mutating_policy(obj: Obj) -> list[FieldError]:
    return _mutating(obj, None)


def validate_mutating_policy_update(new: Obj, old: Obj) -> list[FieldError]:
    return _mutating(new, old)


def _validating(obj: Obj, old: Obj | None) -> list[FieldError]:
    errors: Errors = []
    spec = obj.get("spec") or {}
    known = Expressions(spec, old)
    _policy(errors, spec, known, rules.OPERATIONS)
    validations, annotations = spec.get("validations") or [], spec.get("auditAnnotations") or []
    if not validations and not annotations:
        text = "validations or auditAnnotations must contain at least one item"
        errors += [required("spec.validations", text), required("spec.auditAnnotations", text)]
        return errors
    for index, item in enumerate(validations):
        _validation(errors, f"spec.validations[{index}]", item, known)
    if len(annotations) > _MOST_ANNOTATIONS:
        text = f"must not have more than {_MOST_ANNOTATIONS} auditAnnotations"
        errors.append(invalid("spec.auditAnnotations", annotations, text))
    seen: set[str] = set()
    name = str((obj.get("metadata") or {}).get("name", ""))
    for index, item in enumerate(annotations):
        _annotation(errors, f"spec.auditAnnotations[{index}]", name, item, known)
        unique(errors, f"spec.auditAnnotations[{index}].key", item.get("key") or "", seen)
    return errors


def _mutating(obj: Obj, old: Obj | None) -> list[FieldError]:
    errors: Errors = []
    spec = obj.get("spec") or {}
    known = Expressions(spec, old)
    _policy(errors, spec, known, _MUTABLE)
    mutations = spec.get("mutations") or []
    needs(errors, "spec.mutations", mutations, "mutations must contain at least one item")
    for index, item in enumerate(mutations):
        _mutation(errors, f"spec.mutations[{index}]", item, known)
    one_of(errors, "spec.reinvocationPolicy", spec.get("reinvocationPolicy"), _REINVOCATION, optional=False)
    return errors


def _policy(errors: Errors, spec: Obj, known: Expressions, operations: tuple[str, ...]) -> None:
    """What both sorts share."""
    one_of(errors, "spec.failurePolicy", spec.get("failurePolicy"), rules.FAILURE_POLICIES, optional=False)
    kind = spec.get("paramKind")
    if kind is not None:
        _param_kind(errors, "spec.paramKind", kind)
    constraints = spec.get("matchConstraints")
    if constraints is None:
        errors.append(required("spec.matchConstraints"))
    else:
        rules.constraints(errors, "spec.matchConstraints", constraints, operations=operations)
        needs(errors, "spec.matchConstraints.resourceRules", constraints.get("resourceRules"))
    rules.conditions(errors, "spec.matchConditions", spec.get("matchConditions"))
    for index, item in enumerate(spec.get("matchConditions") or ()):
        known.condition(errors, f"spec.matchConditions[{index}].expression", item.get("expression") or "")
    for index, item in enumerate(spec.get("variables") or ()):
        _variable(errors, f"spec.variables[{index}]", item, known)


def _param_kind(errors: Errors, path: str, kind: Obj) -> None:
    version = kind.get("apiVersion") or ""
    if needs(errors, f"{path}.apiVersion", version):
        group, slash, number = version.rpartition("/")
        if version.count("/") > 1:
            errors.append(invalid(f"{path}.apiVersion", version, f"unexpected GroupVersion string: {version}"))
        elif slash:
            complain(errors, f"{path}.apiVersion", group, names.dns1123_subdomain(group))
        if version.count("/") <= 1:
            complain(errors, f"{path}.apiVersion", number, names.dns1035_label(number))
    word = kind.get("kind") or ""
    if needs(errors, f"{path}.kind", word):
        texts = names.dns1035_label(word.lower())
        lead = "may have mixed case, but should otherwise match: "
        complain(errors, f"{path}.kind", word, [lead + ",".join(texts)] if texts else [])


def _variable(errors: Errors, path: str, item: Obj, known: Expressions) -> None:
    name, expression = item.get("name") or "", (item.get("expression") or "").strip()
    if not name or not _IDENTIFIER.fullmatch(name) or name in _RESERVED:
        if not name:
            errors.append(required(f"{path}.name", "name is not specified"))
        else:
            errors.append(invalid(f"{path}.name", name, "must be a valid CEL identifier"))
        return
    if needs(errors, f"{path}.expression", expression, "expression is not specified"):
        known.variable(errors, f"{path}.expression", name, expression)


def _validation(errors: Errors, path: str, item: Obj, known: Expressions) -> None:
    expression = (item.get("expression") or "").strip()
    message, said = item.get("message") or "", (item.get("messageExpression") or "").strip()
    if needs(errors, f"{path}.expression", expression, "expression is not specified"):
        known.validation(errors, f"{path}.expression", expression)
    if message and not message.strip():
        errors.append(invalid(f"{path}.message", message, "message must be non-empty if specified"))
    elif "\n" in message.strip():
        errors.append(invalid(f"{path}.message", message, "message must not contain line breaks"))
    elif "\n" in expression and not message.strip():
        text = "message must be specified if expression contains line breaks"
        errors.append(required(f"{path}.message", text))
    if item.get("messageExpression") and not said:
        text = "must be non-empty if specified"
        errors.append(invalid(f"{path}.messageExpression", item["messageExpression"], text))
    elif said:
        known.message(errors, f"{path}.messageExpression", said)
    reason = item.get("reason")
    if reason is not None and reason not in _REASONS:
        errors.append(not_supported(f"{path}.reason", reason, _REASONS))


def _annotation(errors: Errors, path: str, policy: str, item: Obj, known: Expressions) -> None:
    key = item.get("key") or ""
    complain(errors, f"{path}.key", key, names.qualified_name(f"{policy}/{key}") if key else [])
    needs(errors, f"{path}.key", key)
    value = (item.get("valueExpression") or "").strip()
    if not needs(errors, f"{path}.valueExpression", value, "valueExpression is not specified"):
        return
    if len(value) > _LONGEST:
        errors.append(too_long(f"{path}.valueExpression", _LONGEST))
        return
    known.annotation(errors, f"{path}.valueExpression", value)


def _mutation(errors: Errors, path: str, item: Obj, known: Expressions) -> None:
    kind = item.get("patchType") or ""
    one_of(errors, f"{path}.patchType", kind, tuple(_BLOCKS), optional=False)
    for sort, block in _BLOCKS.items():
        found = item.get(block)
        if sort != kind:
            if found is not None and kind in _BLOCKS:
                errors.append(invalid(f"{path}.{block}", found, f"must not be specified when patchType is {kind}"))
            continue
        if found is None:
            errors.append(required(f"{path}.{block}", f"must be specified when patchType is {kind}"))
            continue
        expression = (found.get("expression") or "").strip()
        if needs(errors, f"{path}.{block}.expression", expression, "expression is not specified"):
            known.mutation(errors, f"{path}.{block}.expression", kind, expression)


# --- bindings ----------------------------------------------------------------------------------------------------------


def validate_validating_binding(obj: Obj) -> list[FieldError]:
    errors = _binding(obj, rules.OPERATIONS)
    actions, path = (obj.get("spec") or {}).get("validationActions") or [], "spec.validationActions"
    if not actions:
        errors.append(required(path, "at least one validation action is required"))
    seen: set[str] = set()
    for index, action in enumerate(actions):
        if action not in _ACTIONS:
            errors.append(not_supported(f"{path}[{index}]", action, _ACTIONS))
        if action in seen:
            errors.append(duplicate(f"{path}[{index}]", action))
        seen.add(action)
    if {"Deny", "Warn"} <= seen:
        errors.append(invalid(path, actions, _TWICE))
    return errors


def validate_mutating_binding(obj: Obj) -> list[FieldError]:
    return _binding(obj, _MUTABLE)


def _as_new(check: Callable[[Obj], list[FieldError]]) -> Callable[[Obj, Obj], list[FieldError]]:
    return lambda new, old: check(new)


validate_validating_binding_update = _as_new(validate_validating_binding)
validate_mutating_binding_update = _as_new(validate_mutating_binding)


def _binding(obj: Obj, operations: tuple[str, ...]) -> list[FieldError]:
    errors: Errors = []
    spec = obj.get("spec") or {}
    name = spec.get("policyName") or ""
    if needs(errors, "spec.policyName", name):
        subdomain(errors, "spec.policyName", name)
    reference = spec.get("paramRef")
    if reference is not None:
        _param_ref(errors, "spec.paramRef", reference)
    resources = spec.get("matchResources")
    if resources is not None:
        rules.constraints(errors, "spec.matchResources", resources, operations=operations)
    return errors


def _param_ref(errors: Errors, path: str, reference: Obj) -> None:
    name, selector = reference.get("name") or "", reference.get("selector")
    if name:
        complain(errors, f"{path}.name", name, names.path_segment(name))
    if name and selector is not None:
        text = "name and selector are mutually exclusive"
        errors += [forbidden(f"{path}.name", text), forbidden(f"{path}.selector", text)]
    if not name and selector is None:
        text = "one of name or selector must be specified"
        errors += [required(f"{path}.name", text), required(f"{path}.selector", text)]
    label_selector(errors, f"{path}.selector", selector)
    action = reference.get("parameterNotFoundAction")
    if not action:
        errors.append(required(f"{path}.parameterNotFoundAction"))
    elif action not in _NOT_FOUND_ACTIONS:
        errors.append(not_supported(f"{path}.parameterNotFoundAction", action, _NOT_FOUND_ACTIONS))


# --- status ------------------------------------------------------------------------------------------------------------


def validate_status(new: Obj, old: Obj) -> list[FieldError]:
    errors: Errors = []
    status = new.get("status") or {}
    for index, item in enumerate((status.get("typeChecking") or {}).get("expressionWarnings") or ()):
        at = f"status.typeChecking.expressionWarnings[{index}]"
        needs(errors, f"{at}.fieldRef", item.get("fieldRef"))
        needs(errors, f"{at}.warning", item.get("warning"))
    status_conditions(errors, "status.conditions", status.get("conditions"))
    return errors
