"""What rules cost, in upstream's numbers: while they run, and as estimated when a definition is written."""

from __future__ import annotations

from typing import Any

import pytest

from steersman.api.structural.model import build
from steersman.api.structural.rules.convert import converter
from steersman.api.structural.rules.declare import Declarations
from steersman.machinery import cel
from steersman.machinery.cel.cost.estimate import estimate
from steersman.machinery.meta import Obj

INT: Obj = {"type": "integer"}
NUMBER: Obj = {"type": "number"}
STRING: Obj = {"type": "string"}
BOOL: Obj = {"type": "boolean"}
EITHER: Obj = {"x-kubernetes-int-or-string": True}


def formatted(name: str) -> Obj:
    return {"type": "string", "format": name}


def array(items: Obj, **more: Any) -> Obj:
    return {"type": "array", "items": items, **more}


def mapping(values: Obj, **more: Any) -> Obj:
    return {"type": "object", "additionalProperties": values, **more}


def thing(**properties: Obj) -> Obj:
    return {"type": "object", "properties": properties}


def program(schema: Obj, source: str) -> tuple[cel.Program, Any, Any]:
    node = build(schema)
    decl = Declarations().of(node)
    assert decl is not None
    env = cel.KUBERNETES.with_variables(self=decl.type, oldSelf=decl.type)
    return cel.compile(source, env), decl, converter(node)


def run(schema: Obj, value: Any, source: str) -> tuple[Any, int]:
    compiled, _, convert = program(schema, source)
    return compiled.measure({"self": convert(value) if convert is not None else value})


def twice(schema: Obj) -> Obj:
    return thing(a=schema, b=schema)


WORDS = {"a": "Rook takes \U0001f451", "b": "Rook takes \U0001f451"}
LISTS = {"a": [1, 2, 3], "b": [1, 2, 3]}
KEYED = array(thing(k=STRING, v=STRING, v2=STRING), **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]})
ITEMS = {"items": [{"k": "a1", "v": "b1"}, {"k": "a2", "v": "b2"}, {"k": "a3", "v": "b3", "v2": "z"}]}
MAPS = thing(objs=array(KEYED))
A1, B2, B3, C4 = {"k": "a", "v": "1"}, {"k": "b", "v": "2"}, {"k": "b", "v": "3"}, {"k": "c", "v": "4"}
MAPS_VALUE = {"objs": [[A1, B2], [B2, A1], [B3, A1], [C4]]}
NUMBERS = {"array": [1, 1, 2, 2, 3, 3, 4, 5]}
SETS = array(STRING, **{"x-kubernetes-list-type": "set"})
NESTED = thing(a=thing(b=INT, c=INT, d={**INT, "nullable": True}), a1=thing(b1=thing(c1=INT), d2=thing(e2=INT)), a3=thing())
NESTED_VALUE = {"a": {"b": 1, "d": None}, "a1": {"b1": {"c1": 4}}, "a3": {}}
PERCENT = {"min": "50%", "current": 5, "available": 10}


