"""Formats of names, keys, ports and addresses: each check returns upstream's error texts, [] when the value is fine.

Source: upstream apimachinery/pkg/util/validation. Here as well: the random suffix of generateName.
"""

from __future__ import annotations

import ipaddress
import random
import re
from functools import lru_cache

from steersman.machinery.kept import LONGEST

DNS1123_SUBDOMAIN_MAX = 253
NAME_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_GENERATED_BASE_MAX = 58

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = f"({_QUALIFIED})?"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_HTTP_HEADER = "[-A-Za-z0-9]+"
_BOUNDS = "and must start and end with an alphanumeric character"

_label_re = re.compile(_LABEL, re.ASCII)
_subdomain_re = re.compile(_SUBDOMAIN, re.ASCII)
_label_1035_re = re.compile(_LABEL_1035, re.ASCII)
_qualified_re = re.compile(_QUALIFIED, re.ASCII)
_value_re = re.compile(_VALUE, re.ASCII)
_config_key_re = re.compile(_CONFIG_KEY, re.ASCII)
_http_header_re = re.compile(_HTTP_HEADER, re.ASCII)
_port_chars_re = re.compile("[-a-z0-9]+", re.ASCII)
_letter_re = re.compile("[a-z]", re.ASCII)
_dotted_quad_re = re.compile(r"\d{1,9}(\.\d{1,9}){3}", re.ASCII)

_LABEL_TEXT = f"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', {_BOUNDS}"
_SUBDOMAIN_TEXT = f"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', {_BOUNDS}"
_WILDCARD_TEXT = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case "
    "alphanumeric characters, '-' or '.' and end with an alphanumeric character"
)
_LABEL_1035_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
    "start with an alphabetic character, and end with an alphanumeric character"
)
_QUALIFIED_TEXT = f"must consist of alphanumeric characters, '-', '_' or '.', {_BOUNDS}"
_VALUE_TEXT = f"a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', {_BOUNDS}"


def max_length(limit: int) -> str:
    return f"must be no more than {limit} characters"


def regex_error(text: str, pattern: str, *examples: str) -> str:
    """Upstream's form of a regular expression's failure, its doubled blank included."""
    if not examples:
        return f"{text} (regex used for validation is '{pattern}')"
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{text} (e.g. {shown}regex used for validation is '{pattern}')"


def _size(value: str) -> int:
    return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))


def dns1123_label(value: str) -> list[str]:
    errors = [max_length(63)] if _size(value) > 63 else []
    if not _label_re.fullmatch(value):
        if _subdomain_re.fullmatch(value):
            errors.append("must not contain dots")
        else:
            errors.append(regex_error(_LABEL_TEXT, _LABEL, "my-name", "123-abc"))
    return errors


def dns1123_subdomain(value: str) -> list[str]:
    errors = [max_length(253)] if _size(value) > 253 else []
    if not _subdomain_re.fullmatch(value):
        errors.append(regex_error(_SUBDOMAIN_TEXT, _SUBDOMAIN, "example.com"))
    return errors


def wildcard_subdomain(value: str) -> list[str]:
    """`*.example.com`: hosts of ingresses."""
    errors = [max_length(253)] if _size(value) > 253 else []
    if not (value.startswith("*.") and _subdomain_re.fullmatch(value[2:])):
        errors.append(regex_error(_WILDCARD_TEXT, rf"\*\.{_SUBDOMAIN}", "*.example.com"))
    return errors


def dns1035_label(value: str) -> list[str]:
    errors = [max_length(63)] if _size(value) > 63 else []
    if not _label_1035_re.fullmatch(value):
        errors.append(regex_error(_LABEL_1035_TEXT, _LABEL_1035, "my-name", "abc-123"))
    return errors


@lru_cache(maxsize=8192)
def _qualified_errors(value: str) -> tuple[str, ...]:
    parts = value.split("/")
    shown = regex_error(_QUALIFIED_TEXT, _QUALIFIED, "MyName", "my.name", "123-abc")
    if len(parts) > 2:
        return (f"a valid label key {shown} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",)
    errors: list[str] = []
    if len(parts) == 2:
        if not parts[0]:
            errors.append("prefix part must be non-empty")
        else:
            errors += [f"prefix part {text}" for text in dns1123_subdomain(parts[0])]
    name = parts[-1]
    if not name:
        errors.append("name part must be non-empty")
    elif _size(name) > 63:
        errors.append(f"name part {max_length(63)}")
    if not _qualified_re.fullmatch(name):
        errors.append(f"name part {shown}")
    return tuple(errors)


