"""Merging, comparing, removing and sets, by kinds of fields."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.machinery.apply.kinds import KIND

from steersman.machinery.apply import checking, fieldset
from steersman.machinery.apply.compare import compare
from steersman.machinery.apply.merging import merge
from steersman.machinery.apply.removing import remove
from steersman.machinery.apply.sets import of_config
from steersman.machinery.apply.types import Type
from steersman.machinery.meta import Obj

ITEMS = ("f:items",)
A, B = ("f:items", 'k:{"name":"a"}'), ("f:items", 'k:{"name":"b"}')


def named(names: str) -> Obj:
    return {"items": [{"name": name} for name in names.split()]}


@pytest.mark.parametrize(
    ("live", "applied", "merged"),
    [
        ("a b c", "a x", "a b c x"),
        ("a b c", "c x a", "b c x a"),
        ("b a", "x a", "b x a"),
        ("a b", "b a", "b a"),
        ("", "a b", "a b"),
        ("a b", "", "a b"),
        ("a b c d", "d b", "a c d b"),
        ("a b c", "a b c", "a b c"),
    ],
)
def test_applied_items_keep_their_order_and_others_stay_before_what_followed_them(live: str, applied: str, merged: str) -> None:
    assert merge(named(live), named(applied), KIND) == named(merged)
    sets = merge({"set": live.split()}, {"set": applied.split()}, KIND)
    assert sets == {"set": merged.split()}


@pytest.mark.parametrize(
    ("live", "config", "merged"),
    [
        ({"text": "a", "number": 1}, {"text": "b"}, {"text": "b", "number": 1}),
        ({"labels": {"a": "1"}}, {"labels": {"b": "2"}}, {"labels": {"a": "1", "b": "2"}}),
        ({"nodes": {"a": "1"}}, {"nodes": {"b": "2"}}, {"nodes": {"b": "2"}}),
        ({"selector": {"match": {"a": "1"}}}, {"selector": {"match": {"b": "2"}}}, {"selector": {"match": {"b": "2"}}}),
        ({"args": ["a", "b"]}, {"args": ["c"]}, {"args": ["c"]}),
        ({"free": {"a": {"b": 1}}}, {"free": {"a": {"c": 2}}}, {"free": {"a": {"b": 1, "c": 2}}}),
        ({"free": {"a": [1]}}, {"free": {"a": [2]}}, {"free": {"a": [2]}}),
        ({"free": {"a": [1]}}, {"free": {"a": {"b": 1}}}, {"free": {"a": {"b": 1}}}),
        ({"raw": {"a": 1}}, {"raw": {"b": 1}}, {"raw": {"b": 1}}),
        ({"text": "a"}, {"text": None}, {"text": None}),
        ({"labels": {"a": "1"}}, {"labels": None}, {"labels": {"a": "1"}}),
        ({"items": [{"name": "a"}]}, {"items": None}, {"items": [{"name": "a"}]}),
        ({"labels": {}}, {"labels": None}, {"labels": None}),
        ({"labels": {"a": "1"}}, {"labels": {}}, {"labels": {"a": "1"}}),
        (
            {"items": [{"name": "a", "image": "x", "value": 1}]},
            {"items": [{"name": "a", "image": "y"}]},
            {"items": [{"name": "a", "image": "y", "value": 1}]},
        ),
        (
            {"ports": [{"port": 80, "protocol": "TCP", "name": "x"}, {"port": 80, "protocol": "UDP"}]},
            {"ports": [{"port": 80, "name": "y"}]},
            {"ports": [{"port": 80, "protocol": "TCP", "name": "y"}, {"port": 80, "protocol": "UDP"}]},
        ),
        (
            {"items": [{"name": "a", "value": 1}, {"name": "a", "value": 2}, {"name": "b"}]},
            {"items": [{"name": "a", "value": 3}]},
            {"items": [{"name": "a", "value": 3}, {"name": "b"}]},
        ),
        (
            {"items": [{"name": "a", "value": 1}, {"name": "a", "value": 2}, {"name": "b"}]},
            {"items": [{"name": "b", "value": 4}]},
            {"items": [{"name": "a", "value": 1}, {"name": "a", "value": 2}, {"name": "b", "value": 4}]},
        ),
    ],
)
def test_each_kind_of_field_merges_its_own_way(live: Obj, config: Obj, merged: Obj) -> None:
    before = repr((live, config))
    assert merge(live, config, KIND) == merged
    assert repr((live, config)) == before


@pytest.mark.parametrize(
    ("config", "owned"),
    [
        ({"text": "a", "number": None}, [("f:number",), ("f:text",)]),
        ({"inner": {"a": "x"}}, [("f:inner", "f:a")]),
        ({"inner": {}}, [("f:inner",)]),
        ({"inner": {"deep": {"c": "x"}}}, [("f:inner", "f:deep", "f:c")]),
        ({"labels": {"a": "1"}}, [("f:labels", "f:a")]),
        ({"maps": {"a": {"b": "1"}}}, [("f:maps", "f:a"), ("f:maps", "f:a", "f:b")]),
        ({"labels": {}}, [("f:labels",)]),
        ({"nodes": {"a": "1"}, "args": ["a"], "selector": {}}, [("f:args",), ("f:nodes",), ("f:selector",)]),
        ({"set": ["b", "a"]}, [("f:set", 'v:"a"'), ("f:set", 'v:"b"')]),
        ({"set": [], "items": []}, []),
        ({"items": [{"name": "a", "image": "x"}]}, [A, (*A, "f:image"), (*A, "f:name")]),
        ({"free": {"a": {"b": 1}}, "raw": {"a": 1}}, [("f:free", "f:a"), ("f:free", "f:a", "f:b"), ("f:raw",)]),
        (
            {"ports": [{"port": 80}]},
            [("f:ports", 'k:{"port":80,"protocol":"TCP"}'), ("f:ports", 'k:{"port":80,"protocol":"TCP"}', "f:port")],
        ),
    ],
)
def test_what_is_applied_is_owned_but_not_the_containers_it_is_in(config: Obj, owned: list[fieldset.Path]) -> None:
    assert list(fieldset.paths(of_config(config, KIND))) == owned


@pytest.mark.parametrize(
    ("old", "new", "added", "modified", "removed"),
    [
        ({}, {"text": "a"}, [("f:text",)], [], []),
        ({"text": "a"}, {"text": "b"}, [], [("f:text",)], []),
        ({"text": "a"}, {}, [], [], [("f:text",)]),
        ({}, {"labels": {"a": "1"}}, [("f:labels",), ("f:labels", "f:a")], [], []),
        ({"labels": {"b": "1"}}, {"labels": {"a": "1"}}, [("f:labels", "f:a")], [], [("f:labels", "f:b")]),
        ({}, {"value": {"a": "1"}}, [("f:value", "f:a")], [], []),
        ({"value": {"a": "1"}}, {}, [], [], [("f:value", "f:a")]),
        ({}, {"inner": {"a": "1"}}, [("f:inner",), ("f:inner", "f:a")], [], []),
        ({"nodes": {"a": "1"}}, {"nodes": {"a": "2"}}, [], [("f:nodes",)], []),
        ({"args": ["a"]}, {"args": ["a", "b"]}, [], [("f:args",)], []),
        ({"set": ["a"]}, {"set": ["b"]}, [("f:set", 'v:"b"')], [], [("f:set", 'v:"a"')]),
        ({"set": ["a", "b"]}, {"set": ["b", "a"]}, [], [], []),
        ({"set": ["a", "b"]}, {"set": ["a", "a", "b"]}, [], [("f:set", 'v:"a"')], []),
        ({"items": [{"name": "a", "image": "x"}]}, {"items": [{"name": "a", "image": "y"}]}, [], [(*A, "f:image")], []),
        ({"items": [{"name": "a"}]}, {"items": [{"name": "b"}]}, [B, (*B, "f:name")], [], [A, (*A, "f:name")]),
        (
            {"items": [{"name": "a", "value": 1}]},
            {"items": [{"name": "a", "value": 1}, {"name": "a", "value": 2}]},
            [],
            [A],
            [(*A, "f:name"), (*A, "f:value")],
        ),
        ({"items": None}, {"items": [{"name": "a"}]}, [A, (*A, "f:name")], [], []),
        ({"free": {"a": 1}}, {"free": {"a": True}}, [], [("f:free", "f:a")], []),
        ({"free": {"a": [1]}}, {"free": {"a": {"b": 1}}}, [("f:free", "f:a", "f:b")], [("f:free", "f:a")], []),
        ({"free": {"a": 1}}, {"free": {"b": 1}}, [("f:free", "f:b")], [], [("f:free", "f:a")]),
        ({"labels": {"a": "1"}, "set": ["a"]}, {"labels": {"a": "1"}, "set": ["a"]}, [], [], []),
        ({"free": {}, "raw": {}}, {"free": {}, "raw": {}}, [], [], []),
    ],
)
def test_a_write_adds_modifies_and_removes(
    old: Obj, new: Obj, added: list[fieldset.Path], modified: list[fieldset.Path], removed: list[fieldset.Path]
) -> None:
    found = compare(old, new, KIND)
    assert [list(fieldset.paths(fields)) for fields in found] == [added, modified, removed]
    assert found.nothing == (not (added or modified or removed))


@pytest.mark.parametrize(
    ("obj", "gone", "left"),
    [
        ({"text": "a", "number": 1}, ("f:text",), {"number": 1}),
        ({"labels": {"a": "1"}}, ("f:labels", "f:a"), {"labels": {}}),
        ({"set": ["a", "b"]}, ("f:set", 'v:"a"'), {"set": ["b"]}),
        ({"items": [{"name": "a"}, {"name": "b"}]}, B, {"items": [{"name": "a"}]}),
        ({"items": [{"name": "a", "image": "x"}]}, (*A, "f:image"), {"items": [{"name": "a"}]}),
        ({"nodes": {"a": "1"}}, ("f:nodes", "f:a"), {"nodes": {"a": "1"}}),
        ({"text": "a"}, ("f:number",), {"text": "a"}),
    ],
)
def test_removing_leaves_emptied_containers(obj: Obj, gone: fieldset.Path, left: Obj) -> None:
    assert remove(obj, fieldset.of(gone), KIND) == left


NO_KEY = (
    '.items: element 0: associative list with keys has an element that omits all key fields ["name"] '
    "(and doesn't have default values for any key fields)"
)


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        ({"foo": 1}, ".foo: field not declared in schema"),
        ({"inner": {"foo": 1}}, ".inner.foo: field not declared in schema"),
        ({"selector": {"foo": 1}}, ".selector.foo: field not declared in schema"),
        ({"items": [{"name": "a", "foo": 1}]}, '.items[name="a"].foo: field not declared in schema'),
        ({"number": "x"}, ".number: expected numeric (int or float), got string"),
        ({"number": True}, ".number: expected numeric (int or float), got bool"),
        ({"text": 80}, ".text: expected string, got &value.valueUnstructured{Value:80}"),
        ({"labels": {"a": 80}}, ".labels.a: expected string, got &value.valueUnstructured{Value:80}"),
        ({"flag": "yes"}, ".flag: expected boolean, got &{yes}"),
        ({"inner": 5}, ".inner: expected map, got &{5}"),
        ({"items": {"a": 1}}, ".items: expected list, got &{map[a:1]}"),
        ({"amount": {}}, ".amount: expected any scalar, got &{map[]}"),
        ({"items": [{"image": "x"}]}, NO_KEY),
        ({"items": [None]}, ".items: element 0: associative list with keys may not have a null element"),
        ({"items": [{"name": "a"}, {"name": "a"}]}, '.items: duplicate entries for key [name="a"]'),
        ({"set": ["a", "a"]}, '.set: duplicate entries for key [="a"]'),
        ({"foo": 1, "text": 1}, "errors:\n  .foo: field not declared in schema\n  .text: expected string, got "
         "&value.valueUnstructured{Value:1}"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_schema_is_told_with_its_path(config: Obj, fault: str) -> None:
    assert checking.text(checking.faults(config, KIND)) == fault


@pytest.mark.parametrize("config", [{"free": {"x": [1, {"y": None}]}, "raw": [1]}, {"amount": "1", "number": 1.5, "text": None}])
def test_what_fits_has_no_faults(config: Obj) -> None:
    assert checking.faults(config, KIND) == []


def test_an_object_without_a_schema_has_granular_maps_and_atomic_lists() -> None:
    free: Any = Type("any")
    assert list(fieldset.paths(of_config({"a": {"b": [1, 2]}, "c": 1}, free))) == [("f:a",), ("f:a", "f:b"), ("f:c",)]
