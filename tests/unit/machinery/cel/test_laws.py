"""What holds of every expression: nothing but CEL's own errors comes out, and the laws of its operators."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steersman.machinery import cel
from steersman.machinery.cel import types as t
from steersman.machinery.cel.cost.estimate import estimate
from steersman.machinery.cel.library.conversions import double_text
from steersman.machinery.cel.library.formatting import quote
from steersman.machinery.cel.values import MAX_INT, MIN_INT, compare, equal, mark

ENV = cel.KUBERNETES.with_variables(x=t.INT, s=t.STRING, d=t.DYN, l=t.list_of(t.INT), m=t.map_of(t.STRING, t.DYN), u=t.UINT)
VALUES: dict[str, Any] = {"x": 3, "s": "a b", "d": {"a": [1, None, "x"]}, "l": [3, 1], "m": {"k": [1.5]}, "u": 7}
_WORDS = """x s d l m u i v 1 0 -1 2u 1.5 'a' b'a' r'\\d' true false null ( ) [ ] { } . , : ? ! - + * / % < <= == != in && ||
    all exists exists_one map filter has size int string dyn type duration timestamp matches contains format sort sum
    optional.of optional.none orValue optMap ?. [? transformMap sets.contains ip cidr quantity url semver join split
    lists.range flatten distinct indexOf replace substring getHours '1h' '10.0.0.1' '%s' @ ` \\ // \'\'\'"""
WORDS = _WORDS.split()
NUMBERS = st.one_of(st.integers(MIN_INT, MAX_INT), st.floats(allow_nan=False))
PLAIN = st.one_of(st.none(), st.booleans(), NUMBERS, st.text(), st.binary())
ANY = st.recursive(PLAIN, lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)), max_leaves=10)


def outcome(source: str) -> Any:
    try:
        program = cel.compile(source, ENV)
    except (cel.CelError, cel.InstantiationError):
        return None
    try:
        return program.measure(VALUES, limit=100_000)
    except cel.CelFault:
        return None
    finally:
        estimate(program.tree, lambda path: None)


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=14))
def test_any_heap_of_words_has_a_value_or_an_error_of_the_language(words: list[str]) -> None:
    outcome(" ".join(words))
    outcome("".join(words))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_so_has_any_text(text: str) -> None:
    outcome(text)


def _expressions() -> st.SearchStrategy[str]:
    values, symbols = "x s d d.a l m m.k u 1 0 2u 1.5 'a' true null [] {} d.z", "+ - * / % < == != in && ||"
    atoms, binary = st.sampled_from(values.split()), st.sampled_from(symbols.split())
    forms = """size({}) dyn({}) string({}) int({}) {}.all(i,i=={}) {}.map(i,{}) {}.exists(i,v,i=={}) {}.filter(i,{}) [{},dyn({})]
        {{'k':{}}} optional.of({}) {}[{}] {}[?{}] has({}.a) {}.?a !{} -{} {}.contains({}) {}.join() {}.sort() {}.split({})
        ({}?{}:{}) {}.format([{}]) {}.flatten() sets.intersects({},{}) {}.transformMap(i,v,{}) type({}) duration({}) {}.distinct()
        {}.indexOf({})"""
    calls = st.sampled_from(forms.split())

    def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        called = st.tuples(calls, inner, inner, inner).map(lambda found: found[0].format(*found[1:]))
        return st.one_of(st.tuples(inner, binary, inner).map(lambda found: f"({found[0]} {found[1]} {found[2]})"), called)

    return st.recursive(atoms, grown, max_leaves=6)


@settings(max_examples=1000, deadline=None)
@given(_expressions(), st.booleans())
def test_so_has_any_well_formed_expression_typed_or_dyn(source: str, untyped: bool) -> None:
    outcome(source.replace("x", "dyn(x)").replace("(l", "(dyn(l)") if untyped else source)


@pytest.mark.parametrize("operator", ["&&", "||"])
@given(st.sampled_from(["true", "false", "1/0 == 1", "d.z"]), st.sampled_from(["true", "false", "1/0 == 1", "d.z"]))
def test_and_and_or_do_not_care_which_side_comes_first(operator: str, a: str, b: str) -> None:
    def value(source: str) -> Any:
        found = outcome(source)
        return None if found is None else found[0]

    assert value(f"{a} {operator} {b}") == value(f"{b} {operator} {a}")


@given(st.integers(MIN_INT, MAX_INT), st.integers(MIN_INT, MAX_INT))
def test_whole_numbers_divide_as_they_multiply(a: int, b: int) -> None:
    program = cel.compile("a / b * b + a % b == a", cel.KUBERNETES.with_variables(a=t.INT, b=t.INT))
    if b == 0 or (a == MIN_INT and b == -1):
        with pytest.raises(cel.CelRuntimeError):
            program.evaluate({"a": a, "b": b})
    else:
        assert program.evaluate({"a": a, "b": b}) is True


@given(ANY, ANY)
def test_equality_is_symmetric_and_what_is_equal_is_marked_the_same(a: Any, b: Any) -> None:
    assert equal(a, a)
    assert equal(a, b) == equal(b, a)
    assert mark(a) == mark(a)
    if equal(a, b) and not isinstance(a, float) and not isinstance(b, float):
        assert equal(b, a)


@given(NUMBERS, NUMBERS)
def test_numbers_have_one_order(a: float, b: float) -> None:
    assert compare(a, b) == -compare(b, a)
    assert (compare(a, b) == 0) == equal(a, b)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_text_of_a_double_means_the_same_double(value: float) -> None:
    assert float(double_text(value)) == value


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\r")))
def test_what_is_quoted_reads_as_it_was(text: str) -> None:
    assert cel.compile(quote(text), cel.KUBERNETES).evaluate({}) == text
