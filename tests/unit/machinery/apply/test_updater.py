"""Who owns what after updates and applies, and what becomes of fields that are given up."""

from __future__ import annotations

import pytest
from tests.unit.machinery.apply.kinds import KIND, TEXT, Live, Same, listing, mapping, struct

from steersman.machinery.apply import conflicts, fieldset, managers
from steersman.machinery.apply.managers import APPLY, UPDATE, Managed, ManagerId, manager_id
from steersman.machinery.apply.types import ANY, Type
from steersman.machinery.apply.updater import Conflicts, Fault, Writer, apply, folded, update
from steersman.machinery.meta import Obj


def test_whoever_changes_a_field_owns_it_alone() -> None:
    live = Live()
    live.update("one", {"text": "a", "labels": {"x": "1"}})
    live.update("two", {"text": "b", "labels": {"x": "1", "y": "2"}})
    assert live.fields("one") == {"f:labels": {".": {}, "f:x": {}}}
    assert live.fields("two") == {"f:text": {}, "f:labels": {"f:y": {}}}
    live.update("three", {"text": "b"})
    assert live.fields("one") == {} and live.fields("two") == {"f:text": {}} and live.fields("three") == {}


def test_a_write_that_changes_nothing_leaves_managers_and_times() -> None:
    live = Live()
    live.update("one", {"text": "a"})
    before = live.managers
    live.update("two", {"text": "a"})
    live.update("one", {"text": "a"})
    assert live.managers is before


def test_time_moves_when_something_was_changed() -> None:
    live = Live()
    live.update("one", {"text": "a", "number": 1})
    live.update("one", {"text": "b", "number": 1})
    assert [managed.time for managed in live.managers.values()] == ["2026-01-01T00:00:02Z"]
    live.update("one", {"text": "b"})
    assert [managed.time for managed in live.managers.values()] == ["2026-01-01T00:00:02Z"]


def test_applying_the_same_twice_changes_nothing() -> None:
    live = Live()
    config = {"text": "a", "items": [{"name": "a", "tags": ["x"]}], "ports": [{"port": 80}], "free": {"a": {"b": 1}}}
    assert live.apply("one", config).obj == config
    before = live.managers
    found = live.apply("one", config)
    assert found.obj is None and live.managers == before


def test_what_is_no_longer_applied_goes() -> None:
    live = Live()
    live.apply("one", {"text": "a", "labels": {"a": "1", "b": "2"}, "items": [{"name": "a"}, {"name": "b"}], "set": ["x", "y"]})
    live.apply("one", {"labels": {"a": "1"}, "items": [{"name": "a"}], "set": ["y"]})
    assert live.obj == {"labels": {"a": "1"}, "items": [{"name": "a"}], "set": ["y"]}


@pytest.mark.parametrize("other", ["apply", "update"])
def test_what_another_owns_as_well_stays(other: str) -> None:
    live = Live()
    if other == "update":
        live.update("two", {"text": "a", "labels": {"a": "1"}})
        live.apply("one", {"text": "a", "labels": {"a": "1", "b": "2"}})
    else:
        live.apply("one", {"text": "a", "labels": {"a": "1", "b": "2"}})
        live.apply("two", {"text": "a", "labels": {"a": "1"}})
    live.apply("one", {"number": 1})
    assert live.obj == {"text": "a", "labels": {"a": "1"}, "number": 1}


def test_an_item_goes_with_all_it_has_unless_another_owns_the_item_itself() -> None:
    live = Live()
    live.apply("one", {"items": [{"name": "a"}, {"name": "b", "tags": ["c"]}]})
    live.apply("two", {"items": [{"name": "a", "tags": ["b"]}]})
    live.update("three", {"items": [{"name": "a", "tags": ["b"]}, {"name": "b", "tags": ["c", "d"]}]})
    live.apply("one", {"items": [{"name": "a"}]})
    assert live.obj == {"items": [{"name": "a", "tags": ["b"]}]}
    assert live.fields("three") == {}


def test_an_item_that_another_applies_loses_only_what_was_given_up() -> None:
    live = Live()
    live.apply("one", {"items": [{"name": "a"}, {"name": "b", "tags": ["c"]}]})
    live.apply("two", {"items": [{"name": "b", "tags": ["d"]}]})
    live.update("three", {"items": [{"name": "a"}, {"name": "b", "tags": ["c", "d", "e"]}]})
    live.apply("one", {"items": [{"name": "a"}]})
    assert live.obj == {"items": [{"name": "a"}, {"name": "b", "tags": ["d", "e"]}]}