def qualified_name(value: str) -> list[str]:
    """`name` or `subdomain/name`: label and annotation keys, finalizers, resource names."""
    return list(_qualified_errors(value) if len(value) <= LONGEST else _qualified_errors.__wrapped__(value))


@lru_cache(maxsize=8192)
def _label_value_errors(value: str) -> tuple[str, ...]:
    errors = [max_length(63)] if _size(value) > 63 else []
    if not _value_re.fullmatch(value):
        errors.append(regex_error(_VALUE_TEXT, _VALUE, "MyValue", "my_value", "12345"))
    return tuple(errors)


def label_value(value: str) -> list[str]:
    return list(_label_value_errors(value) if len(value) <= LONGEST else _label_value_errors.__wrapped__(value))


def config_map_key(value: str) -> list[str]:
    """Keys of ConfigMap and Secret data."""
    errors = [max_length(253)] if _size(value) > 253 else []
    if not _config_key_re.fullmatch(value):
        text = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
        errors.append(regex_error(text, _CONFIG_KEY, "key.name", "KEY_NAME", "key-name"))
    if value in (".", ".."):
        errors.append(f"must not be '{value}'")
    elif value.startswith(".."):
        errors.append("must not start with '..'")
    return errors


def env_var_name(value: str) -> list[str]:
    if not value:
        return ["environment variable name must be non-empty"]
    if any(not " " <= char <= "~" or char == "=" for char in value):
        return ["a valid environment variable name must consist only of printable ASCII characters other than '='"]
    return []


def http_header_name(value: str) -> list[str]:
    if _http_header_re.fullmatch(value):
        return []
    text = "a valid HTTP header must consist of alphanumeric characters or '-'"
    return [regex_error(text, _HTTP_HEADER, "X-Header-Name")]


def port_name(value: str) -> list[str]:
    errors = [max_length(15)] if _size(value) > 15 else []
    if not _port_chars_re.fullmatch(value):
        errors.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not _letter_re.search(value):
        errors.append("must contain at least one letter (a-z)")
    if "--" in value:
        errors.append("must not contain consecutive hyphens")
    if value.startswith("-") or value.endswith("-"):
        errors.append("must not begin or end with a hyphen")
    return errors


def port_number(value: int) -> list[str]:
    return [] if 1 <= value <= 65535 else ["must be between 1 and 65535, inclusive"]


def id_number(value: int) -> list[str]:
    """User and group ids."""
    return [] if 0 <= value <= 2147483647 else ["must be between 0 and 2147483647, inclusive"]


def path_segment(value: str) -> list[str]:
    """Rules for every object name, since it is part of a URL."""
    if value in (".", ".."):
        return [f"may not be '{value}'"]
    return [f"may not contain '{char}'" for char in "/%" if char in value]


def _parse_ip(value: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address | None, bool]:
    """The address and whether it was written with leading zeros, which are tolerated here and refused by callers."""
    if _dotted_quad_re.fullmatch(value):
        octets = [int(part) for part in value.split(".")]
        if max(octets) > 255:
            return None, False
        plain = ".".join(map(str, octets))
        return ipaddress.IPv4Address(plain), plain != value
    try:
        return (ipaddress.IPv6Address(value), False) if "%" not in value else (None, False)
    except ValueError:
        return None, False


def ip(value: str) -> list[str]:
    address, leading_zeros = _parse_ip(value)
    if address is None:
        return ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
    errors = ["must not have leading 0s"] if leading_zeros else []
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        errors.append("must not be an IPv4-mapped IPv6 address")
    return errors


def cidr(value: str) -> list[str]:
    base, slash, length = value.partition("/")
    address, leading_zeros = _parse_ip(base)
    bits = 32 if isinstance(address, ipaddress.IPv4Address) else 128
    well_formed = length.isascii() and length.isdigit() and len(length) < 10
    if address is None or not slash or not well_formed or int(length) > bits:
        return ["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"]
    errors: list[str] = []
    if leading_zeros or str(int(length)) != length:
        errors.append("must not have leading 0s in IP or prefix length")
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        errors.append("must not have an IPv4-mapped IPv6 address")
    if int(address) & ((1 << (bits - int(length))) - 1):
        errors.append("must not have bits set beyond the prefix length")
    return errors


def random_suffix(rng: random.Random) -> str:
    """Five characters from an alphabet that spells no words."""
    return "".join(rng.choices(NAME_SUFFIX_ALPHABET, k=5))


def generate_name(base: str, rng: random.Random) -> str:
    """metadata.generateName's result."""
    return base[:_GENERATED_BASE_MAX] + random_suffix(rng)