@pytest.mark.parametrize(
    ("schema", "value", "source", "cost"),
    [
        (twice(INT), {"a": 7, "b": 7}, "self.a == self.b", 5),
        (twice(INT), {"a": 7, "b": 7}, "self.a == self.b && self.a == 7 && self.b == 7", 11),
        (twice(INT), {"a": 7, "b": 7}, "type(self.a) == int", 4),
        (twice(INT), {"a": 7, "b": 7}, "self.a + 1 == 7 + 1", 5),
        (twice(NUMBER), {"a": 1, "b": 1.0}, "type(self.a) == double", 4),
        (twice(NUMBER), {"a": 1, "b": 1.0}, "self.a == 1.0", 3),
        (thing(a=INT, b=NUMBER), {"a": 5, "b": 10}, "double(self.a) < self.b", 6),
        (thing(a=INT, b=NUMBER), {"a": 5, "b": 10}, "self.a < int(self.b)", 6),
        (thing(a=INT), {"a": 5}, "double(5) < 10.0", 1),
        (thing(a=INT), {"a": 5}, "double(self.a) < 10.0", 4),
        (twice(STRING), WORDS, "self.a.startsWith('Rook')", 4),
        (twice(STRING), WORDS, "!self.a.startsWith('knight')", 5),
        (twice(STRING), WORDS, "self.a.matches('^[^0-9]*$')", 8),
        (twice(STRING), WORDS, "!self.a.matches('^[0-9]*$')", 7),
        (twice(STRING), WORDS, "size(self.a) == 12", 4),
        (twice(STRING), WORDS, "self.a.charAt(3) == 'k'", 4),
        (twice(STRING), WORDS, "self.a.indexOf('o', 2) == 2", 4),
        (twice(STRING), WORDS, "self.a.replace(' ', 'x') == 'Rookxtakesx\U0001f451'", 7),
        (twice(STRING), WORDS, "self.a.split(' ') == ['Rook', 'takes', '\U0001f451']", 6),
        (twice(STRING), WORDS, "self.a.substring(5) == 'takes \U0001f451'", 5),
        (twice(STRING), WORDS, "self.a.substring(4, 10).trim() == 'takes'", 6),
        (twice(STRING), WORDS, "self.a.upperAscii() == 'ROOK TAKES \U0001f451'", 6),
        (twice(formatted("byte")), {"a": "QUI=", "b": "QUI="}, "self.a == b'AB'", 3),
        (twice(formatted("byte")), {"a": "QUI=", "b": "QUI="}, "size(self.a) == 2", 4),
        (twice(formatted("duration")), {"a": "1h2m3s4ms"}, "self.a == duration('1h2m') + duration('3s4ms')", 4),
        (twice(formatted("duration")), {"a": "1h2m3s4ms"}, "self.a.getHours() == 1", 4),
        (twice(formatted("duration")), {"a": "3 days"}, "type(self.a) == google.protobuf.Duration", 4),
        (twice(formatted("date")), {"a": "1997-07-16"}, "self.a.getDate() == 16", 4),
        (twice(formatted("date-time")), {"a": "2011-08-18T19:03:37.010+01:00"}, "self.a.getDate('01:00') == 18", 4),
        (thing(e={**STRING, "enum": ["Pending"]}), {"e": "Pending"}, "self.e in ['Pending', 'Available']", 2),
        (thing(a=NUMBER), {"a": 10.5}, "string(self.a) == '10.5'", 4),
        (thing(a=formatted("date-time"), b=STRING), {"a": "2011-08-18T19:03:37.01+01:00", "b": "2011-08-18T19:03:37.01+01:00"},
         "string(self.a) == self.b", 8),
        (twice(array(INT)), LISTS, "1 in self.a", 5),
        (twice(array(INT)), LISTS, "self.b[0] in self.a", 8),
        (twice(array(INT)), LISTS, "!(0 in self.a)", 6),
        (twice(array(INT)), LISTS, "self.a + self.b == [1, 2, 3, 1, 2, 3]", 6),
        (twice(array(INT)), LISTS, "self.a + [4, 5] == [1, 2, 3, 4, 5]", 4),
        (twice(SETS), {"a": ["a", "b", "c"], "b": ["a", "c", "b"]}, "self.a == ['c', 'b', 'a']", 3),
        (twice(SETS), {"a": ["a", "b", "c"], "b": ["a", "c", "b"]}, "self.a + self.b == ['a', 'b', 'c']", 6),
        (twice(SETS), {"a": ["a", "b", "c"], "b": ["a", "c", "b"]}, "self.a + ['c', 'd'] == ['a', 'b', 'c', 'd']", 4),
        (twice(mapping(STRING)), {"a": {"k1": "a", "k2": "b"}, "b": {"k2": "b", "k1": "a"}}, "self.a == self.b", 5),
        (twice(mapping(STRING)), {"a": {"k1": "a", "k2": "b"}}, "self.a == {'k1': 'a', 'k2': 'b'}", 3),
        (NESTED, NESTED_VALUE, "has(self.a.b)", 2),
        (NESTED, NESTED_VALUE, "has(self.a1.b1.c1)", 3),
        (NESTED, NESTED_VALUE, "!(has(self.a1.d2) && has(self.a1.d2.e2))", 3),
        (NESTED, NESTED_VALUE, "!has(self.a.d)", 3),
        (thing(val=mapping(INT)), {"val": {"b": 1, "d": 2}}, "!('a' in self.val)", 4),
        (thing(val=mapping(INT)), {"val": {"b": 1, "d": 2}}, "!has(self.val.a)", 3),
        (thing(val=mapping(INT)), {"val": {"b": 1, "d": 2}}, "self.val.all(k, self.val[k] > 0)", 17),
        (thing(val=mapping(INT)), {"val": {"b": 1, "d": 2}}, "self.val.all(k, v, v > 0)", 13),
        (thing(val=mapping(INT)), {"val": {"b": 1, "d": 2}}, "self.val.exists_one(k, self.val[k] == 2)", 14),
        (thing(val=mapping(INT)), {"val": {"b": 1, "d": 2}}, "!self.val.exists_one(k, self.val[k] > 0)", 17),
        (thing(val=mapping(INT)), {"val": {"b": 1, "d": 2}}, "size(self.val.filter(k, self.val[k] > 1)) == 1", 26),
        (thing(items=KEYED), ITEMS, "has(self.items[0].v)", 3),
        (thing(items=KEYED), ITEMS, "self.items.all(m, m.k.startsWith('a'))", 21),
        (thing(items=KEYED), ITEMS, "self.items.all(m, !has(m.v2) || m.v2 == 'z')", 21),
        (thing(items=KEYED), ITEMS, "self.items.exists(m, m.k.endsWith('1'))", 13),
        (thing(items=KEYED), ITEMS, "self.items.exists_one(m, m.k == 'a3')", 15),
        (thing(items=KEYED), ITEMS, "!self.items.all(m, m.k.endsWith('1'))", 18),
        (thing(items=KEYED), ITEMS, "!self.items.exists(m, m.v == 'x')", 25),
        (thing(items=KEYED), ITEMS, "!self.items.exists_one(m, m.k.startsWith('a'))", 20),
        (thing(items=KEYED), ITEMS, "size(self.items.filter(m, m.k == 'a1')) == 1", 27),
        (thing(items=KEYED), ITEMS, "self.items.exists(m, m.k == 'a1' && m.v == 'b1')", 16),
        (thing(items=KEYED), ITEMS, "self.items.map(m, m.v).exists(v, v == 'b1')", 55),
        (thing(items=KEYED), ITEMS, "self.items.exists(m, has(m.v2) && m.v2 == 'z')", 21),
        (thing(items=KEYED), ITEMS, "!self.items.all(m, has(m.v2) && m.v2 != 'z')", 10),
        (thing(items=KEYED), ITEMS, "self.items.exists_one(m, has(m.v2) && m.v2 == 'z')", 12),
        (thing(items=KEYED), ITEMS, "self.items.map(m, has(m.v2) && m.v2 == 'z', m.v2).size() == 1", 25),
        (thing(items=KEYED), ITEMS, "self.items.filter(m, has(m.v2) && m.v2 == 'z').map(m, m.v2).size() == 1", 39),
        (thing(items=KEYED), ITEMS, "self.items.exists(m, m.v2 == 'z')", 24),
        (thing(items=KEYED), ITEMS, "!self.items.all(m, m.v2 != 'z')", 22),
        (thing(array=array(INT)), NUMBERS, "2 in self.array", 10),
        (thing(array=array(INT)), NUMBERS, "self.array.all(e, e > 0)", 43),
        (thing(array=array(INT)), NUMBERS, "self.array.exists(e, e > 2)", 36),
        (thing(array=array(INT)), NUMBERS, "self.array.exists_one(e, e > 4)", 22),
        (thing(array=array(INT)), NUMBERS, "!self.array.all(e, e < 2)", 21),
        (thing(array=array(INT)), NUMBERS, "!self.array.exists(e, e < 0)", 52),
        (thing(array=array(INT)), NUMBERS, "size(self.array.filter(e, e%2 == 0)) == 3", 68),
        (thing(array=array(INT)), NUMBERS, "self.array.map(e, e * 20).filter(e, e > 50).exists(e, e == 60)", 194),
        (thing(e={"type": "object", "x-kubernetes-embedded-resource": True}), {"e": {"kind": "Pod"}}, "self.e.kind == 'Pod'", 4),
        (thing(s=EITHER), {"s": "25%"}, "type(self.s) == int ? self.s == 1 : self.s == '25%'", 7),
        (thing(s=EITHER), {"s": "25%"}, "self.s != 1", 3),
        (thing(s=EITHER), {"s": "25%"}, "self.s == 1 || self.s == '25%'", 6),
        (thing(s=EITHER), {"s": "25%"}, "self.s != ['anything']", 3),
        (thing(s={**EITHER, "nullable": True}), {"s": None}, "!has(self.s)", 2),
        (thing(min=EITHER, current=INT, available=INT), PERCENT,
         r"type(self.min) == string && self.min.matches(r'(\d+(\.\d+)?%)')", 10),
        (thing(min=EITHER, current=INT, available=INT), PERCENT,
         "type(self.min) == int ? self.current <= self.min : "
         "double(self.current) / double(self.available) >= double(self.min.replace('%', '')) / 100.0", 17),
        (MAPS, MAPS_VALUE, "self.objs[0] == self.objs[1]", 7),
        (MAPS, MAPS_VALUE, "self.objs[0] + self.objs[2] == self.objs[2]", 11),
        (MAPS, MAPS_VALUE, "self.objs[2] + self.objs[0] == self.objs[0]", 11),
        (MAPS, MAPS_VALUE, "self.objs[0] == [self.objs[0][1], self.objs[0][0]]", 22),
        (MAPS, MAPS_VALUE, "self.objs[2] + [self.objs[0][0], self.objs[0][1]] == self.objs[0]", 26),
        (MAPS, MAPS_VALUE, "size(self.objs[0] + [self.objs[3][0]]) == 3", 20),
    ],
)  # fmt: skip
def test_a_rule_is_satisfied_at_this_cost(schema: Obj, value: Any, source: str, cost: int) -> None:
    assert run(schema, value, source) == (True, cost)


