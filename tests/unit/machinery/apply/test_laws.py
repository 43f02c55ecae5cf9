"""The laws of server-side apply, on random objects."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.machinery.apply.kinds import KIND, Live

from steersman.machinery.apply import fieldset
from steersman.machinery.apply.compare import compare
from steersman.machinery.apply.managers import capped
from steersman.machinery.apply.merging import merge
from steersman.machinery.apply.removing import remove
from steersman.machinery.apply.sets import of_config
from steersman.machinery.apply.types import Type
from steersman.machinery.apply.updater import Conflicts
from steersman.machinery.meta import Obj

TEXT = st.sampled_from(["", "a", "b", "c"])
NUMBER = st.integers(0, 2)
LABELS = st.dictionaries(TEXT, TEXT, max_size=3)
UNIQUE = st.lists(TEXT, unique=True, max_size=3)
ITEM = st.fixed_dictionaries(
    {"name": TEXT},
    optional={"image": TEXT, "value": NUMBER, "args": st.lists(TEXT, max_size=2), "tags": UNIQUE, "labels": LABELS},
)
PORT = st.fixed_dictionaries({"port": NUMBER}, optional={"protocol": st.sampled_from(["TCP", "UDP"]), "name": TEXT})
FREE = st.recursive(
    st.one_of(NUMBER, TEXT, st.booleans()), lambda inner: st.dictionaries(TEXT, inner, max_size=2) | st.lists(inner, max_size=2)
)


def _port_key(port: Obj) -> tuple[int, str]:
    return port["port"], port.get("protocol", "TCP")


OBJECTS = st.fixed_dictionaries(
    {},
    optional={
        "text": TEXT,
        "number": NUMBER,
        "inner": st.fixed_dictionaries({}, optional={"a": TEXT, "b": NUMBER}),
        "value": st.fixed_dictionaries({}, optional={"a": TEXT}),
        "labels": LABELS,
        "maps": st.dictionaries(TEXT, LABELS, max_size=2),
        "nodes": LABELS,
        "set": UNIQUE,
        "args": st.lists(TEXT, max_size=2),
        "items": st.lists(ITEM, unique_by=lambda item: item["name"], max_size=3),
        "ports": st.lists(PORT, unique_by=_port_key, max_size=3),
        "free": FREE,
    },
)
ALWAYS = ("f:value",)
"""A struct that is there even when it is not written."""
NAMES = st.sampled_from(["one", "two", "three"])
WRITES = st.lists(st.tuples(st.sampled_from(["apply", "force", "update"]), NAMES, OBJECTS), max_size=6)


def played(writes: list[tuple[str, str, Obj]]) -> Live:
    live = Live()
    for kind, name, obj in writes:
        if kind == "update":
            live.update(name, obj)
            continue
        try:
            live.apply(name, obj, force=kind == "force")
        except Conflicts:
            assert kind == "apply"
    return live


def has(value: Any, path: fieldset.Path, kind: Type) -> bool:
    """Whether there is something at a path, or an atomic value around it."""
    if not path or kind.leaf:
        return True
    if isinstance(value, dict):
        key = path[0][2:]
        return key in value and has(value[key], path[1:], kind.of(key))
    if isinstance(value, list) and kind.kind == "list":
        return any(kind.item(item) == path[0] and has(item, path[1:], kind.items) for item in value)
    return False


@given(OBJECTS)
def test_merging_an_object_with_itself_is_the_object(obj: Obj) -> None:
    assert merge(obj, obj, KIND) == obj
    assert compare(obj, copy.deepcopy(obj), KIND).nothing


@given(OBJECTS, OBJECTS)
def test_what_was_applied_is_there_after_merging_and_merging_again_changes_nothing(live: Obj, config: Obj) -> None:
    merged = merge(live, config, KIND)
    assert compare(merged, merge(merged, config, KIND), KIND).nothing
    for path in fieldset.paths(of_config(config, KIND)):
        assert has(merged, path, KIND)
    assert not compare(live, merged, KIND).removed or "free" in config


@given(OBJECTS, OBJECTS)
def test_a_comparison_says_all_that_differs(old: Obj, new: Obj) -> None:
    found, back = compare(old, new, KIND), compare(new, old, KIND)
    assert set(fieldset.paths(found.added)) == set(fieldset.paths(back.removed))
    assert set(fieldset.paths(found.modified)) == set(fieldset.paths(back.modified))
    assert fieldset.intersection(found.added, found.removed) == {}


@given(OBJECTS)
def test_nothing_is_left_of_an_object_without_what_it_has(obj: Obj) -> None:
    left = remove(obj, compare({}, obj, KIND).added, KIND)
    assert compare({}, {key: value for key, value in left.items() if value not in ({}, [])}, KIND).nothing or "value" in left


@given(WRITES, NAMES, OBJECTS)
def test_applying_twice_is_applying_once(writes: list[tuple[str, str, Obj]], name: str, config: Obj) -> None:
    live = played(writes)
    live.apply(name, config, force=True)
    before = (copy.deepcopy(live.obj), live.managers)
    again = live.apply(name, config)
    assert again.obj is None and (live.obj, live.managers) == before


@given(WRITES, NAMES, OBJECTS)
def test_force_is_never_refused_and_leaves_no_field_that_was_changed_to_others(
    writes: list[tuple[str, str, Obj]], name: str, config: Obj
) -> None:
    live = played(writes)
    before = live.obj
    live.apply(name, config, force=True)
    touched = compare(before, live.obj, KIND).touched
    for who, managed in live.managers.items():
        if who.name != name or who.operation != "Apply":
            assert fieldset.intersection(managed.fields, touched) == {}


@given(WRITES)
def test_what_is_owned_is_there(writes: list[tuple[str, str, Obj]]) -> None:
    live = played(writes)
    for managed in live.managers.values():
        assert managed.fields
        for path in fieldset.paths(managed.fields):
            assert path == ALWAYS or has(live.obj, path, KIND)
    assert len({(who.name, who.subresource) for who in live.managers if who.operation == "Apply"}) == sum(
        who.operation == "Apply" for who in live.managers
    )
    assert capped(live.managers) is live.managers


@given(WRITES, NAMES)
def test_giving_everything_up_takes_only_what_nobody_else_owns(writes: list[tuple[str, str, Obj]], name: str) -> None:
    live = played(writes)
    others = {who: managed for who, managed in live.managers.items() if (who.name, who.operation) != (name, "Apply")}
    before = live.obj
    live.apply(name, {})
    gone = compare(before, live.obj, KIND)
    assert not gone.added and not gone.modified
    assert (name, "Apply") not in {(who.name, who.operation) for who in live.managers}
    for managed in others.values():
        for path in fieldset.paths(managed.fields):
            # Only with an item or key that was given up as a whole does something of others go.
            assert (
                path == ALWAYS
                or has(live.obj, path, KIND)
                or any(
                    fieldset.at(gone.removed, *path[:length]) == {} or "." in (fieldset.at(gone.removed, *path[:length]) or ())
                    for length in range(1, len(path) + 1)
                )
            )


@given(OBJECTS, OBJECTS)
def test_appliers_of_different_fields_do_not_depend_on_order(left: Obj, right: Obj) -> None:
    right = {key: value for key, value in right.items() if key not in left}
    one, two = Live(), Live()
    one.apply("left", left)
    one.apply("right", right)
    two.apply("right", right)
    two.apply("left", left)
    assert one.obj == two.obj
    assert {who: managed.fields for who, managed in one.managers.items()} == {
        who: managed.fields for who, managed in two.managers.items()
    }


@given(WRITES, NAMES, OBJECTS)
def test_a_conflict_leaves_everything_as_it_was(writes: list[tuple[str, str, Obj]], name: str, config: Obj) -> None:
    live = played(writes)
    before = (copy.deepcopy(live.obj), dict(live.managers))
    try:
        live.apply(name, config)
    except Conflicts as refused:
        assert (live.obj, live.managers) == before
        for who, path in refused.found:
            assert fieldset.at(live.managers[who].fields, *path) is not None
