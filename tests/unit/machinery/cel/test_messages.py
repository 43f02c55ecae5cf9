"""What is said of expressions that do not compile."""

from __future__ import annotations

import pytest

from steersman.machinery import cel
from steersman.machinery.cel import types as t

THING = t.object_of(
    "Thing", {"name": t.Field(t.STRING, "name"), "size": t.Field(t.INT, "size"), "a__dot__b": t.Field(t.INT, "a.b")}
)
ENV = cel.KUBERNETES.with_variables(x=t.INT, s=t.STRING, self=THING, numbers=t.list_of(t.INT))
EXPECTING = "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"


@pytest.mark.parametrize(
    ("source", "column", "message"),
    [
        ("x +", 4, f"Syntax error: mismatched input '<EOF>' expecting {EXPECTING}"),
        ("", 1, f"Syntax error: mismatched input '<EOF>' expecting {EXPECTING}"),
        ("x y", 3, "Syntax error: extraneous input 'y' expecting <EOF>"),
        ("x y z", 3, "Syntax error: mismatched input 'y' expecting <EOF>"),
        ("(x", 3, "Syntax error: missing ')' at '<EOF>'"),
        ("x $ 1", 3, "Syntax error: token recognition error at: '$'"),
        ("s == 'abc", 6, "Syntax error: token recognition error at: ''abc'"),
        ("x.`a b`", 3, "unsupported syntax: '`'"),
        ("for", 1, "reserved identifier: for"),
        ("9223372036854775808", 1, "invalid int literal"),
        ("18446744073709551616u", 1, "invalid uint literal"),
        ("1e999", 1, "invalid double literal"),
        (r"'\ud800'", 1, "invalid unicode code point"),
        (r"b'\u0041'", 1, "unable to unescape string"),
        ("has(x)", 5, "invalid argument to has() macro"),
        ("numbers.all(1, true)", 13, "argument must be a simple name"),
        ("numbers.map(1, true)", 13, "argument is not an identifier"),
        ("numbers.all(a, a, true)", 16, "duplicate variable name: a"),
        ("numbers.all(__result__, true)", 13, "iteration variable overwrites accumulator variable"),
        ("foo", 1, "undeclared reference to 'foo' (in container '')"),
        ("foo(1)", 4, "undeclared reference to 'foo' (in container '')"),
        ("s.foo()", 6, "undeclared reference to 'foo' (in container '')"),
        ("self.nope", 5, "undefined field 'nope'"),
        ("has(self.nope)", 4, "undefined field 'nope'"),
        ("x.nope", 2, "type 'int' does not support field selection"),
        ("x + s", 3, "found no matching overload for '_+_' applied to '(int, string)'"),
        ("self.size == 'a'", 11, "found no matching overload for '_==_' applied to '(int, string)'"),
        ("s.startsWith(1)", 13, "found no matching overload for 'startsWith' applied to 'string.(int)'"),
        ("numbers == ['a']", 9, "found no matching overload for '_==_' applied to '(list(int), list(string))'"),
        ("s == null", 3, "found no matching overload for '_==_' applied to '(string, null)'"),
        ("x && true", 1, "expected type 'bool' but found 'int'"),
        ("[1, 'a']", 5, "expected type 'int' but found 'string'"),
        ("{'a': 1, 2: 2}", 10, "expected type 'string' but found 'int'"),
        ("true ? 1 : 'a'", 6, "found no matching overload for '_?_:_' applied to '(bool, int, string)'"),
        ("x.all(i, true)", 1, "expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)"),
        ("numbers.all(i, i)", 16, "expected type 'bool' but found 'int'"),
        ("x{}", 2, "'x' is not a type"),
        ("int{}", 4, "'int' is not a message type"),
        ("duration('1x')", 10, "invalid duration argument"),
        ("timestamp('a')", 11, "invalid timestamp argument"),
        ("s.matches('(')", 11, "invalid matches argument"),
        ("'%s'.format([1, 2])", 13, "too many arguments supplied to string.format (expected 1, got 2)"),
        ("'%s %s'.format([1])", 16, "error during formatting: index 1 out of range"),
        (
            "'%d'.format(['a'])",
            13,
            "error during formatting: decimal clause can only be used on integers, was given string",
        ),
        ("'%z'.format([1])", 13, 'could not parse formatting clause: unrecognized formatting clause "z"'),
    ],
)
def test_the_message_and_where_it_points(source: str, column: int, message: str) -> None:
    with pytest.raises(cel.CelError) as caught:
        cel.compile(source, ENV)
    first, line, dots = str(caught.value).split("\n")[:3]
    assert first == f"ERROR: <input>:1:{column}: {message}"
    assert line == f" | {source}"
    assert dots == f" | {'.' * (column - 1)}^"


def test_all_that_is_wrong_is_told_in_order() -> None:
    with pytest.raises(cel.CelError) as caught:
        cel.compile("foo > 1 ||\n\tbar < 'é' + nope", ENV)
    assert str(caught.value).split("\n") == [
        "ERROR: <input>:1:1: undeclared reference to 'foo' (in container '')",
        " | foo > 1 ||",
        " | ^",
        "ERROR: <input>:2:2: undeclared reference to 'bar' (in container '')",
        " |  bar < 'é' + nope",
        " | .^",
        "ERROR: <input>:2:14: undeclared reference to 'nope' (in container '')",
        " |  bar < 'é' + nope",
        " | ........．....^",
    ]


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("1", "int"),
        ("self", "Thing"),
        ("[1]", "list(int)"),
        ("[]", "list(dyn)"),
        ("{'a': [1u]}", "map(string, list(uint))"),
        ("optional.of(1)", "optional_type(int)"),
        ("[optional.of(1), optional.none()]", "list(optional_type(int))"),
        ("numbers.map(i, string(i))", "list(string)"),
        ("timestamp(0)", "timestamp"),
        ("timestamp(0) - timestamp(0)", "duration"),
        ("ip('::1')", "net.IP"),
        ("dyn(1) + dyn(2)", "dyn"),
        ("true ? [] : [1]", "list(int)"),
        ("type(1)", "type(int)"),
        ("self.a__dot__b", "int"),
        ("{}.a", "dyn"),
        ("numbers.transformMap(i, v, v)", "map(int, int)"),
        ("null", "null"),
    ],
)
def test_every_expression_has_a_type(source: str, shown: str) -> None:
    assert str(cel.compile(source, ENV).type) == shown


def test_a_literal_that_cannot_be_converted_is_found_before_it_runs() -> None:
    with pytest.raises(cel.InstantiationError, match="type conversion error from 'string' to 'int'"):
        cel.compile("int('a') == 1", ENV)
    with pytest.raises(cel.InstantiationError, match="error parsing regexp"):
        cel.compile("s.find('(') == ''", ENV)


def test_a_source_may_have_so_many_code_points() -> None:
    with pytest.raises(cel.CelError, match="expression code point size exceeds limit: size: 100001, limit 100000"):
        cel.compile("1" + " " * 100_000, ENV)