OBJECTS = {**thing(required=STRING, optional=STRING), "required": ["required"]}
DEEP = array(mapping({**OBJECTS}))


@pytest.mark.parametrize(
    ("schema", "source", "cost"),
    [
        (array(NUMBER), "self.all(x, true)", 4718591),
        (array(NUMBER, maxItems=10), "self.all(x, true)", 32),
        (array(STRING), "self.all(x, true)", 3145727),
        (array(BOOL), "self.all(x, true)", 1887437),
        (array(array(NUMBER)), "self.all(x, true)", 3145727),
        (array(OBJECTS), "self.all(x, true)", 555128),
        (mapping(NUMBER), "self.all(x, true)", 1348169),
        (mapping(STRING), "self.all(x, true)", 1179647),
        (mapping(BOOL), "self.all(x, true)", 943718),
        (STRING, "self.contains('test')", 314574),
        ({**STRING, "maxLength": 10}, "self.contains('test')", 5),
        (STRING, "self.startsWith('test')", 2),
        (STRING, "size(self + 'hello') > size('hello')", 314578),
        ({**STRING, "maxLength": 4}, "size(self + 'hello') > size('hello')", 7),
        (array(NUMBER), "self[1] == 0.0", 2),
        (array(STRING), "self[1] == self[1]", 314577),
        (array(NUMBER, maxItems=10), "self.all(x, self.all(y, true))", 352),
        (array(NUMBER, maxItems=10), "self.all(x, self.all(y, self.all(z, true)))", 3552),
        (STRING, "self.matches('x')", 314574),
        ({**STRING, "maxLength": 50}, "self.matches('x')", 22),
        (STRING, "''.matches('(((((((((())))))))))[0-9]')", 7),
        (STRING, "self.matches('')", 1),
        (mapping(STRING), "self.all(x, x.contains(self[x]))", 2752507),
        (mapping({**STRING, "maxLength": 10}, maxProperties=10), "self.all(x, x.contains(self[x]))", 72),
        ({**STRING, "maxLength": 0}, "self == 'x'", 1),
        (formatted("byte"), "self == b'x'", 2),
        (array(NUMBER), "self.all(x, x == 0.0)", 6291454),
        (array(NUMBER, maxItems=3 * 1024 * 2048), "self.all(x, x == 0.0)", 25165826),
        (DEEP, "self.all(x, x['y'].required == 'z')", 7340027),
        ({**DEEP, "maxItems": 10}, "self.all(x, x['y'].required == 'z')", 72),
        (array(EITHER), "self.all(x, true)", 4718591),
        (array(EITHER), "self[0] == 5", 3),
        (array(OBJECTS), "self[0] == null", 2),
        (array(array(NUMBER)), "self[0][0] == -1.0", 3),
        (array(mapping(NUMBER)), "self.all(x, x.y == 25.2)", 6291452),
        (array(mapping(NUMBER)), "self[0].x > 2.0", 4),
        (array(formatted("duration")), "self.all(x, true)", 2359295),
        (array(formatted("duration")), "self[0].getHours() == 2", 4),
        (array(formatted("date")), "self.all(x, true)", 725936),
        (array(formatted("date-time")), "self.all(x, true)", 428963),
        (mapping(EITHER), "self.all(x, true)", 1348169),
        (mapping(OBJECTS), "self.all(x, true)", 428963),
        (mapping(mapping(NUMBER)), "self.all(x, true)", 1179647),
        (mapping(array(NUMBER)), "self.all(x, true)", 1179647),
        (mapping(formatted("duration")), "self.all(x, true)", 1048577),
        (mapping(formatted("date")), "self.all(x, true)", 524288),
        (mapping(formatted("date-time")), "self.all(x, true)", 349526),
        (STRING, "self.find('[0-9]+') == ''", 629147),
        ({**STRING, "maxLength": 10}, "self.find('[0-9]+') == ''", 11),
        (array(STRING), "self.join(' ') == 'aa bb'", 329853068905),
        (array({**STRING, "maxLength": 10}, maxItems=10), "self.join(' ') == 'aa bb'", 43),
        (array(STRING), "self.isSorted() == true", 329854432052),
        (array({**STRING, "maxLength": 10}, maxItems=10), "self.isSorted() == true", 52),
        (thing(s=STRING, before={**STRING, "maxLength": 2}, after={**STRING, "maxLength": 4}),
         "self.s.replace(self.before, self.after) == 'does not matter'", 629154),
        (thing(s={**STRING, "maxLength": 4}, before={**STRING, "maxLength": 2}, after={**STRING, "maxLength": 4}),
         "self.s.replace(self.before, self.after) == 'does not matter'", 12),
        (thing(s=STRING, separator=STRING), "self.s.split(self.separator) == []", 629160),
        (STRING, "self.lowerAscii() == 'lower!'", 314575),
        (mapping(INT), "oldSelf.size() == self.size()", 5),
        (mapping(formatted("date-time")), "self['a'] == self['b']", 8),
        ({**STRING, "enum": ["A", "B", "C", "LongValue"]}, "self.contains('A')", 2),
        (thing(v=STRING), "isQuantity(self.v)", 314575),
    ],
)  # fmt: skip
def test_a_rule_may_cost_so_much(schema: Obj, source: str, cost: int) -> None:
    compiled, decl, _ = program(schema, source)
    assert estimate(compiled.tree, decl.size_of).high == cost
