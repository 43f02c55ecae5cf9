"""Formats of names and addresses."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from steersman.machinery import names

_E = "and must start and end with an alphanumeric character"
_QUALIFIED = (
    f"must consist of alphanumeric characters, '-', '_' or '.', {_E} (e.g. 'MyName',  or 'my.name',  or '123-abc', "
    "regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)


@pytest.mark.parametrize(
    ("check", "value", "errors"),
    [
        (names.dns1123_label, "web-1", []),
        (names.dns1123_label, "a.b", ["must not contain dots"]),
        (
            names.dns1123_label,
            "Web",
            [
                f"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', {_E} "
                "(e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            ],
        ),
        (names.dns1123_label, "a" * 64, ["must be no more than 63 characters"]),
        (names.dns1123_subdomain, "a.b-c.d", []),
        (names.dns1123_subdomain, "a" * 254, ["must be no more than 253 characters"]),
        (
            names.dns1123_subdomain,
            "a..b\n",
            [
                f"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', {_E} "
                "(e.g. 'example.com', regex used for validation is "
                "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            ],
        ),
        (names.dns1035_label, "a1", []),
        (names.qualified_name, "example.com/Name_1", []),
        (names.qualified_name, "/x", ["prefix part must be non-empty"]),
        (names.qualified_name, "", ["name part must be non-empty", f"name part {_QUALIFIED}"]),
        (names.qualified_name, "a" * 64, ["name part must be no more than 63 characters"]),
        (
            names.qualified_name,
            "a/b/c",
            [f"a valid label key {_QUALIFIED} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"],
        ),
        (names.label_value, "", []),
        (names.label_value, "a" * 64, ["must be no more than 63 characters"]),
        (names.config_map_key, "..x", ["must not start with '..'"]),
        (names.config_map_key, "..", ["must not be '..'"]),
        (names.env_var_name, "A b-1", []),
        (names.env_var_name, "", ["environment variable name must be non-empty"]),
        (
            names.env_var_name,
            "A=B",
            ["a valid environment variable name must consist only of printable ASCII characters other than '='"],
        ),
        (names.port_name, "http-1", []),
        (names.port_name, "1-", ["must contain at least one letter (a-z)", "must not begin or end with a hyphen"]),
        (names.path_segment, "a/b%", ["may not contain '/'", "may not contain '%'"]),
        (names.path_segment, "..", ["may not be '..'"]),
        (names.ip, "10.9.8.7", []),
        (names.ip, "2001:DB8::1", []),
        (names.ip, "010.1.1.1", ["must not have leading 0s"]),
        (names.ip, "::ffff:1.2.3.4", ["must not be an IPv4-mapped IPv6 address"]),
        (names.ip, "1.2.3.256", ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]),
        (names.ip, "fe80::1%eth0", ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]),
        (names.cidr, "10.0.0.0/8", []),
        (names.cidr, "10.0.0.1/8", ["must not have bits set beyond the prefix length"]),
        (names.cidr, "10.0.0.0/08", ["must not have leading 0s in IP or prefix length"]),
        (names.cidr, "10.0.0.0/33", ["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"]),
    ],
)
def test_formats(check: Callable[[str], list[str]], value: str, errors: list[str]) -> None:
    assert check(value) == errors


def test_generated_names_fit_and_spell_no_words() -> None:
    made = names.generate_name("x" * 80, random.Random(1))
    assert len(made) == 63
    assert set(made[58:]) <= set("bcdfghjklmnpqrstvwxz2456789")
    assert names.port_number(0) == ["must be between 1 and 65535, inclusive"]
