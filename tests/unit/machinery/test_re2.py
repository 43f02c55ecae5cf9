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
    ("pattern", "told"),
    [
        ("(", "missing closing ): `(`"),
        (")", "unexpected ): `)`"),
        ("[", "missing closing ]: `[`"),
        ("[]", "missing closing ]: `[]`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("a++", "invalid nested repetition operator: `++`"),
        ("a{2}{3}", "invalid nested repetition operator: `{2}{3}`"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("(?!a)", "invalid or unsupported Perl syntax: `(?!`"),
        ("(?<=a)b", "invalid or unsupported Perl syntax: `(?<=`"),
        ("(?>a)", "invalid or unsupported Perl syntax: `(?>`"),
        ("(?P<n", "invalid named capture: `(?P<n`"),
        ("(?<n-o>a)", "invalid named capture: `(?<n-o>`"),
        ("(?P<é>a)", "invalid named capture: `(?P<é>`"),
        (r"(a)\1", r"invalid escape sequence: `\1`"),
        ("*a", "missing argument to repetition operator: `*`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        ("a{2,1}", "invalid repeat count: `{2,1}`"),
        ("a{99999999999}", "invalid repeat count: `{99999999999}`"),
        ("((a{100}){100}){100}", "invalid repeat count: `{100}`"),
        ("[z-a]", "invalid character class range: `z-a`"),
        ("[[:no:]]", "invalid character class range: `[:no:]`"),
        (r"\pX", r"invalid character class range: `\pX`"),
        (r"\8", r"invalid escape sequence: `\8`"),
        (r"\y", r"invalid escape sequence: `\y`"),
        (r"\C", r"invalid escape sequence: `\C`"),
        ("\\", "trailing backslash at end of expression: ``"),
        ("\ud800", "invalid UTF-8: `\ud800`"),
        ("(" * 1001 + ")" * 1001, "expression nests too deeply: `" + "(" * 1001 + ")" * 1001 + "`"),
        (r"\pL{1000}", r"expression too large: `\pL{1000}`"),
    ],
)
def test_what_is_no_pattern_is_told_as_go_tells_it(pattern: str, told: str) -> None:
    with pytest.raises(ValueError) as caught:
        re2.compile(pattern)
    assert str(caught.value) == f"error parsing regexp: {told}"


@pytest.mark.parametrize(
    "pattern", [r"\Q\C\E", r"\\C", "[(]", "a{00000000001}", "a{1000}", "(" * 1000 + ")" * 1000, "(?P<a>b)(?P<a>c)"]
)
def test_what_only_looks_wrong_is_a_pattern(pattern: str) -> None:
    re2.check(pattern)
    re2.compile(pattern)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("a*", "baac", ["", "aa", ""]),
        ("a|", "éaé", ["", "a", ""]),
        ("", "é", ["", ""]),
        ("a.*b|.", "xab", ["x", "ab"]),
        (r"\bfoo", "foofoo foo", ["foo", "foo"]),
        ("^a", "aaa", ["a"]),
    ],
)
def test_matches_follow_each_other_as_in_go(pattern: str, text: str, found: list[str]) -> None:
    assert re2.compile(pattern).find_all(text) == found


def test_of_matches_no_more_are_found_than_asked_for() -> None:
    compiled = re2.compile("a")
    assert [compiled.find_all("aaa", limit) for limit in (0, 2, -1)] == [[], ["a", "a"], ["a", "a", "a"]]


def test_half_a_surrogate_pair_is_a_character_that_nobody_can_name() -> None:
    assert re2.compile("^.$").search("\ud800") == "\ufffd"


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$",
        "(a|a)*$",
        "(a|aa)+$",
        "(.*)(.*)(.*)(.*)(.*)x",
        "([a-z]+)*=",
        "(a?){30}a{30}$",
        r"(\w+\s?)*$",
        "(x+x+)+y",
        "^(([a-z])+.)+[A-Z]$",
    ],
)
def test_a_pattern_that_backtracks_for_ages_elsewhere_is_linear_here(pattern: str) -> None:
    assert re2.compile(pattern).search("a" * 100_000 + "!") in (None, "")


@pytest.mark.parametrize("pattern", ["|".join(f"a.{{{i}}}z" for i in range(1, 200)), ".*a.{999}c"])
def test_a_search_that_would_hold_up_the_server_is_not_made(pattern: str) -> None:
    """The first would take minutes: an automaton of 160,000 states visited at every character."""
    with pytest.raises(ValueError):
        re2.compile(pattern).search("ab" * 150_000)


def test_matches_that_each_look_to_the_end_of_the_text_are_not_all_looked_for() -> None:
    with pytest.raises(re2.TooMuchWork):
        re2.compile("a.*b|.").find_all("a" * 300_000)


def test_the_searches_of_a_request_are_paid_from_one_allowance() -> None:
    allowance = re2.Allowance(10_000_000)
    compiled = re2.compile("^[a-z]+$")
    compiled.search("a" * 1000, allowance)
    spent = 10_000_000 - allowance.remaining
    compiled.search("a" * 1000, allowance)
    assert 0 < 10_000_000 - allowance.remaining - spent < spent, "making the automaton is paid once"
    with pytest.raises(re2.TooMuchWork):
        for _ in range(10_000):
            compiled.search("a" * 1000, allowance)


def test_making_automata_is_paid_for() -> None:
    allowance = re2.Allowance()
    with pytest.raises(re2.TooMuchWork):
        for number in range(1000):
            re2.compile(rf"\pL{{50}}{number}").search("x", allowance)


def test_what_is_too_large_is_found_out_once_and_paid_for() -> None:
    allowance = re2.Allowance()
    for _ in range(1000):
        with pytest.raises(ValueError, match="expression too large"):
            re2.compile(r"\pL{900}", allowance)
    with pytest.raises(re2.TooMuchWork):
        for number in range(100):
            re2.compile(rf"\pL{{100}}{number}", allowance)
