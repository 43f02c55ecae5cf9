"""The built-in kinds as discovery and the registry need them."""

from __future__ import annotations

import pytest

from steersman.api.event_conversion import from_core, to_core
from steersman.api.groups import BODIES, BUILTIN
from steersman.api.kinds import KindSpec
from steersman.machinery.gvk import GroupVersionKind


def spec_of(kind: str, group: str = "") -> KindSpec:
    return next(spec for spec in BUILTIN if spec.kind == kind and spec.resource.group == group)


def test_no_resource_is_listed_twice() -> None:
    places = [(spec.resource.group, spec.resource.version, spec.resource.plural) for spec in BUILTIN]
    assert len(places) == len(set(places))


def test_bodies_of_subresources_can_be_decoded() -> None:
    named = {
        GroupVersionKind(sub.group or spec.resource.group, sub.version or "v1", sub.kind)
        for spec in BUILTIN
        for sub in spec.subresources
        if sub.kind and not sub.kind.endswith("Options")
    }
    assert named <= BODIES.keys()


@pytest.mark.parametrize(
    ("kind", "label", "obj", "value"),
    [
        ("Pod", "spec.nodeName", {"spec": {"nodeName": "n"}}, "n"),
        ("Pod", "spec.host", {"spec": {"nodeName": "n"}}, "n"),
        ("Pod", "spec.hostNetwork", {"spec": {}}, "false"),
        ("Pod", "status.phase", {}, ""),
        ("Node", "spec.unschedulable", {"spec": {"unschedulable": True}}, "true"),
        ("ReplicationController", "status.replicas", {}, "0"),
        ("Event", "involvedObject.name", {"involvedObject": {"name": "x"}}, "x"),
        ("Event", "source", {"reportingComponent": "kubelet"}, "kubelet"),
        ("Secret", "type", {"type": "Opaque"}, "Opaque"),
    ],
)
def test_field_selectors_read_objects(kind: str, label: str, obj: dict[str, object], value: str) -> None:
    assert spec_of(kind).selectable[label](obj) == value


def test_events_are_the_same_in_both_groups() -> None:
    core = {
        "kind": "Event", "apiVersion": "v1", "metadata": {"name": "e"}, "involvedObject": {"name": "p"}, "message": "m",
        "source": {"component": "c"}, "firstTimestamp": "t", "count": 2, "reportingComponent": "r", "type": "Normal",
    }  # fmt: skip
    new = from_core(core)
    assert new == {
        "kind": "Event", "apiVersion": "events.k8s.io/v1", "metadata": {"name": "e"}, "regarding": {"name": "p"}, "note": "m",
        "deprecatedSource": {"component": "c"}, "deprecatedFirstTimestamp": "t", "deprecatedCount": 2, "reportingController": "r",
        "type": "Normal",
    }  # fmt: skip
    assert to_core(new) == core
