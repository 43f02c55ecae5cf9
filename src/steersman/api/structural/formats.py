"""The string formats that structural schemas may ask for. Others are ignored, with a warning when the definition is written.

Source: kube-openapi pkg/validation/strfmt, and apiextensions' list of supported formats.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import date
from urllib.parse import urlsplit

from steersman.machinery import names
from steersman.machinery.meta import parse_time

_HOSTNAME = re.compile(
    r"([a-zA-Z0-9\u00a1-\uffff]([-a-zA-Z0-9\u00a1-\uffff]{0,61}[a-zA-Z0-9\u00a1-\uffff])?)"
    r"(\.([a-zA-Z0-9\u00a1-\uffff]([-a-zA-Z0-9\u00a1-\uffff]{0,61}[a-zA-Z0-9\u00a1-\uffff])?))*"
)
_EMAIL = re.compile(r"[^\s@<>()\[\],;:\\\"]+@[^\s@<>()\[\],;:\\\"]+")
_UUID = r"[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?%s[0-9a-fA-F]{3}-?%s[0-9a-fA-F]{3}-?[0-9a-fA-F]{12}"
_DURATION = re.compile(r"[-+]?(?:(?:\d+(?:\.\d*)?|\.\d+)\s*[a-zA-Zµ]+\s*)+|[-+]?0")
_DURATION_UNIT = re.compile(r"[a-zA-Zµ]+")
_UNITS = {
    *("ns", "nano", "nanos", "nanosecond", "nanoseconds", "us", "µs", "micro", "micros", "microsecond", "microseconds"),
    *("ms", "milli", "millis", "millisecond", "milliseconds", "s", "sec", "secs", "second", "seconds", "m", "min", "mins"),
    *("minute", "minutes", "h", "hr", "hrs", "hour", "hours", "d", "day", "days", "w", "week", "weeks"),
}
_DATE_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[-+]\d{2}:?\d{2})?")
_NO_DIGITS = re.compile(r"[\s-]")


def _matches(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern, re.ASCII)
    return lambda value: compiled.fullmatch(value) is not None


def _ip(version: int) -> Callable[[str], bool]:
    def check(value: str) -> bool:
        try:
            return ipaddress.ip_address(value).version == version and "%" not in value
        except ValueError:
            return False

    return check


def _cidr(value: str) -> bool:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        return False
    return "/" in value and value.partition("/")[2].isdecimal()


def _uri(value: str) -> bool:
    """An absolute URI or an absolute path."""
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return bool(parts.scheme or value.startswith("/")) and not any(char.isspace() for char in value)


def _hostname(value: str) -> bool:
    return 0 < len(value) < 256 and _HOSTNAME.fullmatch(value) is not None


def _byte(value: str) -> bool:
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return False
    return bool(value)


def _date(value: str) -> bool:
    try:
        return len(value) == 10 and bool(date.fromisoformat(value))
    except ValueError:
        return False


def _date_time(value: str) -> bool:
    return not value or (_DATE_TIME.fullmatch(value) is not None and parse_time(value.upper()) is not None)


def _duration(value: str) -> bool:
    if _DURATION.fullmatch(value) is None:
        return False
    return all(unit in _UNITS for unit in _DURATION_UNIT.findall(value))


def _luhn(value: str) -> bool:
    digits = [int(char) for char in reversed(_NO_DIGITS.sub("", value)) if char.isdecimal()]
    total = sum(digit if place % 2 == 0 else sum(divmod(digit * 2, 10)) for place, digit in enumerate(digits))
    return 12 < len(digits) < 20 and total % 10 == 0


def _isbn10(value: str) -> bool:
    plain = _NO_DIGITS.sub("", value)
    if re.fullmatch(r"\d{9}[\dX]", plain, re.ASCII) is None:
        return False
    return sum((place + 1) * (10 if char == "X" else int(char)) for place, char in enumerate(plain)) % 11 == 0


def _isbn13(value: str) -> bool:
    plain = _NO_DIGITS.sub("", value)
    if re.fullmatch(r"\d{13}", plain, re.ASCII) is None:
        return False
    return sum(int(char) * (1, 3)[place % 2] for place, char in enumerate(plain)) % 10 == 0


def _anything(_: str) -> bool:
    return True


FORMATS: Mapping[str, Callable[[str], bool]] = {
    "bsonobjectid": _matches("[0-9a-fA-F]{24}"),
    "uri": _uri,
    "email": lambda value: _EMAIL.fullmatch(value) is not None,
    "hostname": _hostname,
    "ipv4": _ip(4),
    "ipv6": _ip(6),
    "cidr": _cidr,
    "mac": _matches(r"(?:[0-9a-fA-F]{2}[:-]){5}(?:[0-9a-fA-F]{2})|(?:[0-9a-fA-F]{2}[:-]){7}[0-9a-fA-F]{2}"),
    "uuid": _matches(_UUID % ("[0-9a-fA-F]", "[0-9a-fA-F]")),
    "uuid3": _matches(_UUID % ("3", "[0-9a-fA-F]")),
    "uuid4": _matches(_UUID % ("4", "[89abAB]")),
    "uuid5": _matches(_UUID % ("5", "[89abAB]")),
    "isbn": lambda value: _isbn10(value) or _isbn13(value),
    "isbn10": _isbn10,
    "isbn13": _isbn13,
    "creditcard": _luhn,
    "ssn": _matches(r"\d{3}[- ]?\d{2}[- ]?\d{4}"),
    "hexcolor": _matches("#?(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})"),
    "rgbcolor": _matches(r"rgb\(\s*(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\s*,\s*){2}(?:25[0-5]|2[0-4]\d|1?\d?\d)\s*\)"),
    "byte": _byte,
    "password": _anything,
    "date": _date,
    "duration": _duration,
    "date-time": _date_time,
    "k8s-short-name": lambda value: not names.dns1123_label(value),
    "k8s-long-name": lambda value: not names.dns1123_subdomain(value),
}
"""Formats of strings: whether a value has it."""

NUMBERS = ("int32", "int64", "float", "double")
"""Formats of numbers that are known as well; they are not checked, as upstream's validation does not."""
