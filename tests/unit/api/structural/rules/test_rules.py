"""Rules of schemas: what they say of objects, and what is said of rules themselves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from steersman.api.structural.model import MISSING, build
from steersman.api.structural.rules import check, evaluate, naming
from steersman.api.structural.rules.evaluate import Rules
from steersman.machinery.fielderrors import type_invalid
from steersman.machinery.meta import Obj

INT: Obj = {"type": "integer"}
STRING: Obj = {"type": "string"}
KEYED: Obj = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}


def ruled(schema: Obj, *rules: Obj | str) -> Obj:
    made = [rule if isinstance(rule, dict) else {"rule": rule} for rule in rules]
    return {**schema, "x-kubernetes-validations": made}


def thing(**properties: Obj) -> Obj:
    return {"type": "object", "properties": properties}


def complaints(schema: Obj, value: Any, old: Any = MISSING) -> list[str]:
    root = build(thing(spec=schema))
    before = MISSING if old is MISSING else {"spec": old}
    return [str(error) for error in Rules(root).errors({"spec": value}, before)]


@pytest.mark.parametrize(
    ("schema", "value", "errors"),
    [
        (ruled(INT, "self >= 0"), 1, []),
        (ruled(INT, "self >= 0"), -1, ["spec: Invalid value: -1: failed rule: self >= 0"]),
        (ruled(STRING, "self != 'x'"), "x", ["spec: Invalid value: \"x\": failed rule: self != 'x'"]),
        (ruled(INT, {"rule": "self > 0", "message": " must be positive "}), 0, ["spec: Invalid value: 0: must be positive"]),
        (ruled(thing(n=INT), {"rule": "self.n > 0", "message": "bad"}), {"n": 0}, ["spec: Invalid value: bad"]),
        (
            ruled(thing(n=INT), {"rule": "self.n > 0", "messageExpression": "'n is ' + string(self.n)"}),
            {"n": -3},
            ["spec: Invalid value: n is -3"],
        ),
        (
            ruled(thing(n=INT), {"rule": "self.n > 0", "message": "plain", "messageExpression": "self.n < 0 ? '  ' : 'a\\nb'"}),
            {"n": -3},
            ["spec: Invalid value: plain"],
        ),
        (
            ruled(thing(n=INT), {"rule": "self.n > 0", "messageExpression": "string(1 / (self.n + 3))"}),
            {"n": -3},
            ["spec: Invalid value: failed rule: self.n > 0"],
        ),
        (
            ruled(thing(n=INT), {"rule": "self.n > 0", "fieldPath": ".n"}),
            {"n": 0},
            ["spec.n: Invalid value: failed rule: self.n > 0"],
        ),
        (
            ruled(thing(m={"type": "object", "additionalProperties": INT}),
                  {"rule": "false", "fieldPath": ".m['k-1']", "message": "no", "reason": "FieldValueForbidden"}),
            {"m": {}},
            ["spec.m[k-1]: Forbidden: no"],
        ),
        (ruled(INT, {"rule": "false", "message": "need", "reason": "FieldValueRequired"}), 1, ["spec: Required value: need"]),
        (ruled(INT, {"rule": "false", "message": "twice", "reason": "FieldValueDuplicate"}), 1, ["spec: Duplicate value: 1"]),
        (
            ruled(thing(a=INT, b=INT), "self.a < self.b"),
            {"a": 1},
            ['spec: Invalid value: "object": no such key: b evaluating rule: self.a < self.b'],
        ),
        (
            ruled({"x-kubernetes-int-or-string": True}, "self > 0"),
            "x",
            [
                'spec: Invalid value: "": \'no such overload\': call arguments did not match a supported operator, function or '
                "macro signature for rule: self > 0"
            ],
        ),
        # In lists, maps and below
        (thing(l={"type": "array", "items": ruled(INT, "self > 0")}), {"l": [1, 0, -1]},
         ["spec.l[1]: Invalid value: 0: failed rule: self > 0", "spec.l[2]: Invalid value: -1: failed rule: self > 0"]),
        (thing(m={"type": "object", "additionalProperties": ruled(INT, "self > 0")}), {"m": {"a": 0}},
         ["spec.m[a]: Invalid value: 0: failed rule: self > 0"]),
        (ruled(thing(n=ruled(INT, "self > 1")), "self.n > 2"), {"n": 0},
         ["spec: Invalid value: failed rule: self.n > 2", "spec.n: Invalid value: 0: failed rule: self > 1"]),
        # Null is absent
        (ruled(thing(n={**INT, "nullable": True}), "!has(self.n)"), {"n": None}, []),
        (thing(n=ruled({**INT, "nullable": True}, "self > 0")), {"n": None}, []),
        # Names
        (ruled(thing(**{"a-b": INT, "c.d": INT, "e__f": INT, "g/h": INT, "namespace": INT, "in": INT}),
               "self.a__dash__b == 1 && self.c__dot__d == 2 && self.e__underscores__f == 3 && self.g__slash__h == 4",
               "self.namespace == self.__namespace__ && self.__in__ == 6"),
         {"a-b": 1, "c.d": 2, "e__f": 3, "g/h": 4, "namespace": 5, "in": 6}, []),
        # Formats and numbers
        (ruled(thing(n={"type": "number"}), "self.n == 1.0 && type(self.n) == double"), {"n": 1}, []),
        (ruled(thing(d={**STRING, "format": "date"}), "self.d.getFullYear() == 2020"), {"d": "2020-05-01"}, []),
        (ruled(thing(d={**STRING, "format": "duration"}), "self.d == duration('48h')"), {"d": "2 days"}, []),
        (ruled(thing(b={**STRING, "format": "byte"}), "self.b == b'hi'"), {"b": "aGk="}, []),
        (ruled(thing(s={"type": "array", "items": STRING, "x-kubernetes-list-type": "set"}), "self.s == ['b', 'a']"),
         {"s": ["a", "b"]}, []),
    ],
)  # fmt: skip
def test_an_object_is_judged_by_the_rules_of_its_schema(schema: Obj, value: Any, errors: list[str]) -> None:
    assert complaints(schema, value) == errors


SAME = "self == oldSelf"
IMMUTABLE = "spec: Invalid value: 2: failed rule: self == oldSelf"


@pytest.mark.parametrize(
    ("schema", "value", "old", "errors"),
    [
        (ruled(INT, SAME), 2, MISSING, []),
        (ruled(INT, SAME), 2, 1, [IMMUTABLE]),
        (ruled(INT, SAME), 2, 2, []),
        (ruled(INT, SAME), 2, None, []),
        (thing(m={"type": "object", "additionalProperties": ruled(INT, SAME)}), {"m": {"a": 2, "b": 1}}, {"m": {"a": 1}},
         ["spec.m[a]: Invalid value: 2: failed rule: self == oldSelf"]),
        (thing(l={"type": "array", "items": ruled(thing(k=STRING, v=INT), "self.v >= oldSelf.v"), **KEYED}),
         {"l": [{"k": "b", "v": 1}, {"k": "a", "v": 1}, {"k": "c", "v": 0}]}, {"l": [{"k": "a", "v": 2}, {"k": "b", "v": 1}]},
         ["spec.l[1]: Invalid value: failed rule: self.v >= oldSelf.v"]),
        (ruled(INT, {"rule": "oldSelf.hasValue() || self == 1", "optionalOldSelf": True}), 2, MISSING,
         ["spec: Invalid value: 2: failed rule: oldSelf.hasValue() || self == 1"]),
        (ruled(INT, {"rule": "oldSelf.optMap(o, o < self).orValue(true)", "optionalOldSelf": True}), 2, 1, []),
        # Ratcheting: what is as it was is no error.
        (ruled(INT, "self > 5"), 2, 2, []),
        (ruled(INT, "self > 5"), 2, 1, ["spec: Invalid value: 2: failed rule: self > 5"]),
        (ruled(thing(a=ruled(INT, "self > 5"), b=INT), "self.b > 0"), {"a": 1, "b": 0}, {"a": 1, "b": 1},
         ["spec: Invalid value: failed rule: self.b > 0"]),
        (thing(l={"type": "array", "items": ruled(INT, "self > 5")}, n=INT), {"l": [1], "n": 1}, {"l": [1], "n": 2}, []),
        (thing(l={"type": "array", "items": ruled(INT, "self > 5")}), {"l": [1, 7]}, {"l": [1]},
         ["spec.l[0]: Invalid value: 1: failed rule: self > 5"]),
    ],
)  # fmt: skip
def test_an_update_is_compared_with_what_was_before(schema: Obj, value: Any, old: Any, errors: list[str]) -> None:
    assert complaints(schema, value, old) == errors


def test_failures_about_what_did_not_change_are_warnings() -> None:
    rules = Rules(build(thing(n=ruled(INT, "self > 5", "self >= oldSelf"))))
    assert rules.errors({"n": 1, "m": 1}, {"n": 1}) == []
    assert rules.warnings({"n": 1, "m": 1}, {"n": 1}) == ["n: Invalid value: 1: failed rule: self > 5"]
    assert rules.warnings({"n": 1}, {"n": 2}) == []


def test_rules_are_not_run_over_objects_of_the_wrong_form() -> None:
    rules = Rules(build(thing(n=ruled(INT, "self > 5"))))
    (found,) = rules.errors({"n": "x"}, before=[type_invalid("n", "string")])
    assert str(found) == f"<nil>: Invalid value: null: {evaluate._UNCHECKED}"
    assert Rules(build(thing(n=INT))).errors({"n": "x"}, before=[type_invalid("n", "string")]) == []


def test_the_root_has_the_fields_of_every_resource() -> None:
    rules = Rules(build(ruled({"type": "object"}, "self.metadata.name.startsWith('a') && self.kind == 'Foo'")))
    assert rules.errors({"kind": "Foo", "metadata": {"name": "abc"}}) == []
    (found,) = rules.errors({"kind": "Foo", "metadata": {"name": "bc"}})
    assert found.path == "<nil>"


def test_a_rule_that_costs_too_much_ends_it_all() -> None:
    expensive = "self.all(a, self.all(b, self.all(c, self.all(d, true))))"
    schema = ruled({"type": "array", "items": INT}, expensive, "false")
    assert complaints(schema, list(range(200))) == [
        "spec: Invalid value: \"array\": 'operation cancelled: actual cost limit exceeded': no further validation rules "
        f"will be run due to call cost exceeds limit for rule: {expensive}"
    ]


def test_all_rules_together_have_a_budget() -> None:
    items = {"type": "array", "items": ruled(INT, "[" + ",".join(["1"] * 100) + "].all(x, [self, 2].all(y, y > 0))")}
    found = complaints(items, list(range(1, 12000)))
    assert len(found) == 1
    assert found[0].endswith("validation failed due to running out of cost budget, no further validation rules will be run")


@pytest.mark.parametrize(
    "rule", ["!self.matches('(a+)+$')", "self.find('(a|a)*$') == ''", "self.findAll('(x+x+)+y').size() == 0"]
)
def test_a_rule_with_a_pattern_that_backtracks_elsewhere_is_decided_at_once(rule: str) -> None:
    assert complaints(ruled(STRING, rule), "a" * 100_000 + "!") == []


def test_searches_cost_by_text_and_pattern() -> None:
    """314,573 times 3 for this one: under the limit of one call; ten of them are the budget of a request."""
    dear = "self.all(x, !x.matches('(a+)+b[c]'))"
    found = complaints(ruled({"type": "array", "items": STRING}, dear), ["a" * 300_000] * 12)
    assert "actual cost limit exceeded" in found[0]


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("!self.matches('.*a.{999}')", "ab" * 100_000),
        ("self.findAll('a.*b|.').size() > 0", "a" * 100_000),
        ("matches(self, '.*a.{999}')", "ab" * 100_000),
    ],
)
def test_a_search_whose_cost_does_not_tell_its_work_is_not_made(rule: str, value: str) -> None:
    found = complaints(ruled(STRING, rule), value)
    assert len(found) == 1 and "'operation cancelled: actual cost limit exceeded'" in found[0]


def refused(schema: Obj) -> list[str]:
    return [str(error) for error in check.check(build(thing(spec=schema)), "s")]


ADVICE = "try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared"
TOTAL = "estimated rule cost total"
AT = "s.properties[spec].x-kubernetes-validations[0]"


def shown(**more: Any) -> str:
    values = {"Rule": "", "Message": "", "MessageExpression": "", "Reason": None, "FieldPath": "", "OptionalOldSelf": None}
    return json.dumps({**values, **more}, separators=(",", ":")).replace(">", "\\u003e")


@pytest.mark.parametrize(
    ("schema", "errors"),
    [
        (ruled(INT, "self > 0"), []),
        (ruled(INT, " "), [f"{AT}.rule: Required value: rule is not specified"]),
        (
            ruled(INT, {"rule": "true", "message": " "}),
            [f'{AT}.message: Invalid value: " ": message must be non-empty if specified'],
        ),
        (
            ruled(INT, {"rule": "true", "message": "a\nb"}),
            [f'{AT}.message: Invalid value: "a\\nb": message must not contain line breaks'],
        ),
        (ruled(INT, "true &&\ntrue"), [f"{AT}.message: Required value: message must be specified if rule contains line breaks"]),
        (ruled(INT, {"rule": "true", "messageExpression": " "}),
         [f"{AT}.messageExpression: Required value: messageExpression must be non-empty if specified"]),
        (
            ruled(INT, {"rule": "true", "reason": "Bad"}),
            [
                f'{AT}.reason: Unsupported value: "Bad": supported values: "FieldValueDuplicate", "FieldValueForbidden", '
                '"FieldValueInvalid", "FieldValueRequired"'
            ],
        ),
        (ruled(thing(n=INT), {"rule": "true", "fieldPath": ".m"}),
         [f'{AT}.fieldPath: Invalid value: ".m": fieldPath must be a valid path']),
        (ruled(thing(n=INT), {"rule": "true", "fieldPath": ".n"}), []),
        (
            ruled(thing(n=INT), "self.x > 0"),
            [
                f"{AT}.rule: Invalid value: {shown(Rule='self.x > 0')}: compilation failed: ERROR: <input>:1:5: "
                "undefined field 'x'\n | self.x > 0\n | ....^"
            ],
        ),
        (ruled(INT, "self"), [f"{AT}.rule: Invalid value: {shown(Rule='self')}: cel expression must evaluate to a bool"]),
        (
            ruled(INT, {"rule": "true", "messageExpression": "1"}),
            [
                f"{AT}.messageExpression: Invalid value: {shown(Rule='true', MessageExpression='1')}: "
                "messageExpression must evaluate to a string"
            ],
        ),
        (
            ruled(INT, {"rule": "true", "optionalOldSelf": True}),
            [f"{AT}.optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule"],
        ),
        (
            {"type": "array", "items": ruled(INT, SAME)},
            [
                "s.properties[spec].items.x-kubernetes-validations[0].rule: Invalid value: \"self == oldSelf\": "
                "oldSelf cannot be used on the uncorrelatable portion of the schema within s.properties[spec]"
            ],
        ),
        ({"type": "array", "items": ruled(thing(k=STRING), SAME), **KEYED}, []),
        (ruled({"type": "array", "items": INT}, SAME), []),
        (
            {**thing(n=ruled(INT, SAME)), "x-kubernetes-map-type": "atomic"},
            [
                "s.properties[spec].properties[n].x-kubernetes-validations[0].rule: Invalid value: \"self == oldSelf\": "
                "oldSelf cannot be used on the uncorrelatable portion of the schema within s.properties[spec]"
            ],
        ),
        (
            ruled({"type": "array", "items": STRING}, "self.all(x, self.all(y, x == y))"),
            [
                f"{AT}.rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x ({ADVICE})",
                f"{AT}.rule: Forbidden: contributed to {TOTAL} exceeding cost limit for entire OpenAPIv3 schema",
                f"s: Forbidden: x-kubernetes-validations {TOTAL} for entire OpenAPIv3 schema exceeds budget by "
                f"factor of more than 100x ({ADVICE})",
            ],
        ),
        (ruled({"type": "array", "maxItems": 100, "items": {**STRING, "maxLength": 9}}, "self.all(x, self.all(y, x == y))"), []),
        (
            {"x-kubernetes-preserve-unknown-fields": True, **ruled({}, "true")},
            [
                "s.properties[spec].x-kubernetes-validations: Internal error: failed to compile x-kubernetes-validations rules: "
                "rule declared on schema that does not support validation rules type: '' "
                "x-kubernetes-preserve-unknown-fields: 'true'"
            ],
        ),
    ],
)  # fmt: skip
def test_rules_are_looked_at_when_a_definition_is_written(schema: Obj, errors: list[str]) -> None:
    assert refused(schema) == errors


def test_a_cost_slightly_above_is_told_exactly() -> None:
    assert "by factor of 1.258" in check._too_much("estimated rule cost", 12_580_000, 10_000_000)
    assert "by factor of 2.5x" in check._too_much("estimated rule cost", 25_000_000, 10_000_000)


@pytest.mark.parametrize(
    ("name", "spelt"),
    [
        ("name", "name"),
        ("a-b.c/d", "a__dash__b__dot__c__slash__d"),
        ("a__b", "a__underscores__b"),
        ("a___b", "a__underscores___b"),
        ("for", "__for__"),
        ("true", "__true__"),
        ("1a", None),
        ("", None),
        ("a b", None),
        ("é", None),
    ],
)
def test_names_that_the_language_cannot_spell_are_escaped(name: str, spelt: str | None) -> None:
    assert naming.escape(name) == spelt
