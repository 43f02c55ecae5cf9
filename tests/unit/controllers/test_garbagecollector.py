"""Garbage collection: background, foreground, orphaning, and what must not be deleted."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.controllers.world import World

from steersman.api.resources import CONFIG_MAPS, DEPLOYMENTS, NODES, PODS, REPLICA_SETS
from steersman.controllers import garbagecollector
from steersman.loop.spec import Delete, Fetch, Patch
from steersman.machinery.errors import InternalError
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, is_deleting, name_of, owner_reference

GHOST = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "ghost", "uid": "gone", "blockOwnerDeletion": True}


def world() -> World:
    w = World(garbagecollector.spec())
    w.served = (CONFIG_MAPS, DEPLOYMENTS, NODES, PODS, REPLICA_SETS)
    w.grace = lambda _: False
    return w


def put(w: World, resource: Resource, name: str, *owners: Obj, block: bool = True, **metadata: Any) -> Obj:
    refs = [owner if "uid" in owner else owner_reference(owner, controller=False, block_deletion=block) for owner in owners]
    return w.put(resource, {"metadata": {"name": name, "ownerReferences": refs, **metadata}})


def tree(w: World, *, block: bool = True) -> tuple[Obj, Obj, Obj]:
    deployment = put(w, DEPLOYMENTS, "d")
    rs = put(w, REPLICA_SETS, "rs", deployment, block=block)
    return deployment, rs, put(w, PODS, "p", rs, block=block)


def left(w: World) -> list[str]:
    return sorted(name_of(obj) for table in w.objects.values() for obj in table.values())


def delete(w: World, obj: Obj, resource: Resource, propagation: str) -> None:
    w._carry_out(Delete(resource, obj["metadata"].get("namespace", ""), name_of(obj), propagation=propagation))
    w.settle()


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
def test_dependents_of_dependents_go_too(propagation: str) -> None:
    w = world()
    deployment, *_ = tree(w)
    delete(w, deployment, DEPLOYMENTS, propagation)
    assert left(w) == []


def test_foreground_keeps_the_owner_until_its_blocking_dependents_are_gone() -> None:
    w = world()
    w.grace = lambda _: True
    deployment, *_ = tree(w)
    delete(w, deployment, DEPLOYMENTS, "Foreground")
    assert left(w) == ["d", "p", "rs"]
    assert is_deleting(w.list(PODS)[0]) and is_deleting(w.list(REPLICA_SETS)[0])
    w.remove(PODS, "p")
    w.settle()
    assert left(w) == []


def test_foreground_does_not_wait_for_dependents_that_do_not_block() -> None:
    w = world()
    deployment, *_ = tree(w, block=False)
    delete(w, deployment, DEPLOYMENTS, "Foreground")
    assert left(w) == []


def test_orphaning_removes_the_references_and_then_the_finalizer() -> None:
    w = world()
    deployment, *_ = tree(w)
    delete(w, deployment, DEPLOYMENTS, "Orphan")
    assert left(w) == ["p", "rs"]
    assert "ownerReferences" not in w.list(REPLICA_SETS)[0]["metadata"]


def test_a_failed_release_keeps_the_orphan_finalizer() -> None:
    w = world()
    deployment, *_ = tree(w)
    w.fault = lambda action: InternalError.of("x") if isinstance(action, Patch) and action.name == "rs" else None
    delete(w, deployment, DEPLOYMENTS, "Orphan")
    assert left(w) == ["d", "p", "rs"]


def test_one_solid_owner_is_enough_and_the_dangling_reference_is_removed() -> None:
    w = world()
    alive = put(w, CONFIG_MAPS, "alive")
    put(w, PODS, "p", GHOST, alive)
    w.settle()
    assert left(w) == ["alive", "p"]
    assert [ref["name"] for ref in w.list(PODS)[0]["metadata"]["ownerReferences"]] == ["alive"]
    w.writes.clear()
    assert w.reconcile(w.specs[0], ("", w.list(PODS)[0]["metadata"]["uid"])) == []


def test_an_owner_that_waits_is_let_go_when_another_is_solid() -> None:
    w = world()
    waiting, alive = put(w, DEPLOYMENTS, "d"), put(w, CONFIG_MAPS, "alive")
    put(w, PODS, "p", waiting, alive)
    delete(w, waiting, DEPLOYMENTS, "Foreground")
    assert left(w) == ["alive", "p"]


def test_owners_missing_from_the_cache_are_read_live_before_anything_is_deleted() -> None:
    w = world()
    owner = put(w, DEPLOYMENTS, "d")
    pod = put(w, PODS, "p", owner)
    w.settle()
    del w.objects[DEPLOYMENTS]["default", "d"]
    decision = w.specs[0].reconcile(w, ("", pod["metadata"]["uid"]), w.now)
    assert [type(action) for action in decision.actions] == [Fetch]
    w.objects[DEPLOYMENTS]["default", "d"] = owner
    assert decision.then is not None and list(decision.then(w._perform(decision)).actions) == []


def test_a_failed_live_read_deletes_nothing() -> None:
    w = world()
    put(w, PODS, "p", GHOST)
    w.fault = lambda action: InternalError.of("etcd") if isinstance(action, Fetch) else None
    w.settle()
    assert left(w) == ["p"]


def test_siblings_of_a_dead_owner_ask_once_and_are_deleted_with_preconditions() -> None:
    w = world()
    asked: list[Fetch] = []
    w.fault = lambda action: asked.append(action) if isinstance(action, Fetch) else None
    pods = [put(w, PODS, name, GHOST) for name in ("a", "b", "c")]
    w.settle()
    assert left(w) == [] and len(asked) == 1
    deletes = [action for action in w.writes if isinstance(action, Delete)]
    assert [(d.uid, d.resource_version) for d in deletes] == [
        (p["metadata"]["uid"], p["metadata"]["resourceVersion"]) for p in pods
    ]


def test_a_same_named_successor_is_no_owner() -> None:
    w = world()
    old = put(w, DEPLOYMENTS, "d", uid="first")
    put(w, PODS, "p", old)
    w.settle()
    w.remove(DEPLOYMENTS, "d")
    put(w, DEPLOYMENTS, "d", uid="second")
    w.settle()
    assert left(w) == ["d"]


def test_owners_in_other_namespaces_count_as_absent_with_an_event() -> None:
    w = world()
    owner = put(w, CONFIG_MAPS, "cm", namespace="other")
    put(w, PODS, "p", owner)
    w.settle()
    assert left(w) == ["cm"]
    assert w.events("OwnerRefInvalidNamespace")[0].endswith('does not exist in namespace "default"')


@pytest.mark.parametrize(
    ("resource", "ref"),
    [
        (PODS, {"apiVersion": "example.com/v1", "kind": "Thing", "name": "x", "uid": "x"}),
        (NODES, {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x"}),
    ],
    ids=["unknown kind", "namespaced owner of a cluster object"],
)
def test_what_cannot_be_looked_up_is_not_deleted(resource: Resource, ref: Obj) -> None:
    w = world()
    put(w, resource, "kept", ref)
    w.settle()
    assert left(w) == ["kept"]


def test_owners_of_a_kind_that_has_just_been_defined_are_known_soon_and_others_asked_for_less_and_less() -> None:
    w = world()
    ref = {"apiVersion": "example.com/v1", "kind": "Thing", "name": "gone", "uid": "gone"}
    put(w, PODS, "p", ref)
    turns = [w.settle()]
    for _ in range(60):
        w.advance(1)
        turns.append(w.settle())
    assert [second for second, count in enumerate(turns) if count] == [0, 1, 3, 7, 15, 31]
    put(w, PODS, "q", ref)
    w.settle()
    w.served = (*w.served, Resource("example.com", "v1", "things", kind="Thing"))
    w.put(CONFIG_MAPS, {"metadata": {"name": "so that discovery is looked at"}})
    w.advance(1)
    w.settle()
    assert "q" not in left(w)


def test_other_versions_of_the_owner_s_kind_are_the_same_kind() -> None:
    w = world()
    owner = put(w, DEPLOYMENTS, "d")
    put(w, PODS, "p", {**owner_reference(owner), "apiVersion": "apps/v1beta1"})
    w.settle()
    assert left(w) == ["d", "p"]


def test_a_circle_deleted_in_the_foreground_comes_undone() -> None:
    w = world()
    first = put(w, CONFIG_MAPS, "a")
    second = put(w, CONFIG_MAPS, "b", first)
    w.edit(CONFIG_MAPS, "a", lambda obj: obj["metadata"].update(ownerReferences=[owner_reference(second)]))
    w.settle()
    delete(w, first, CONFIG_MAPS, "Foreground")
    assert left(w) == []


def test_events_that_concern_nothing_queue_nothing() -> None:
    w = world()
    tree(w)
    w.settle()
    w.edit(PODS, "p", lambda obj: obj.update(status={"phase": "Running"}))
    assert w.settle() == 0
