"""Does an object satisfy the rules of its schema? Failures as field errors, in upstream's words.

A rule that mentions oldSelf runs only where there is a value before to compare with. On an update, failures of the other rules
about values that did not change are no errors but warnings (KEP-4008).
Source: apiextensions-apiserver pkg/apiserver/schema/cel/validation.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from steersman.api.structural import values
from steersman.api.structural.model import MISSING, Node
from steersman.api.structural.rules import compiled, fieldpath
from steersman.api.structural.rules.compiled import Rule
from steersman.api.structural.rules.convert import Convert, converter
from steersman.api.structural.rules.declare import Declarations
from steersman.machinery import cel
from steersman.machinery.cel.values import NONE, Optional
from steersman.machinery.fielderrors import FieldError, duplicate, forbidden, invalid, required

BUDGET = 10_000_000
"""What all rules may cost for one object."""
LONGEST_MESSAGE = 5 * 1024
_BLOCKING = ("FieldValueNotSupported", "FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany", "FieldValueTypeInvalid")
_UNCHECKED = (
    "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation"
)
_OUT_OF_BUDGET = "messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run"
_NOWHERE = "<nil>"


@dataclass(slots=True)
class Level:
    """One level of a schema that has rules, or rules below."""

    node: Node
    rules: tuple[Rule, ...]
    convert: Convert | None
    properties: dict[str, Level] = field(default_factory=dict)
    additional: Level | None = None
    items: Level | None = None


@dataclass(slots=True)
class Rules:
    """The rules of a schema, compiled when they are first asked for. Equal if the schemas are."""

    root: Node
    is_resource: bool = True
    _tree: Level | None = field(default=None, compare=False, repr=False)
    _compiled: bool = field(default=False, compare=False, repr=False)

    @property
    def any(self) -> bool:
        """Whether there are rules at all. Nothing is compiled to know it."""
        return _has_rules(self.root)

    def errors(self, obj: Any, old: Any = MISSING, before: Iterable[FieldError] = ()) -> list[FieldError]:
        """What is wrong with an object. before: what else is wrong with it; then rules may not be run at all."""
        tree = self._level()
        if tree is None:
            return []
        if any(error.type in _BLOCKING for error in before):
            return [invalid(_NOWHERE, None, _UNCHECKED)]
        return _Run(old is not MISSING, ratcheted=False).of(tree, obj, old)

    def warnings(self, obj: Any, old: Any) -> list[str]:
        """What is wrong with parts of an object that are as they were."""
        tree = self._level()
        return [] if tree is None else [str(error) for error in _Run(True, ratcheted=True).of(tree, obj, old)]

    def _level(self) -> Level | None:
        if not self._compiled:
            self._tree = _build(self.root, Declarations(), is_root=self.is_resource)
            self._compiled = True
        return self._tree


def _has_rules(node: Node) -> bool:
    below = (*node.properties.values(), node.additional, node.items)
    return bool(node.raw.get(compiled.KEY)) or any(_has_rules(each) for each in below if each is not None)


def _build(node: Node, declarations: Declarations, *, is_root: bool = False) -> Level | None:
    """None where there are no rules."""
    decl = declarations.of(node, is_root=is_root) if node.raw.get(compiled.KEY) else None
    rules = tuple(compiled.of_level(node, decl)) if decl is not None else ()
    made = Level(node, rules, converter(node) if rules else None)
    for name, inner in node.properties.items():
        level = _build(inner, declarations)
        if level is not None:
            made.properties[name] = level
    made.additional = _build(node.additional, declarations) if node.additional is not None else None
    made.items = _build(node.items, declarations) if node.items is not None else None
    return made if rules or made.properties or made.additional is not None or made.items is not None else None


class _Stop(Exception):
    """No further rule may run."""


class _Run:
    """All rules over one object. ratcheted: run what concerns values that did not change, instead of all else."""

    def __init__(self, is_update: bool, *, ratcheted: bool) -> None:
        self._is_update = is_update
        self._ratcheted = ratcheted
        self._budget = cel.Budget(BUDGET)
        self._errors: list[FieldError] = []

    def of(self, tree: Level, obj: Any, old: Any) -> list[FieldError]:
        try:
            self._level(tree, obj, old, "", False)
        except _Stop:
            pass
        return self._errors

    def _level(self, level: Level, value: Any, old: Any, path: str, same: bool) -> None:
        """same: a level above did not change; what is below did not either, though it may not be correlated."""
        if value is None:
            return
        same = same or (self._is_update and old is not MISSING and values.same(value, old))
        if level.rules:
            self._rules(level, value, old, path, same)
        if isinstance(value, dict):
            below = old if isinstance(old, dict) and level.node.map_type != "atomic" else {}
            for key, inner in level.properties.items():
                if key in value:
                    self._level(inner, value[key], below.get(key, MISSING), f"{path}.{key}" if path else key, same)
            if level.additional is not None:
                for key, item in value.items():
                    self._level(level.additional, item, below.get(key, MISSING), f"{path}[{key}]", same)
        elif isinstance(value, list) and level.items is not None:
            for index, (item, before) in enumerate(_correlated(value, old, level.node)):
                self._level(level.items, item, before, f"{path}[{index}]", same)

    def _rules(self, level: Level, value: Any, old: Any, path: str, same: bool) -> None:
        convert = level.convert
        activation: dict[str, Any] = {"self": convert(value) if convert is not None else value}
        has_old = old is not MISSING and old is not None
        before = (convert(old) if convert is not None else old) if has_old else None
        for rule in level.rules:
            transition = rule.is_transition
            if self._ratcheted != (same and not transition):
                continue
            if transition and not has_old and not rule.optional_old:
                continue
            if rule.optional_old:
                activation["oldSelf"] = Optional(before) if has_old else NONE
            elif has_old:
                activation["oldSelf"] = before
            self._rule(rule, level.node, activation, value, path)

    def _rule(self, rule: Rule, node: Node, activation: dict[str, Any], value: Any, path: str) -> None:
        at = path or _NOWHERE
        if rule.program is None:
            if rule.fault:
                self._errors.append(invalid(at, node.type, f"rule compile error: {rule.fault}"))
            return
        try:
            if rule.program.evaluate(activation, self._budget):
                return
        except cel.CostLimitExceeded as fault:
            text = f"'{fault}': no further validation rules will be run due to call cost exceeds limit for rule: {rule.text}"
            self._stop(invalid(at, node.type, text))
        except cel.BudgetExceeded as fault:
            self._stop(invalid(at, node.type, str(fault)))
        except cel.CelRuntimeError as fault:
            self._errors.append(invalid(at, node.type, _runtime_error(str(fault), rule)))
        else:
            self._failed(rule, node, activation, value, path)

    def _stop(self, error: FieldError) -> None:
        self._errors.append(error)
        raise _Stop

    def _failed(self, rule: Rule, node: Node, activation: dict[str, Any], value: Any, path: str) -> None:
        message = self._message(rule, node, activation, path or _NOWHERE)
        at = fieldpath.extended(path, rule.steps) or _NOWHERE
        reason = rule.raw.get("reason") or "FieldValueInvalid"
        if reason == "FieldValueForbidden":
            self._errors.append(forbidden(at, message))
        elif reason == "FieldValueRequired":
            self._errors.append(required(at, message))
        elif reason == "FieldValueDuplicate":
            self._errors.append(duplicate(at, value))
        elif isinstance(value, dict | list):
            self._errors.append(FieldError(at, reason, "Invalid value", message))
        else:
            self._errors.append(invalid(at, value, message))

    def _message(self, rule: Rule, node: Node, activation: dict[str, Any], at: str) -> str:
        fallback = (rule.raw.get("message") or "").strip() or f"failed rule: {rule.text}"
        if rule.message is None:
            return fallback
        try:
            made = rule.message.evaluate(activation, self._budget)
        except cel.CostLimitExceeded:
            source = rule.raw["messageExpression"]
            text = f'no further validation rules will be run due to call cost exceeds limit for messageExpression: "{source}"'
            self._stop(invalid(at, node.type, text))
        except cel.BudgetExceeded:
            self._stop(invalid(at, node.type, _OUT_OF_BUDGET))
        except cel.CelRuntimeError:
            return fallback
        text = made.strip() if isinstance(made, str) else ""
        fits = text and "\n" not in text and len(text.encode("utf-8", "replace")) <= LONGEST_MESSAGE
        return text if fits else fallback


def _runtime_error(text: str, rule: Rule) -> str:
    if text == "no such overload":
        meaning = "call arguments did not match a supported operator, function or macro signature"
        return f"'{text}': {meaning} for rule: {rule.text}"
    return f"{text} evaluating rule: {(rule.raw.get('message') or '').strip() or rule.text}"


def _correlated(items: list[Any], old: Any, node: Node) -> Iterator[tuple[Any, Any]]:
    """Items, each with what it was: the items of a map are known by their keys, those of other lists by nothing."""
    if node.list_type != "map" or not isinstance(old, list):
        for item in items:
            yield item, MISSING
        return
    before = {_key(item, node): item for item in old if isinstance(item, dict)}
    for item in items:
        yield item, before.get(_key(item, node), MISSING) if isinstance(item, dict) else MISSING


def _key(item: dict[str, Any], node: Node) -> tuple[str, ...]:
    return tuple(repr(item.get(name)) for name in node.list_map_keys)
