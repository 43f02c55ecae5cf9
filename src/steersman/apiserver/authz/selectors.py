"""Selectors of a request, for those who authorize it: as text in RequestInfo, as requirements in a SubjectAccessReview. Pure.

Source: KEP-4601. An authorizer may narrow what it allows by them; what cannot be understood narrows nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from steersman.machinery import fields, labels, labeltext
from steersman.machinery.meta import Obj

_LABEL_OPERATORS = {
    labels.IN: "In", labels.EQUALS: "In", labels.DOUBLE_EQUALS: "In",
    labels.NOT_IN: "NotIn", labels.NOT_EQUALS: "NotIn",
    labels.EXISTS: "Exists", labels.DOES_NOT_EXIST: "DoesNotExist",
}  # fmt: skip
_LABEL_WORDS = {"In": "in", "NotIn": "notin"}


def field_requirements(text: str) -> list[Obj]:
    """FieldSelectorRequirements; none for a text that is no selector."""
    try:
        found = fields.parse(text)
    except ValueError:
        return []
    return [
        {"key": key, "operator": "In" if operator == "=" else "NotIn", "values": [value]}
        for key, operator, value in found.requirements
    ]


def label_requirements(text: str) -> list[Obj]:
    """LabelSelectorRequirements; none for a text that is no selector."""
    try:
        found = labeltext.parse(text)
    except ValueError:
        return []
    made = []
    for item in found.requirements:
        operator = _LABEL_OPERATORS.get(item.operator)
        if operator is not None:
            made.append({"key": item.key, "operator": operator} | ({"values": list(item.values)} if item.values else {}))
    return made


def field_text(attributes: Obj | None) -> tuple[str, bool]:
    """The text of a review's fieldSelector, and whether all of it was understood."""
    return _text(attributes, _field_term, fields.parse)


def label_text(attributes: Obj | None) -> tuple[str, bool]:
    return _text(attributes, _label_term, labeltext.parse)


def _text(attributes: Obj | None, term: Callable[[Obj], str], parse: Callable[[str], object]) -> tuple[str, bool]:
    if not attributes:
        return "", True
    raw = str(attributes.get("rawSelector") or "")
    if raw:
        try:
            parse(raw)
        except ValueError:
            return "", False
        return raw, True
    terms = [term(item) for item in attributes.get("requirements") or ()]
    return ",".join(item for item in terms if item), all(terms)


def _field_term(item: Obj) -> str:
    """Empty if field selectors cannot say it: they know one value."""
    values: list[str] = item.get("values") or []
    sign = {"In": "=", "NotIn": "!="}.get(item.get("operator") or "")
    return f"{item.get('key')}{sign}{fields.escape(str(values[0]))}" if sign and len(values) == 1 else ""


def _label_term(item: Obj) -> str:
    operator, key = item.get("operator") or "", str(item.get("key") or "")
    if operator in ("Exists", "DoesNotExist"):
        return key if operator == "Exists" else f"!{key}"
    word = _LABEL_WORDS.get(operator)
    return f"{key} {word} ({','.join(item.get('values') or ())})" if word else ""
