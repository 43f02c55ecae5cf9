"""Small checks that all validations share. They add to a list of errors: no checks, no allocations.

Paths are strings like `spec.ports[0].name`. An empty or missing value is the caller's concern unless said otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from steersman.machinery import names
from steersman.machinery.fielderrors import FieldError, duplicate, forbidden, invalid, not_supported, required
from steersman.machinery.meta import Obj

Errors: TypeAlias = list[FieldError]

NOT_NEGATIVE = "must be greater than or equal to 0"
POSITIVE = "must be greater than zero"
IMMUTABLE = "field is immutable"

NOT_AN_OPERATOR = "not a valid selector operator"
NEEDS_VALUES = "must be specified when `operator` is 'In' or 'NotIn'"
NO_VALUES = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
ANNOTATIONS_LIMIT_BYTES = 256 * 1024


def child(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def complain(errors: Errors, path: str, value: Any, texts: Iterable[str]) -> None:
    """One Invalid per text."""
    for text in texts:
        errors.append(invalid(path, value, text))


def subdomain(errors: Errors, path: str, value: str) -> None:
    complain(errors, path, value, names.dns1123_subdomain(value))


def label(errors: Errors, path: str, value: str) -> None:
    complain(errors, path, value, names.dns1123_label(value))


_HTTP_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"
_http_path_re = re.compile(_HTTP_PATH, re.ASCII)


def domain_prefixed_path(errors: Errors, path: str, value: str) -> None:
    """`example.com/some/path`; an empty value is Required."""
    if not needs(errors, path, value):
        return
    host, slash, rest = value.partition("/")
    if not (host and slash and rest):
        errors.append(invalid(path, value, 'must be a domain-prefixed path (such as "acme.io/foo")'))
        return
    subdomain(errors, path, host)
    if not _http_path_re.fullmatch(rest):
        errors.append(invalid(path, rest, names.regex_error("Invalid path", _HTTP_PATH)))


def needs(errors: Errors, path: str, value: Any, detail: str = "") -> bool:
    """Required unless there is a value. True if there is."""
    if value:
        return True
    errors.append(required(path, detail))
    return False


def not_negative(errors: Errors, path: str, value: int | None) -> None:
    if value is not None and value < 0:
        errors.append(invalid(path, value, NOT_NEGATIVE))


def not_negatives(errors: Errors, path: str, obj: Obj, keys: Iterable[str]) -> None:
    for key in keys:
        value = obj.get(key)
        if value is not None and value < 0:
            errors.append(invalid(child(path, key), value, NOT_NEGATIVE))


def one_of(errors: Errors, path: str, value: str | None, supported: Sequence[str], *, optional: bool = True) -> None:
    """An enumeration. An empty value is fine if optional, else Required."""
    if not value:
        if not optional:
            errors.append(required(path))
    elif value not in supported:
        errors.append(not_supported(path, value, supported))


def port(errors: Errors, path: str, value: int) -> None:
    if not 0 < value < 65536:
        complain(errors, path, value, names.port_number(value))


def port_or_name(errors: Errors, path: str, value: int | str) -> None:
    if isinstance(value, str):
        complain(errors, path, value, names.port_name(value))
    else:
        port(errors, path, value)


def immutable(errors: Errors, path: str, new: Any, old: Any) -> None:
    if new != old:
        errors.append(invalid(path, new, IMMUTABLE))


def unique(errors: Errors, path: str, value: Any, seen: set[Any]) -> bool:
    """Duplicate if seen before. True if it is new; then it counts as seen."""
    if value in seen:
        errors.append(duplicate(path, value))
        return False
    seen.add(value)
    return True


def label_map(errors: Errors, path: str, value: dict[str, str] | None) -> None:
    """Label keys and values, reported on the map."""
    if not value:
        return
    for key, item in value.items():
        complain(errors, path, key, names.qualified_name(key))
        complain(errors, path, item, names.label_value(item))


def annotation_map(errors: Errors, path: str, value: dict[str, str] | None) -> None:
    if not value:
        return
    total = 0
    for key, item in value.items():
        complain(errors, path, key, names.qualified_name(key.lower()))
        total += len(key) + len(item)
    if total > ANNOTATIONS_LIMIT_BYTES // 4:
        total = sum(len(key.encode()) + len(item.encode()) for key, item in value.items())
        if total > ANNOTATIONS_LIMIT_BYTES:
            errors.append(
                FieldError(path, "FieldValueTooLong", "Too long", f"may not be more than {ANNOTATIONS_LIMIT_BYTES} bytes")
            )


def template_metadata(errors: Errors, path: str, value: Obj) -> None:
    """Metadata of a template: labels and annotations."""
    label_map(errors, f"{path}.labels", value.get("labels"))
    annotation_map(errors, f"{path}.annotations", value.get("annotations"))


def label_selector(errors: Errors, path: str, selector: Obj | None, *, lenient_values: bool = False) -> None:
    """A metav1.LabelSelector. `lenient_values` leaves values of expressions unchecked (what was stored may stay)."""
    if not selector:
        return
    label_map(errors, child(path, "matchLabels"), selector.get("matchLabels"))
    for index, expression in enumerate(selector.get("matchExpressions") or ()):
        inner = f"{child(path, 'matchExpressions')}[{index}]"
        operator, values, key = expression.get("operator", ""), expression.get("values") or (), expression.get("key", "")
        if operator in ("In", "NotIn"):
            needs(errors, f"{inner}.values", values, NEEDS_VALUES)
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                errors.append(forbidden(f"{inner}.values", NO_VALUES))
        else:
            errors.append(invalid(f"{inner}.operator", operator, NOT_AN_OPERATOR))
        complain(errors, f"{inner}.key", key, names.qualified_name(key))
        if not lenient_values:
            for position, value in enumerate(values):
                complain(errors, f"{inner}.values[{position}]", value, names.label_value(value))


Check: TypeAlias = Callable[[Errors, str, Obj], None]


def each(errors: Errors, path: str, items: Sequence[Obj] | None, check: Check) -> None:
    """Run a check on every element, with its indexed path."""
    for index, item in enumerate(items or ()):
        check(errors, f"{path}[{index}]", item)
