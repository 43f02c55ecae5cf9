"""Label selectors."""

from __future__ import annotations

import pytest

from steersman.machinery import labels, labeltext


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("", ""),
        ("a=b", "a=b"),
        ("x == y , a", "a,x==y"),
        ("!gone,b!=c", "b!=c,!gone"),
        ("env in (prod, dev),tier notin (x)", "env in (dev,prod),tier notin (x)"),
        ("a in (),b in (,x)", "a in (),b in (,x)"),
        ("cores>3,cores<9", "cores>3,cores<9"),
        ("a=", "a="),
        ("in in (in)", "in in (in)"),
        ("example.com/app=web,", None),
    ],
)
def test_a_selector_has_one_canonical_text(text: str, canonical: str | None) -> None:
    if canonical is None:
        with pytest.raises(ValueError, match="found '', expected: identifier after ','"):
            labeltext.parse(text)
    else:
        assert str(labeltext.parse(text)) == canonical


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("=x", "found '=', expected: !, identifier, or 'end of string'"),
        ("a,,b", "found ',', expected: identifier after ','"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a=(b)", "unable to parse requirement: found '(', expected: identifier"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ("!=a", "found '!=', expected: !, identifier, or 'end of string'"),
        (
            "a>x",
            "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, "
            "the value must be an integer",
        ),
        (
            "_a=b",
            'unable to parse requirement: <nil>: Invalid value: "_a": name part must consist of alphanumeric characters, '
            "'-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or "
            "'123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ),
        (
            "a=-b",
            'unable to parse requirement: values[0][a]: Invalid value: "-b": a valid label must be an empty string or consist '
            "of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. "
            "'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
        ),
    ],
)
def test_a_bad_selector_fails_in_upstreams_words(text: str, error: str) -> None:
    with pytest.raises(ValueError) as caught:
        labeltext.parse(text)
    assert str(caught.value) == error


@pytest.mark.parametrize(
    ("text", "matching", "other"),
    [
        ("a=b", {"a": "b", "x": "y"}, {"a": "c"}),
        ("a!=b", {}, {"a": "b"}),
        ("a", {"a": ""}, {}),
        ("!a", {}, {"a": ""}),
        ("a in (x,y)", {"a": "y"}, {}),
        ("a notin (x,y)", {}, {"a": "x"}),
        ("a>3", {"a": "4"}, {"a": "3"}),
        ("a<3", {"a": "-4"}, {"a": "three"}),
        ("a=b,c", {"a": "b", "c": ""}, {"a": "b"}),
        ("a=", {"a": ""}, {}),
    ],
)
def test_what_a_selector_matches(text: str, matching: dict[str, str], other: dict[str, str]) -> None:
    selector = labeltext.parse(text)
    assert selector.matches(matching)
    assert not selector.matches(other)


def test_a_label_selector_object_becomes_a_selector() -> None:
    obj = {
        "matchLabels": {"app": "web"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["b", "a"]},
            {"key": "gone", "operator": "DoesNotExist"},
        ],
    }
    selector = labels.from_label_selector(obj)
    assert str(selector) == "app=web,!gone,tier in (a,b)"
    assert selector.matches({"app": "web", "tier": "a"})
    assert labeltext.parse_to_label_selector("app=web,tier in (a)") == {
        "matchLabels": {"app": "web"},
        "matchExpressions": [{"key": "tier", "operator": "In", "values": ["a"]}],
    }


def test_no_selector_matches_nothing_and_an_empty_one_everything() -> None:
    assert not labels.from_label_selector(None).matches({})
    assert not labels.from_label_selector(None).empty
    assert labels.from_label_selector({}).empty
    assert labels.from_map({}) == labels.everything()
    assert labels.nothing() != labels.everything()


def test_an_unknown_operator_is_refused() -> None:
    with pytest.raises(ValueError, match='"Near" is not a valid label selector operator'):
        labels.from_label_selector({"matchExpressions": [{"key": "a", "operator": "Near"}]})
