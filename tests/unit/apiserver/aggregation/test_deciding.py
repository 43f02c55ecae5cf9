"""Which APIServices a server makes by itself, and what is said of those that lead elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from steersman.apiserver.aggregation import automatic
from steersman.apiserver.aggregation.availability import PASSED, Condition, unreachable, written
from steersman.apiserver.aggregation.remote import identity
from steersman.apiserver.contracts import UserInfo
from steersman.machinery.meta import Obj, name_of

REFERENCE: Obj = {"name": "metrics", "namespace": "ops", "port": 443}
SERVICE: Obj = {"metadata": {"name": "metrics"}, "spec": {"clusterIP": "10.96.0.9", "ports": [{"name": "https", "port": 443}]}}


def _slice(*ready: bool | None, port: str = "https") -> Obj:
    return {
        "ports": [{"name": port, "port": 8443}],
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {} if one is None else {"ready": one}} for one in ready],
    }


@pytest.mark.parametrize(
    ("service", "slices", "reason", "message"),
    [
        (None, [], "ServiceNotFound", 'service/metrics in "ops" is not present'),
        ({"spec": {"ports": [{"port": 80}]}}, [], "ServicePortError", 'service/metrics in "ops" is not listening on port 443'),
        (SERVICE, [], "EndpointsNotFound", 'cannot find endpointslices for service/metrics in "ops"'),
        (SERVICE, [_slice(False)], "MissingEndpoints",
         'endpoints for service/metrics in "ops" have no addresses with port name "https"'),
        (SERVICE, [_slice(True, port="http")], "MissingEndpoints",
         'endpoints for service/metrics in "ops" have no addresses with port name "https"'),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(service: Obj | None, slices: list[Obj], reason: str, message: str) -> None:
    assert unreachable(REFERENCE, service, slices) == Condition("False", reason, message)


@pytest.mark.parametrize(
    ("service", "slices"),
    [
        (SERVICE, [_slice(False), _slice(True)]),
        (SERVICE, [_slice(None)]),
        ({"spec": {"type": "ExternalName", "externalName": "elsewhere"}}, []),
    ],
)
def test_a_service_that_leads_somewhere_can_be_asked(service: Obj, slices: list[Obj]) -> None:
    assert unreachable(REFERENCE, service, slices) is None


def test_a_condition_keeps_its_time_until_its_status_changes() -> None:
    first = written({}, PASSED, "t1")
    assert first is not None and first["lastTransitionTime"] == "t1"
    obj = {"status": {"conditions": [first]}}
    assert written(obj, PASSED, "t2") is None
    failing = written(obj, Condition("False", "MissingEndpoints", "none"), "t2")
    assert failing is not None and failing["lastTransitionTime"] == "t2"
    again = written({"status": {"conditions": [failing]}}, Condition("False", "ServiceNotFound", "gone"), "t3")
    assert again is not None and again["lastTransitionTime"] == "t2"


def test_every_group_version_gets_an_object_under_upstreams_priority() -> None:
    places = {("", "v1"): False, ("apps", "v1"): False, ("example.com", "v1alpha1"): True}
    create, update, delete = automatic.changes(places, [], first=True)
    assert (update, delete) == ([], [])
    label = "kube-aggregator.kubernetes.io/automanaged"
    assert {name_of(obj): (obj["metadata"]["labels"], obj["spec"]) for obj in create} == {
        "v1.": ({label: "onstart"}, {"version": "v1", "groupPriorityMinimum": 18000, "versionPriority": 1}),
        "v1.apps": ({label: "onstart"}, {"group": "apps", "version": "v1", "groupPriorityMinimum": 17800, "versionPriority": 15}),
        "v1alpha1.example.com": (
            {label: "true"},
            {"group": "example.com", "version": "v1alpha1", "groupPriorityMinimum": 1000, "versionPriority": 100},
        ),
    }


def _found(group: str, label: str, **spec: Any) -> Obj:
    obj = automatic.local((group, "v1"), custom=label == "true")
    obj["metadata"]["labels"] = {automatic.MANAGED: label} if label else {}
    obj["spec"] |= spec
    return obj


@pytest.mark.parametrize(
    ("found", "served", "first", "outcome"),
    [
        (_found("a.io", "true"), True, False, "kept"),
        (_found("a.io", "true", versionPriority=7), True, False, "mended"),
        (_found("a.io", "true"), False, False, "deleted"),
        (_found("a.io", "onstart"), False, False, "kept"),
        (_found("a.io", "onstart"), False, True, "deleted"),
        (_found("a.io", "", versionPriority=7), False, True, "kept"),
        (_found("a.io", "true", service={"name": "s", "namespace": "n", "port": 443}), True, False, "kept"),
    ],
)
def test_only_what_the_server_made_itself_is_changed(found: Obj, served: bool, first: bool, outcome: str) -> None:
    create, update, delete = automatic.changes({("a.io", "v1"): True} if served else {}, [found], first=first)
    assert create == []
    assert ("deleted" if delete else "mended" if update else "kept") == outcome
    assert all(obj["spec"]["versionPriority"] == 100 for obj in update)


def test_what_somebody_deleted_of_the_built_in_ones_comes_back_with_the_next_start() -> None:
    assert automatic.changes({("apps", "v1"): False}, [], first=False)[0] == []
    assert [name_of(obj) for obj in automatic.changes({("apps", "v1"): False}, [], first=True)[0]] == ["v1.apps"]


def test_users_are_named_in_headers_with_all_their_groups() -> None:
    user = UserInfo("ann", "u1", ("dev", "ops"), {"example.com/team": ("a", "b")})
    assert identity(user) == [
        ("X-Remote-User", "ann"), ("X-Remote-Uid", "u1"), ("X-Remote-Group", "dev"), ("X-Remote-Group", "ops"),
        ("X-Remote-Extra-example.com%2Fteam", "a"), ("X-Remote-Extra-example.com%2Fteam", "b"),
    ]  # fmt: skip
