"""The language: what expressions mean. Each line is an expression that must be true, or one with its error."""

from __future__ import annotations

from typing import Any

import pytest

from steersman.machinery import cel
from steersman.machinery.cel import types as t

ENV = cel.KUBERNETES.with_variables(
    x=t.INT, s=t.STRING, d=t.DYN, numbers=t.list_of(t.INT), counts=t.map_of(t.STRING, t.INT), missing=t.DYN
)
VALUES: dict[str, Any] = {
    "x": 3,
    "s": "h\u00e9llo",
    "d": {"a": [1, "b"], "n": None, "f": 1.5, "deep": {"er": True}},
    "numbers": [1, 2, 3],
    "counts": {"a": 1, "b": 2},
}


def value(source: str) -> Any:
    return cel.compile(source, ENV).evaluate(VALUES)


@pytest.mark.parametrize(
    "source",
    [
        # Precedence and associativity
        "1 + 2 * 3 == 7",
        "10 - 3 - 2 == 5",
        "-2 * -3 == 6",
        "true || false && false",
        "!false && true",
        "!!true",
        "--3 == 3",
        "---3 == -3",
        "false ? 1 == 2 : true ? true : false",
        "(true ? 1 : 2) + 1 == 2",
        "1 < 2 == true",
        "2 in [1, 2] == true",
        "7 / 2 * 2 == 6",
        "8 % 5 % 2 == 1",
        # Literals
        "0x1F == 31",
        "0xffu == 255u",
        "1e3 == 1000.0",
        ".5 == 0.5",
        "1.5e-1 == 0.15",
        "-9223372036854775808 < 0",
        r"'\x41\u0042\U00000043\104' == 'ABCD'",
        r"'\a\b\f\n\r\t\v\\\'\"\?\`'.size() == 12",
        r"r'\d' == '\\d'",
        r"R'''a'b''' == 'a\'b'",
        "'''a\nb''' == 'a\\nb'",
        '"""a"b""" == "a\\"b"',
        r"b'\x41\377'.size() == 2",
        "b'\u00ff' == b'\\303\\277'",
        "'\u00ff'.size() == 1",
        "[1, 2, 3,].size() == 3",
        "{'a': 1,}.size() == 1",
        "true // a comment\n&& true",
        # Integers
        "7 / 2 == 3",
        "-7 / 2 == -3",
        "-7 % 3 == -1",
        "7 % -3 == 1",
        "5u - 3u == 2u",
        "18446744073709551615u > 1u",
        # Doubles
        "1.0 / 0.0 > 1e308",
        "-1.0 / 0.0 < -1e308",
        "!(0.0 / 0.0 == 0.0 / 0.0)",
        "0.0 / 0.0 != 1.0",
        "-0.0 == 0.0",
        # Types meet only in comparison
        "1 < 2.5",
        "2u > 1",
        "1 <= 1u",
        "dyn(1) == 1.0",
        "dyn(1u) == 1",
        "dyn(1) != '1'",
        "dyn(true) != 1",
        "dyn(null) != 0",
        "dyn([1]) == [1.0]",
        "dyn({'a': 1}) == {'a': 1u}",
        "dyn(9007199254740993) == 9007199254740992.0",
        # Equality, order
        "[[1], [2]] == [[1], [2]]",
        "[1, 2] != [2, 1]",
        "{'a': 1, 'b': 2} == {'b': 2, 'a': 1}",
        "{1: 'a'} == {1: 'a'}",
        "{true: 1, false: 0}[true] == 1",
        "null == null",
        "'a' < 'b' && 'Z' < 'a'",
        "'\U0001f451' > '\uffff'",
        "b'a' < b'b'",
        "false < true",
        "timestamp('2020-01-01T00:00:00Z') < timestamp('2021-01-01T00:00:00Z')",
        "duration('1m') > duration('59s')",
        # Membership, indexes, selection
        "2 in numbers",
        "!(5 in numbers)",
        "'a' in counts",
        "dyn(1.0) in numbers",
        "numbers[0] == 1",
        "numbers[dyn(1.0)] == 2",
        "counts['b'] == 2",
        "counts.a == 1",
        "{1: 'x'}[dyn(1u)] == 'x'",
        "d.a[1] == 'b'",
        "d['deep'].er",
        "has(d.a) && !has(d.b)",
        "has(d.n)",
        "has(counts.a) && !has(counts.z)",
        "has({'a': 1}.a)",
        "type(d.a[0]) == int",
        "type('') == string && type(1u) == uint && type(1.0) == double && type(b'') == bytes",
        "type(null) == null_type && type([]) == list && type({}) == map && type(true) == bool",
        "type(timestamp(0)) == google.protobuf.Timestamp",
        "type(duration('1s')) == google.protobuf.Duration",
        "type(type(1)) == type",
        # Errors are absorbed where they do not matter
        "true || 1 / 0 == 1",
        "1 / 0 == 1 || true",
        "!(false && 1 / 0 == 1)",
        "!(1 / 0 == 1 && false)",
        "d.zzz == 1 || true",
        "missing == 1 || true",
        "true ? true : 1 / 0 == 1",
        "[0, 2].exists(i, 4 / i == 2)",
        "!([0, 2].all(i, 4 / i == 3))",
        "dyn(1) == 1 || dyn(1)",
        # Macros
        "numbers.all(i, i > 0)",
        "[].all(i, false)",
        "![].exists(i, true)",
        "numbers.exists(i, i == 3)",
        "numbers.exists_one(i, i == 3)",
        "!numbers.exists_one(i, i > 1)",
        "numbers.map(i, i * 2) == [2, 4, 6]",
        "numbers.map(i, i > 1, i * 2) == [4, 6]",
        "numbers.filter(i, i > 1) == [2, 3]",
        "counts.all(k, counts[k] > 0)",
        "counts.map(k, k).size() == 2",
        "counts.exists(k, k == 'b')",
        "numbers.all(i, numbers.exists(i, i == 1))",
        "numbers.map(i, numbers.map(j, i * j)) == [[1, 2, 3], [2, 4, 6], [3, 6, 9]]",
        "d.a.exists(i, i == 'b')",
        # With two variables
        "numbers.all(i, v, v == i + 1)",
        "numbers.exists(i, v, i == 2 && v == 3)",
        "numbers.existsOne(i, v, v == 3)",
        "numbers.exists_one(i, v, v == 3)",
        "counts.all(k, v, v > 0 && k != '')",
        "numbers.transformList(i, v, i * v) == [0, 2, 6]",
        "numbers.transformList(i, v, v > 1, v) == [2, 3]",
        "counts.transformMap(k, v, v + 1) == {'a': 2, 'b': 3}",
        "counts.transformMap(k, v, v > 1, v) == {'b': 2}",
        "counts.transformMapEntry(k, v, {v: k}) == {1: 'a', 2: 'b'}",
        "numbers.transformMapEntry(i, v, v > 2, {string(v): i}) == {'3': 2}",
        # Optionals
        "optional.of(1).hasValue() && !optional.none().hasValue()",
        "optional.of(1).value() == 1",
        "optional.none().orValue(2) == 2",
        "optional.none().or(optional.of(3)).value() == 3",
        "optional.ofNonZeroValue('').orValue('x') == 'x'",
        "optional.ofNonZeroValue(1).hasValue()",
        "d.?a[?0].orValue(5) == 1",
        "!d.?b.hasValue()",
        "!d.?b.c.d.hasValue()",
        "d.?deep.er.value() == true",
        "counts[?'a'].value() == 1 && !counts[?'z'].hasValue()",
        "!numbers[?7].hasValue()",
        "optional.of(2).optMap(v, v * 2).value() == 4",
        "!optional.none().optMap(v, v).hasValue()",
        "optional.of(numbers).optFlatMap(v, v[?0]).value() == 1",
        "[?optional.none(), 1, ?optional.of(2)] == [1, 2]",
        "{?'a': optional.none(), 'b': 1} == {'b': 1}",
        "optional.of(1) == optional.of(1) && optional.of(1) != optional.none()",
        "optional.unwrap([optional.of(1), optional.none()]) == [1]",
        "[optional.of(1), optional.none()].unwrapOpt() == [1]",
        "numbers.first().value() == 1 && numbers.last().value() == 3 && ![].first().hasValue()",
        "has(d.?deep.er)",
    ],
)
def test_it_is_true(source: str) -> None:
    assert value(source) is True


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("9223372036854775807 + 1", "integer overflow"),
        ("-9223372036854775808 - 1", "integer overflow"),
        ("9223372036854775807 * 2", "integer overflow"),
        ("-(-9223372036854775807 - 1)", "integer overflow"),
        ("(-9223372036854775807 - 1) / -1", "integer overflow"),
        ("(-9223372036854775807 - 1) % -1", "integer overflow"),
        ("2u - 3u", "unsigned integer overflow"),
        ("18446744073709551615u + 1u", "unsigned integer overflow"),
        ("1 / (x - 3)", "division by zero"),
        ("1 % (x - 3)", "modulus by zero"),
        ("0.0 / 0.0 < 1.0", "NaN values cannot be ordered"),
        ("numbers[3]", "index out of bounds: 3"),
        ("numbers[-1]", "index out of bounds: -1"),
        ("counts['z']", "no such key: z"),
        ("d.zzz", "no such key: zzz"),
        ("d.zzz.y", "no such key: zzz"),
        ("d.?deep.value().zzz", "no such key: zzz"),
        ("missing", "no such attribute(s): missing"),
        ("dyn(1) + 'a'", "no such overload"),
        ("dyn('a') < 1", "no such overload"),
        ("dyn(1) && true", "no such overload"),
        ("dyn(1).foo", "no such overload"),
        ("d.f % 1", "no such overload"),
        ("dyn(1) ? 1 : 2", "no such overload"),
        ("d.deep.er.all(i, true)", "no such overload"),
        ("1 / 0 == 1 && true", "division by zero"),
        ("1 / 0 == 1 || d.zzz", "division by zero"),
        ("[0, 1].all(i, 1 / i == 1)", "division by zero"),
        ("numbers.map(i, 1 / (i - 2))", "division by zero"),
        ("{'a': 1, 'a': 2}['a'] + x", "Failed with repeated key: a"),
        ("optional.none().value()", "optional.none() dereference"),
        ("counts.transformMapEntry(k, v, {'same': v})", "insert failed: key same already exists"),
        ("timestamp('9999-12-31T23:59:59Z') + duration('1s')", "timestamp overflow"),
        ("duration('9223372036s') + duration('9223372036s')", "duration overflow"),
    ],
)
def test_it_is_an_error(source: str, error: str) -> None:
    with pytest.raises((cel.CelRuntimeError, cel.InstantiationError)) as caught:
        value(source)
    assert str(caught.value) == error


