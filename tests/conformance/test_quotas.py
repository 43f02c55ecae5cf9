"""[sig-api-machinery] ResourceQuota, [sig-scheduling] LimitRange, and controllers that meet a quota."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tests.conformance.objects import SLEEP, controller, named, pod, replication_controller, service
from tests.conformance.space import Space, condition, eventually

from steersman.api.resources import (
    CONFIG_MAPS,
    LIMIT_RANGES,
    NAMESPACES,
    PODS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICES,
)
from steersman.machinery.errors import Forbidden, Invalid
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, dig, name_of

pytestmark = pytest.mark.root

QUOTA = "[sig-api-machinery] ResourceQuota should"
LIFE = f"{QUOTA} create a ResourceQuota and capture the life of a"
LIMITS = "[sig-scheduling] LimitRange should"
EXTENDED = "example.com/dongle"


def quota(space: Space, hard: Mapping[str, str], name: str = "quota", **spec: Any) -> Obj:
    """A quota, once it is counted."""
    space.create(RESOURCE_QUOTAS, {"metadata": {"name": name}, "spec": {"hard": dict(hard), **spec}})
    return space.until(RESOURCE_QUOTAS, name, lambda it: dig(it, "status", "hard") == hard and dig(it, "status", "used"))


def used(space: Space, expected: Mapping[str, str], name: str = "quota") -> None:
    """Wait until the quota says that so much is used."""

    def says(found: Obj) -> bool:
        said = dig(found, "status", "used", default={})
        return all(said.get(key) == value for key, value in expected.items())

    space.until(RESOURCE_QUOTAS, name, says)


def sized(name: str, requests: Mapping[str, str], limits: Mapping[str, str] | None = None, **spec: Any) -> Obj:
    """A pod that is never run: no node has what it asks for, or it is told to be on none."""
    resources = {"requests": dict(requests), **({"limits": dict(limits)} if limits else {})}
    return pod(SLEEP, name=name, resources=resources, spec={"schedulerName": "nobody", **spec})


@pytest.mark.conformance(f"{QUOTA} create a ResourceQuota and ensure its status is promptly calculated. [Conformance]")
def test_a_quota_is_counted_promptly(space: Space) -> None:
    hard = {"pods": "5", "services": "10", "resourcequotas": "1", "cpu": "1", "memory": "500Mi", "requests.storage": "10Gi"}
    made = quota(space, hard)
    assert made["status"]["used"] == {**dict.fromkeys(hard, "0"), "resourcequotas": "1"}


COUNTED: list[tuple[str, str, Resource, Obj]] = [
    ("configMap", "configmaps", CONFIG_MAPS, named("counted")),
    ("secret", "secrets", SECRETS, named("counted")),
    ("replica set", "count/replicasets.apps", REPLICA_SETS, controller("counted", 0)),
    ("replication controller", "replicationcontrollers", REPLICATION_CONTROLLERS, replication_controller("counted", 0)),
]


@pytest.mark.parametrize(
    ("what", "name", "resource", "obj"),
    [pytest.param(*case, marks=pytest.mark.conformance(f"{LIFE} {case[0]}. [Conformance]"), id=case[0]) for case in COUNTED],
)
def test_objects_are_counted_from_birth_to_death(space: Space, what: str, name: str, resource: Resource, obj: Obj) -> None:
    before = len(space.list(resource))
    quota(space, {name: str(before + 1)})
    used(space, {name: str(before)})
    space.create(resource, obj)
    used(space, {name: str(before + 1)})
    with pytest.raises(
        Forbidden, match=f"exceeded quota: quota, requested: {name}=1, used: {name}={before + 1}, limited: {name}="
    ):
        space.create(resource, {**obj, "metadata": {**obj["metadata"], "name": "another"}})
    space.delete(resource, name_of(obj))
    used(space, {name: str(before)})


@pytest.mark.conformance(f"{LIFE} service. [Conformance]")
def test_services_are_counted_with_their_node_ports(space: Space) -> None:
    quota(space, {"services": "3", "services.nodeports": "1", "services.loadbalancers": "1"})
    space.create(SERVICES, service("plain"))
    space.create(SERVICES, service("port", type="NodePort"))
    used(space, {"services": "2", "services.nodeports": "1", "services.loadbalancers": "0"})
    with pytest.raises(Forbidden, match="exceeded quota: quota, requested: services.nodeports=1"):
        space.create(SERVICES, service("balanced", type="LoadBalancer"))
    space.create(SERVICES, service("balanced", type="LoadBalancer", allocateLoadBalancerNodePorts=False))
    used(space, {"services": "3", "services.nodeports": "1", "services.loadbalancers": "1"})
    for name in ("plain", "port", "balanced"):
        space.delete(SERVICES, name)
    used(space, {"services": "0", "services.nodeports": "0", "services.loadbalancers": "0"})


@pytest.mark.conformance(f"{LIFE} pod. [Conformance]")
def test_pods_are_charged_for_what_they_ask(space: Space) -> None:
    names = ("cpu", "memory", "requests.ephemeral-storage", f"requests.{EXTENDED}")
    quota(space, {"pods": "5", **dict(zip(names, ("1", "500Mi", "50Gi", "3")))})
    asked = {"cpu": "500m", "memory": "252Mi", "ephemeral-storage": "30Gi", EXTENDED: "2"}
    taken = {"pods": "1", **dict(zip(names, asked.values()))}
    space.create(PODS, sized("first", asked, {EXTENDED: "2"}))
    used(space, taken)
    for more in ({"cpu": "600m", "memory": "100Mi"}, {"cpu": "1m", "memory": "100Mi", EXTENDED: "2"}):
        limits = {EXTENDED: more[EXTENDED]} if EXTENDED in more else {}
        with pytest.raises(Forbidden, match="exceeded quota: quota, requested: "):
            space.create(PODS, sized("second", more, limits))
    with pytest.raises(Forbidden, match="failed quota: quota: must specify cpu for: main; memory for: main"):
        space.create(PODS, pod(SLEEP, name="third"))
    current = space.get(PODS, "first")
    current["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "100m"
    with pytest.raises(Invalid):
        space.update(PODS, current)
    used(space, taken)
    space.delete(PODS, "first", grace_period_s=0)
    used(space, dict.fromkeys(taken, "0"))


@pytest.mark.conformance(f"{QUOTA} verify ResourceQuota with terminating scopes. [Conformance]")
def test_pods_with_a_deadline_are_counted_apart(space: Space) -> None:
    hard = {"pods": "5", "requests.cpu": "1", "requests.memory": "500Mi", "limits.cpu": "2", "limits.memory": "1Gi"}
    quota(space, hard, "terminating", scopes=["Terminating"])
    quota(space, hard, "long", scopes=["NotTerminating"])
    requests, limits = {"cpu": "500m", "memory": "200Mi"}, {"cpu": "1", "memory": "400Mi"}
    taken = {"pods": "1", "requests.cpu": "500m", "requests.memory": "200Mi", "limits.cpu": "1", "limits.memory": "400Mi"}
    nothing = dict.fromkeys(hard, "0")
    for spec, charged, free in (({}, "long", "terminating"), ({"activeDeadlineSeconds": 3600}, "terminating", "long")):
        space.create(PODS, sized("sized", requests, limits, **spec))
        used(space, taken, charged)
        used(space, nothing, free)
        space.delete(PODS, "sized", grace_period_s=0)
        used(space, nothing, charged)


@pytest.mark.conformance(f"{QUOTA} verify ResourceQuota with best effort scope. [Conformance]")
def test_pods_that_ask_for_nothing_are_counted_apart(space: Space) -> None:
    quota(space, {"pods": "5"}, "best-effort", scopes=["BestEffort"])
    quota(space, {"pods": "5"}, "others", scopes=["NotBestEffort"])
    for requests, charged, free in (({}, "best-effort", "others"), ({"cpu": "1m"}, "others", "best-effort")):
        space.create(PODS, sized("sized", requests))
        used(space, {"pods": "1"}, charged)
        used(space, {"pods": "0"}, free)
        space.delete(PODS, "sized", grace_period_s=0)
        used(space, {"pods": "0"}, charged)


@pytest.mark.conformance(f"{QUOTA} be able to update and delete ResourceQuota. [Conformance]")
def test_a_quota_is_changed_and_deleted(space: Space) -> None:
    quota(space, {"cpu": "1", "memory": "500Mi"})

    def update() -> Obj:
        """Between reading and writing its controller may write the status: a conflict."""
        current = space.get(RESOURCE_QUOTAS, "quota")
        current["spec"]["hard"] = {"cpu": "2", "memory": "1Gi"}
        return space.update(RESOURCE_QUOTAS, current)

    assert eventually(update)["spec"]["hard"] == {"cpu": "2", "memory": "1Gi"}
    space.until(RESOURCE_QUOTAS, "quota", lambda it: it["status"]["hard"] == {"cpu": "2", "memory": "1Gi"})
    space.delete(RESOURCE_QUOTAS, "quota")
    space.gone(RESOURCE_QUOTAS, "quota")


@pytest.mark.conformance(f"{QUOTA} manage the lifecycle of a ResourceQuota [Conformance]")
def test_quotas_are_listed_patched_and_deleted_by_label(space: Space) -> None:
    label = {"e2e": space.name}
    chosen = f"e2e={space.name}"
    space.create(RESOURCE_QUOTAS, {"metadata": {"name": "quota", "labels": label}, "spec": {"hard": {"cpu": "1"}}})
    everywhere = space.api.list(RESOURCE_QUOTAS, label_selector=chosen)["items"]
    assert [name_of(item) for item in everywhere] == ["quota"]
    patched = space.patch(
        RESOURCE_QUOTAS, "quota", {"metadata": {"labels": {"quota": "patched"}}, "spec": {"hard": {"cpu": "2"}}}
    )
    assert patched["metadata"]["labels"] == {**label, "quota": "patched"} and patched["spec"]["hard"] == {"cpu": "2"}
    space.delete_collection(RESOURCE_QUOTAS, chosen)
    eventually(lambda: not space.list(RESOURCE_QUOTAS))


@pytest.mark.conformance(f"{QUOTA} apply changes to a resourcequota status [Conformance]")
def test_the_status_of_a_quota_is_written_by_itself(space: Space) -> None:
    made = quota(space, {"cpu": "500m", "memory": "500Mi"})
    made["status"]["hard"]["memory"] = "1Gi"

    def update() -> Obj:
        found = space.get(RESOURCE_QUOTAS, "quota")
        return space.update(RESOURCE_QUOTAS, {**found, "status": made["status"]}, subresource="status")

    eventually(update)
    # The controller corrects what is not the spec's.
    space.until(RESOURCE_QUOTAS, "quota", lambda it: it["status"]["hard"] == it["spec"]["hard"])
    space.patch(RESOURCE_QUOTAS, "quota", {"spec": {"hard": {"cpu": "1", "memory": "1Gi"}}})
    space.until(RESOURCE_QUOTAS, "quota", lambda it: it["status"]["hard"] == {"cpu": "1", "memory": "1Gi"})
    change = {"status": {"hard": {"cpu": "250m", "memory": "250Mi"}}, "spec": {"hard": {"cpu": "9"}}}
    space.patch(RESOURCE_QUOTAS, "quota", change, subresource="status")
    found = space.until(RESOURCE_QUOTAS, "quota", lambda it: it["status"]["hard"] == {"cpu": "1", "memory": "1Gi"})
    assert found["spec"]["hard"] == {"cpu": "1", "memory": "1Gi"}
    assert space.get(RESOURCE_QUOTAS, "quota", subresource="status")["status"]["hard"] == found["spec"]["hard"]


# --- controllers that meet a quota

MEETS = "should surface a failure condition on a common issue like exceeded quota [Conformance]"


@pytest.mark.parametrize(
    ("resource", "obj"),
    [
        pytest.param(
            REPLICATION_CONTROLLERS,
            replication_controller("many", 3),
            marks=pytest.mark.conformance(f"[sig-apps] ReplicationController {MEETS}"),
            id="ReplicationController",
        ),
        pytest.param(REPLICA_SETS, controller("many", 3), id="ReplicaSet"),
    ],
)
def test_what_a_quota_keeps_from_being_made_is_told_and_made_when_there_is_room(
    space: Space, resource: Resource, obj: Obj
) -> None:
    quota(space, {"pods": "2"})
    space.create(resource, obj)
    found = space.until(resource, "many", lambda it: condition(it, "ReplicaFailure") == "True")
    (said,) = (item for item in found["status"]["conditions"] if item["type"] == "ReplicaFailure")
    assert said["reason"] == "FailedCreate" and "exceeded quota: quota, requested: pods=1" in said["message"]
    assert len(space.list(PODS)) == 2
    space.patch(resource, "many", {"spec": {"replicas": 2}})
    space.until(resource, "many", lambda it: not condition(it, "ReplicaFailure"))
    space.patch(RESOURCE_QUOTAS, "quota", {"spec": {"hard": {"pods": "3"}}})
    space.until(RESOURCE_QUOTAS, "quota", lambda it: it["status"]["hard"] == {"pods": "3"})
    space.patch(resource, "many", {"spec": {"replicas": 3}})
    space.until(resource, "many", lambda it: dig(it, "status", "readyReplicas") == 3)


# --- LimitRange


def limits(name: str = "limits", labels: Mapping[str, str] | None = None) -> Obj:
    item = {
        "type": "Container",
        "min": {"cpu": "50m", "memory": "100Mi", "ephemeral-storage": "100Gi"},
        "max": {"cpu": "500m", "memory": "500Mi", "ephemeral-storage": "500Gi"},
        "default": {"cpu": "500m", "memory": "500Mi", "ephemeral-storage": "500Gi"},
        "defaultRequest": {"cpu": "100m", "memory": "200Mi", "ephemeral-storage": "200Gi"},
    }
    return {"metadata": {"name": name, "labels": dict(labels or {})}, "spec": {"limits": [item]}}


@pytest.mark.conformance(f"{LIMITS} create a LimitRange with defaults and ensure pod has those defaults applied. [Conformance]")
def test_pods_get_the_defaults_of_a_limit_range_and_keep_to_its_bounds(space: Space) -> None:
    with space.watching(LIMIT_RANGES) as watching:
        made = space.create(LIMIT_RANGES, limits())
        assert watching.until("ADDED")["spec"] == made["spec"]
    (item,) = made["spec"]["limits"]
    plain = space.create(PODS, pod(SLEEP, name="plain", spec={"schedulerName": "nobody"}))
    assert plain["spec"]["containers"][0]["resources"] == {"requests": item["defaultRequest"], "limits": item["default"]}
    partial = {"requests": {"cpu": "300m", "memory": "150Mi"}, "limits": {"cpu": "300m"}}
    given = space.create(PODS, pod(SLEEP, name="partial", resources=partial, spec={"schedulerName": "nobody"}))
    assert given["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "300m", "memory": "150Mi", "ephemeral-storage": "200Gi"},
        "limits": {"cpu": "300m", "memory": "500Mi", "ephemeral-storage": "500Gi"},
    }
    with pytest.raises(Forbidden, match="minimum cpu usage per Container is 50m, but request is 10m"):
        space.create(PODS, sized("small", {"cpu": "10m"}))
    with pytest.raises(Forbidden, match="maximum cpu usage per Container is 500m, but limit is 600m"):
        space.create(PODS, sized("large", {"cpu": "500m"}, {"cpu": "600m"}))
    made["spec"]["limits"][0]["min"] = {"cpu": "9m", "memory": "100Mi", "ephemeral-storage": "100Gi"}
    space.update(LIMIT_RANGES, made)
    space.create(PODS, sized("small", {"cpu": "10m"}))
    space.delete(LIMIT_RANGES, "limits")
    space.gone(LIMIT_RANGES, "limits")
    free = space.create(PODS, sized("large", {"cpu": "500m"}, {"cpu": "600m"}))
    assert free["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "600m"}


@pytest.mark.conformance(f"{LIMITS} list, patch and delete a LimitRange by collection [Conformance]")
def test_limit_ranges_are_listed_patched_and_deleted_by_collection(space: Space) -> None:
    label, chosen = {"e2e": space.name}, f"e2e={space.name}"
    other = f"{space.name}-other"
    space.api.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other}})
    try:
        space.create(LIMIT_RANGES, limits(labels=label))
        space.api.create(LIMIT_RANGES, {"apiVersion": "v1", "kind": "LimitRange", **limits(labels=label)}, other)
        assert len(space.api.list(LIMIT_RANGES, label_selector=chosen)["items"]) == 2
        patched = space.patch(
            LIMIT_RANGES,
            "limits",
            {"metadata": {"labels": {"patched": "true"}}, "spec": {"limits": [{"type": "Container", "max": {"cpu": "9"}}]}},
            kind="strategic",
        )
        assert patched["metadata"]["labels"]["patched"] == "true" and patched["spec"]["limits"][0]["max"] == {"cpu": "9"}
        space.delete_collection(LIMIT_RANGES, chosen)
        left = space.api.list(LIMIT_RANGES, label_selector=chosen)["items"]
        assert [item["metadata"]["namespace"] for item in left] == [other]
    finally:
        space.api.delete(NAMESPACES, other)
