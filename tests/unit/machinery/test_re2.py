"""RE2 patterns on Python's engine."""

from __future__ import annotations

import pytest

from steersman.machinery import re2


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        (r"^(\d+|\*)(/\d+)?(\s+(\d+|\*)(/\d+)?){4}$", "* * * * */5", True),
        ("^a$", "a\n", False),
        (r"\Aa\z", "a", True),
        (r"(?m)^a$", "b\na\nc", True),
        ("(?i)ABC", "xabcx", True),
        ("a(?i)b", "aB", True),
        ("a(?i:b)c", "aBc", True),
        ("a(?i:b)c", "aBC", False),
        ("[[:alpha:]]+$", "abc", True),
        ("^[[:digit:]_]+$", "12_", True),
        (r"^\d$", "\u0663", False),
        (r"^\w$", "é", False),
        (r"^\Qa.b\E$", "a.b", True),
        (r"^\Qa.b\E$", "axb", False),
        ("(?P<n>a)", "a", True),
        ("(?<n>a)", "a", True),
        (r"^\x{41}\x42$", "AB", True),
        ("a{", "a{", True),
        ("^a{2,3}$", "aaa", True),
        ("^a{,3}$", "a{,3}", True),
        ("^[]a]+$", "]a", True),
        ("^[^]]$", "a", True),
        (r"^[\]\-a]+$", "]-a", True),
        ("^[a&&b]+$", "a&b", True),
        (r"^\pL+$", "äb", True),
        (r"^\p{Lu}$", "a", False),
        (r"^\PL$", "1", True),
        ("^a+?$", "aaa", True),
        ("x*", "", True),
        (r"^\-\/$", "-/", True),
        ("é|ü", "ü", True),
    ],
)
def test_a_pattern_means_what_it_means_in_go(pattern: str, text: str, matches: bool) -> None:
    assert (re2.compile(pattern).search(text) is not None) is matches


@pytest.mark.parametrize(
    "pattern",
    [
        "(",
        ")",
        "[",
        "a**",
        "a++",
        "(?=a)",
        "(?!a)",
        "(?<=a)b",
        r"(a)\1",
        "*a",
        "a{1001}",
        "[z-a]",
        r"\8",
        "[[:no:]]",
        "\\",
        r"\y",
    ],
)
def test_what_re2_does_not_know_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="error parsing regexp: "):
        re2.compile(pattern)