def test_a_struct_goes_with_its_last_owned_field_and_stays_while_somebody_owns_one() -> None:
    live = Live()
    live.apply("one", {"inner": {"a": "x"}})
    live.update("two", {"inner": {"a": "x", "b": 1}})
    live.apply("one", {"text": "a"})
    assert live.obj == {"inner": {"b": 1}, "text": "a"}
    live.apply("three", {"value": {"a": "x"}})
    live.apply("three", {"number": 1})
    assert live.obj == {"inner": {"b": 1}, "text": "a", "number": 1}


def test_an_owned_field_in_another_value_is_a_conflict_and_changes_nothing() -> None:
    live = Live()
    live.update("kubectl", {"number": 1, "text": "a"})
    live.apply("one", {"labels": {"x": "1"}})
    before = (live.obj, live.managers)
    with pytest.raises(Conflicts) as raised:
        live.apply("two", {"number": 2})
    error = conflicts.error_of(raised.value)
    assert error.message == 'Apply failed with 1 conflict: conflict with "kubectl" using v1: .number'
    assert error.details == {
        "causes": [{"reason": "FieldManagerConflict", "message": 'conflict with "kubectl" using v1', "field": ".number"}]
    }
    with pytest.raises(Conflicts) as raised:
        live.apply("two", {"number": 2, "text": "b", "labels": {"x": "2"}})
    assert conflicts.error_of(raised.value).message == (
        "Apply failed with 3 conflicts: "
        'conflicts with "kubectl" using v1:\n- .number\n- .text\nconflicts with "one":\n- .labels.x'
    )
    assert (live.obj, live.managers) == before


def test_a_conflict_names_the_subresource_it_was_written_by() -> None:
    found = Conflicts([(manager_id("kubelet", UPDATE, "v1", "status"), ("f:status",))])
    assert conflicts.error_of(found).message == (
        'Apply failed with 1 conflict: conflict with "kubelet" with subresource "status" using v1: .status'
    )


def test_force_takes_what_conflicts_and_leaves_the_rest() -> None:
    live = Live()
    live.update("one", {"number": 1, "text": "a"})
    live.apply("two", {"number": 2}, force=True)
    assert live.obj == {"number": 2, "text": "a"}
    assert live.fields("one") == {"f:text": {}} and live.fields("two") == {"f:number": {}}


def test_the_same_value_is_shared_without_conflict() -> None:
    live = Live()
    live.update("one", {"number": 1})
    assert live.apply("two", {"number": 1}).obj is None
    assert live.fields("one") == live.fields("two") == {"f:number": {}}
    times = {who.name: managed.time for who, managed in live.managers.items()}
    assert times == {"one": "2026-01-01T00:00:01Z", "two": ""}


def test_an_applied_item_in_a_keyed_list_needs_no_default_key() -> None:
    live = Live()
    live.update("one", {"ports": [{"port": 80, "protocol": "TCP", "name": "x"}, {"port": 80, "protocol": "UDP"}]})
    live.apply("two", {"ports": [{"port": 80}]})
    assert len(live.obj["ports"]) == 2
    assert live.fields("two") == {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}}}}


def test_what_does_not_fit_is_refused_before_anything_is_merged() -> None:
    config: Obj = {"kind": "K", "metadata": {"namespace": "n", "name": "x"}}
    kind = struct(kind=TEXT, metadata=mapping(TEXT))
    with pytest.raises(Fault) as raised:
        Live(kind).apply("one", {**config, "foo": 1})
    assert str(raised.value) == "failed to create typed patch object (n/x; v1, Kind=K): .foo: field not declared in schema"


def test_what_an_endpoint_resets_is_neither_owned_nor_in_conflict() -> None:
    live = Live()
    live.update("one", {"text": "a", "number": 1})

    def reset(fields: fieldset.FieldSet) -> fieldset.FieldSet:
        return fieldset.recursive_difference(fields, fieldset.of(("f:text",)))

    writer = Writer(manager_id("two", APPLY, "v1"), "v1", reset, "now")
    found = apply(live.obj, {"text": "b"}, live.managers, writer, live.versions)
    assert found.managers == live.managers
    writer = Writer(manager_id("two", UPDATE, "v1"), "v1", reset, "now")
    assert update(live.obj, {"text": "b", "number": 1}, live.managers, writer, live.versions) is live.managers


def test_the_eleventh_updater_makes_the_oldest_two_one() -> None:
    live = Live()
    for number in range(10):
        live.update(f"m{number}", {**live.obj, "labels": {**live.obj.get("labels", {}), str(number): "x"}})
    assert managers.capped(live.managers) is live.managers
    live.update("m10", {**live.obj, "number": 1})
    capped = managers.capped(live.managers)
    names = [who.name for who in capped]
    assert len(names) == 10 and "m0" not in names and "m1" not in names
    bucket = capped[ManagerId("ancient-changes", UPDATE, "v1", "")]
    assert bucket == Managed({"f:labels": {".": {}, "f:0": {}, "f:1": {}}}, "v1", "2026-01-01T00:00:02Z")
    live.managers = capped
    live.update("m11", {**live.obj, "flag": True})
    again = managers.capped(live.managers)
    assert len(again) == 10 and again[ManagerId("ancient-changes", UPDATE, "v1", "")].time == "2026-01-01T00:00:03Z"