def test_a_null_where_a_number_was_declared_is_no_crash() -> None:
    with pytest.raises(cel.CelRuntimeError, match="no such overload"):
        cel.compile("numbers[0] + 1 > 0", ENV).evaluate({"numbers": [None]})


def test_text_that_is_no_unicode_is_no_crash() -> None:
    with pytest.raises(cel.CelRuntimeError, match="no such overload"):
        cel.compile("'%x'.format([s]) == ''", ENV).evaluate({"s": "\ud800"})


def test_the_same_program_may_run_again_with_other_values() -> None:
    program = cel.compile("x + numbers.size() > 3", ENV)
    assert program.evaluate({"x": 1, "numbers": [1, 2, 3]}) is True
    assert program.evaluate({"x": 1, "numbers": []}) is False
    assert program.references == {"x", "numbers"}


def test_what_an_evaluation_may_cost_is_limited_and_the_error_is_never_absorbed() -> None:
    nested = "numbers.all(a, numbers.all(b, numbers.all(c, numbers.all(d, true))))"
    program = cel.compile(f"{nested} || true", ENV)
    with pytest.raises(cel.CostLimitExceeded, match="operation cancelled: actual cost limit exceeded"):
        program.evaluate({"numbers": list(range(300))})


def test_a_budget_is_for_several_evaluations() -> None:
    program, budget = cel.compile("x == 3", ENV), cel.Budget(5)
    program.evaluate(VALUES, budget)
    assert budget.remaining == 3
    program.evaluate(VALUES, budget)
    with pytest.raises(cel.BudgetExceeded):
        program.evaluate(VALUES, budget)


@pytest.mark.parametrize("source", ["(" * 300 + "1" + ")" * 300, "[" * 300 + "]" * 300, "!(" * 300 + "true" + ")" * 300])
def test_deep_nesting_is_refused(source: str) -> None:
    with pytest.raises(cel.CelError, match="expression recursion limit exceeded: 250"):
        cel.compile(source, ENV)


def test_nested_opt_maps_do_not_take_forever() -> None:
    source = "optional.of(1)" + ".optMap(v, v)" * 60
    with pytest.raises(cel.CelError):
        cel.compile(source, ENV)
