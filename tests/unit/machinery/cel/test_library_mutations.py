"""Object literals and JSON patches, as mutation expressions write them."""

from __future__ import annotations

from typing import Any

import pytest

from steersman.machinery import cel
from steersman.machinery.cel import types
from steersman.machinery.cel.library.mutations import misnamed

_ENV = cel.MUTATIONS.with_variables(object=types.DYN)


def _value(source: str, **obj: Any) -> Any:
    return cel.compile(source, _ENV).evaluate({"object": obj})


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("Object{}", {}),
        ("Object{spec: Object.spec{replicas: 3}}", {"spec": {"replicas": 3}}),
        ("Object{metadata: Object.metadata{labels: {'a': 'b'}}}", {"metadata": {"labels": {"a": "b"}}}),
        (
            "Object{spec: Object.spec{items: object.names.map(n, Object.spec.items{name: n})}}",
            {"spec": {"items": [{"name": "x"}, {"name": "y"}]}},
        ),
        ("Object{spec: Object.spec{?a: object.?a, ?b: object.?b}}", {"spec": {"a": 1}}),
    ],
)
def test_an_object_literal_has_the_fields_that_are_written(source: str, value: Any) -> None:
    found = _value(source, names=["x", "y"], a=1)
    assert found == value
    assert misnamed(found) == []


def test_a_json_patch_is_a_list_of_operations() -> None:
    source = "[JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('a/b~c'), value: 'x'}]"
    program = cel.compile(source, _ENV)
    assert str(program.type) == "list(JSONPatch)"
    assert program.evaluate({}) == [{"op": "add", "path": "/metadata/labels/a~1b~0c", "value": "x"}]


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("JSONPatch{ops: 'add'}", "undefined field 'ops'"),
        ("JSONPatch{op: 1}", "expected type of field 'op' is 'string' but provided type is 'int'"),
        ("Thing{}", "undeclared reference to 'Thing'"),
    ],
)
def test_literals_of_what_is_not_there_do_not_compile(source: str, complaint: str) -> None:
    with pytest.raises(cel.CelError, match=complaint):
        cel.compile(source, _ENV)


def test_a_literal_must_be_named_after_its_place() -> None:
    found = misnamed(_value("Object{spec: Object.spec{template: [Object.spec.wrong{}]}}"))
    expected = '"Object.spec.template", which matches field name path from root Object type'
    assert found == [f'unexpected type name "Object.spec.wrong", expected {expected}']


def test_other_expressions_have_no_object_literals() -> None:
    with pytest.raises(cel.CelError, match="undeclared reference to 'Object'"):
        cel.compile("Object{}", cel.KUBERNETES)