def test_updaters_of_versions_that_differ_are_not_made_one() -> None:
    crowd = {manager_id(f"m{n}", UPDATE, f"v{n}"): Managed({"f:a": {}}, f"v{n}", str(n)) for n in range(12)}
    assert managers.capped(crowd) == crowd


class Renamed(Same):
    """v2 calls `text` what v1 calls `label`."""

    def type_of(self, api_version: str) -> Type | None:
        return {"v1": struct(label=TEXT, number=TEXT), "v2": struct(text=TEXT, number=TEXT)}.get(api_version)

    def convert(self, obj: Obj, api_version: str) -> Obj:
        old, new = ("text", "label") if api_version == "v1" else ("label", "text")
        return {new if key == old else key: value for key, value in obj.items()}


def renamed_writer(name: str, operation: str, version: str) -> Writer:
    return Writer(manager_id(name, operation, version), version, lambda fields: fields, "now")


def test_each_manager_is_asked_in_its_own_version() -> None:
    versions = Renamed()
    owners = update({}, {"label": "a"}, {}, renamed_writer("one", UPDATE, "v1"), versions)
    with pytest.raises(Conflicts) as raised:
        apply({"text": "a"}, {"text": "b"}, owners, renamed_writer("two", APPLY, "v2"), versions)
    assert raised.value.found == [(manager_id("one", UPDATE, "v1"), ("f:label",))]
    owners = update({"text": "a"}, {"text": "b"}, owners, renamed_writer("two", UPDATE, "v2"), versions)
    assert [who.name for who in owners] == ["two"]


def test_what_a_manager_of_another_version_owns_is_not_pruned() -> None:
    versions = Renamed()
    first = apply({}, {"label": "a", "number": "1"}, {}, renamed_writer("one", APPLY, "v1"), versions)
    assert first.obj is not None
    second = apply({"text": "a", "number": "1"}, {"text": "a"}, first.managers, renamed_writer("two", APPLY, "v2"), versions)
    third = apply(first.obj, {}, second.managers, renamed_writer("one", APPLY, "v1"), versions)
    assert third.obj == {"label": "a"}


def test_who_owned_something_in_what_is_atomic_now_owns_it_as_a_whole() -> None:
    live = Live()
    live.apply("one", {"items": [{"name": "a"}], "labels": {"a": "1"}, "free": {"a": 1}})
    now = Same(struct(items=listing(TEXT, atomic=True), labels=mapping(TEXT), free=ANY))
    fields = [managed.fields for managed in folded(live.managers, now).values()]
    assert fields == [{"f:items": {}, "f:labels": {"f:a": {}}, "f:free": {"f:a": {}}}]
    assert folded(live.managers, live.versions) == live.managers


def test_managers_of_versions_that_are_gone_go() -> None:
    owners = {manager_id("old", UPDATE, "v0"): Managed({"f:text": {}}, "v0", "")}
    writer = Writer(manager_id("one", UPDATE, "v1"), "v1", lambda fields: fields, "now")
    assert list(update({}, {"number": 1}, owners, writer, Same(KIND, gone=("v0",)))) == [writer.who]


def test_entries_are_read_back_as_they_were_written() -> None:
    live = Live()
    live.update("b", {"text": "a", "set": ["x"]})
    live.apply("a", {"number": 1})
    live.managers[manager_id("c", UPDATE, "v1", "status")] = Managed({"f:flag": {}}, "v1", "2026-01-01T00:00:09Z")
    entries = managers.encode(live.managers)
    assert [(entry["manager"], entry["operation"]) for entry in entries] == [("a", "Apply"), ("b", "Update"), ("c", "Update")]
    assert list(entries[2]) == ["manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1", "subresource"]
    assert managers.decode(entries) == managers.stored(entries) == live.managers


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"operation": "Other"}, "operation must be `Apply` or `Update`"),
        ({"operation": "Apply"}, "apiVersion must not be empty"),
        ({"operation": "Apply", "apiVersion": "v1"}, "missing fieldsType in managed fields entry 0"),
        (
            {"operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV2"},
            'invalid fieldsType "FieldsV2" in managed fields entry 0',
        ),
    ],
)
def test_malformed_entries_are_told(entry: Obj, text: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        managers.decode([entry])
    assert str(raised.value) == text
