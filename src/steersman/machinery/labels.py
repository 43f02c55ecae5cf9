"""Label selectors: matching, canonical text. What people write is read by labeltext.py.

Source: API concepts, "Labels and Selectors"; error texts as upstream apimachinery pkg/labels words them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from steersman.machinery import names
from steersman.machinery.fielderrors import FieldError, invalid, not_supported
from steersman.machinery.meta import Obj

IN, NOT_IN, EQUALS, DOUBLE_EQUALS, NOT_EQUALS = "in", "notin", "=", "==", "!="
GREATER_THAN, LESS_THAN, EXISTS, DOES_NOT_EXIST = "gt", "lt", "exists", "!"
BINARY = (IN, NOT_IN, EQUALS, DOUBLE_EQUALS, NOT_EQUALS, GREATER_THAN, LESS_THAN)
_SIGNS = {GREATER_THAN: ">", LESS_THAN: "<", IN: " in ", NOT_IN: " notin "}
_EXPRESSION_OPERATORS = {"In": IN, "NotIn": NOT_IN, "Exists": EXISTS, "DoesNotExist": DOES_NOT_EXIST}


def _int64(text: str) -> int | None:
    if not re.fullmatch(r"[-+]?[0-9]+", text):
        return None
    number = int(text)
    return number if -(1 << 63) <= number < 1 << 63 else None


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label key. `values` are sorted and unique."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        operator = self.operator
        if operator in (EQUALS, DOUBLE_EQUALS, IN):
            return value is not None and value in self.values
        if operator in (NOT_EQUALS, NOT_IN):
            return value is None or value not in self.values
        if operator == EXISTS:
            return value is not None
        if operator == DOES_NOT_EXIST:
            return value is None
        number = None if value is None else _int64(value)
        if number is None:
            return False
        bound = int(self.values[0])
        return number > bound if operator == GREATER_THAN else number < bound

    def __str__(self) -> str:
        if self.operator == EXISTS:
            return self.key
        if self.operator == DOES_NOT_EXIST:
            return f"!{self.key}"
        joined = ",".join(self.values)
        if self.operator in (IN, NOT_IN):
            joined = f"({joined})"
        return f"{self.key}{_SIGNS.get(self.operator, self.operator)}{joined}"


class Selector:
    """A conjunction of requirements. Immutable and hashable; `nothing()` is the one that matches no labels at all."""

    __slots__ = ("requirements", "_hopeless", "_pairs", "_others")

    def __init__(self, requirements: Sequence[Requirement] = (), *, hopeless: bool = False) -> None:
        self.requirements = tuple(sorted(requirements, key=lambda item: item.key))
        self._hopeless = hopeless
        # Nearly all selectors are plain equalities; they are matched without a call per requirement.
        plain = (EQUALS, DOUBLE_EQUALS)
        self._pairs = tuple((item.key, item.values[0]) for item in self.requirements if item.operator in plain)
        self._others = tuple(item for item in self.requirements if item.operator not in plain)

    @property
    def empty(self) -> bool:
        """True when it matches everything."""
        return not self.requirements and not self._hopeless

    def matches(self, labels: Mapping[str, str]) -> bool:
        if self._hopeless:
            return False
        for key, value in self._pairs:
            if labels.get(key) != value:
                return False
        return not self._others or all(item.matches(labels) for item in self._others)

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))

    def __repr__(self) -> str:
        return f"Selector({'<nothing>' if self._hopeless else str(self)!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Selector):
            return NotImplemented
        return self._hopeless == other._hopeless and self.requirements == other.requirements

    def __hash__(self) -> int:
        return hash((self._hopeless, self.requirements))


_EVERYTHING = Selector()
_NOTHING = Selector(hopeless=True)


def everything() -> Selector:
    return _EVERYTHING


def nothing() -> Selector:
    return _NOTHING


def from_map(wanted: Mapping[str, str] | None) -> Selector:
    """Equality with every pair; None or {} matches everything. Values are not checked."""
    return Selector([Requirement(key, EQUALS, (value,)) for key, value in wanted.items()]) if wanted else _EVERYTHING


def from_label_selector(selector: Obj | None) -> Selector:
    """A metav1.LabelSelector: None matches nothing, {} everything. Raises ValueError for one that cannot be."""
    if selector is None:
        return _NOTHING
    found = [requirement(key, EQUALS, (value,)) for key, value in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or ():
        operator = _EXPRESSION_OPERATORS.get(expression.get("operator", ""))
        if operator is None:
            raise ValueError(f'"{expression.get("operator", "")}" is not a valid label selector operator')
        found.append(requirement(expression.get("key", ""), operator, expression.get("values") or ()))
    return Selector(found) if found else _EVERYTHING


def requirement(key: str, operator: str, values: Sequence[str]) -> Requirement:
    """A checked requirement. Raises ValueError with one or several field errors."""
    errors: list[FieldError] = []
    key_texts = names.qualified_name(key)
    if key_texts:
        errors.append(invalid("key", key, "; ".join(key_texts)))
    if operator in (IN, NOT_IN):
        if not values:
            errors.append(invalid("values", list(values), "for 'in', 'notin' operators, values set can't be empty"))
    elif operator in (EQUALS, DOUBLE_EQUALS, NOT_EQUALS):
        if len(values) != 1:
            errors.append(invalid("values", list(values), "exact-match compatibility requires one single value"))
    elif operator in (EXISTS, DOES_NOT_EXIST):
        if values:
            errors.append(invalid("values", list(values), "values set must be empty for exists and does not exist"))
    elif operator in (GREATER_THAN, LESS_THAN):
        if len(values) != 1:
            errors.append(invalid("values", list(values), "for 'Gt', 'Lt' operators, exactly one value is required"))
        for index, value in enumerate(values):
            if _int64(value) is None:
                errors.append(invalid(f"values[{index}]", value, "for 'Gt', 'Lt' operators, the value must be an integer"))
    else:
        errors.append(not_supported("operator", operator, (*BINARY, EXISTS, DOES_NOT_EXIST)))
    for index, value in enumerate(values):
        texts = names.label_value(value)
        if texts:
            errors.append(invalid(f"values[{index}][{key}]", value, "; ".join(texts)))
    if errors:
        shown = list(dict.fromkeys(map(str, errors)))
        raise ValueError(shown[0] if len(shown) == 1 else f"[{', '.join(shown)}]")
    return Requirement(key, operator, tuple(sorted(set(values))))
