"""Kubernetes' format library: named formats, which say what is wrong with a string."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from datetime import date

from steersman.machinery import names
from steersman.machinery.cel import timetext
from steersman.machinery.cel.errors import CelRuntimeError
from steersman.machinery.cel.functions import Overload, overload
from steersman.machinery.cel.library.urls import Url
from steersman.machinery.cel.types import FORMAT as FORMAT_TYPE
from steersman.machinery.cel.values import NONE, Optional

_UUID_PATTERN = r"^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$"
_UUID = re.compile(_UUID_PATTERN[:-1] + r"\Z")
_DATE_SIZE, _DATETIME_SIZE = 10, 20


class Format:
    """validate(text): what is wrong. pattern_size: of the pattern that its cost is reckoned by."""

    __slots__ = ("name", "validate", "pattern_size")
    cel_type = FORMAT_TYPE

    def __init__(self, name: str, validate: Callable[[str], Sequence[str]], pattern_size: int) -> None:
        self.name = name
        self.validate = validate
        self.pattern_size = pattern_size


def _prefix(check: Callable[[str], Sequence[str]]) -> Callable[[str], Sequence[str]]:
    """A prefix may end with a dash, as something follows."""
    return lambda text: check(text[:-1] + "a" if text.endswith("-") and len(text) > 1 else text)


def _uri(text: str) -> list[str]:
    try:
        Url(text)
    except ValueError as fault:
        return [str(fault)]
    return []


def _byte(text: str) -> list[str]:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return ["invalid base64"]
    return []


def _date(text: str) -> list[str]:
    try:
        date.fromisoformat(text if len(text) == 10 else "")
    except ValueError:
        return ["invalid date"]
    return []


def _datetime(text: str) -> list[str]:
    return [] if timetext.parse_timestamp(text.upper().replace(" ", "T")) is not None else ["invalid datetime"]


FORMATS = {
    item.name: item
    for item in (
        Format("dns1123Label", names.dns1123_label, 30),
        Format("dns1123Subdomain", names.dns1123_subdomain, 60),
        Format("dns1035Label", names.dns1035_label, 30),
        Format("qualifiedName", names.qualified_name, 60),
        Format("dns1123LabelPrefix", _prefix(names.dns1123_label), 30),
        Format("dns1123SubdomainPrefix", _prefix(names.dns1123_subdomain), 60),
        Format("dns1035LabelPrefix", _prefix(names.dns1035_label), 30),
        Format("labelValue", names.label_value, 40),
        Format("uri", _uri, 1103),
        Format("uuid", lambda text: [] if _UUID.match(text) else ["does not match the UUID format"], len(_UUID_PATTERN)),
        Format("byte", _byte, 84),
        Format("date", _date, _DATE_SIZE),
        Format("datetime", _datetime, _DATETIME_SIZE),
    )
}


def _named(name: str) -> Optional:
    return Optional(FORMATS[name]) if name in FORMATS else NONE


def _validate(form: object, text: str) -> Optional:
    if not isinstance(form, Format):
        raise CelRuntimeError("no such overload")
    found = list(form.validate(text))
    return Optional(found) if found else NONE


OVERLOADS: tuple[Overload, ...] = (
    overload("format.named", "(string) -> optional(format)", _named),
    *(overload(f"format.{name}", "() -> format", lambda form=form: form) for name, form in FORMATS.items()),
    overload("validate", "format.(string) -> optional(list(string))", _validate, "validate"),
)
