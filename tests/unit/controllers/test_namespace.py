"""Namespaces: emptying and letting go, and what every new one gets."""

from __future__ import annotations

from typing import Any

from tests.unit.controllers.world import World

from steersman.api.resources import CONFIG_MAPS, NAMESPACES, PODS, SERVICE_ACCOUNTS
from steersman.controllers import namespace, rootca, serviceaccount
from steersman.loop.spec import Delete
from steersman.machinery.errors import InternalError
from steersman.machinery.meta import Obj, condition, dig, is_deleting, name_of


def world() -> World:
    w = World(namespace.spec())
    w.served = (CONFIG_MAPS, PODS, NAMESPACES)
    w.put(NAMESPACES, {"metadata": {"name": "doomed"}, "spec": {"finalizers": ["kubernetes"]}})
    return w


def delete(w: World) -> None:
    w._carry_out(Delete(NAMESPACES, "", "doomed"))
    w.settle()


def found(w: World) -> Obj:
    obj = w.get(NAMESPACES, "", "doomed")
    assert obj is not None
    return obj


def put(w: World, resource: Any, name: str, namespace: str = "doomed", **metadata: Any) -> Obj:
    return w.put(resource, {"metadata": {"name": name, "namespace": namespace, **metadata}, "spec": {"nodeName": "n"}})


def test_an_empty_namespace_goes_after_the_caches_have_settled() -> None:
    w = world()
    delete(w)
    assert is_deleting(found(w))
    w.advance(namespace.SETTLE_S)
    w.settle()
    assert w.list(NAMESPACES) == []


def test_pods_go_before_what_they_use_and_other_namespaces_stay() -> None:
    w = world()
    put(w, PODS, "p")
    put(w, CONFIG_MAPS, "cm")
    w.put(NAMESPACES, {"metadata": {"name": "elsewhere"}})
    put(w, CONFIG_MAPS, "other", "elsewhere")
    delete(w)
    assert is_deleting(w.list(PODS)[0]) and len(w.list(CONFIG_MAPS)) == 2
    remaining = condition(found(w), "NamespaceContentRemaining")
    assert remaining is not None and remaining["reason"] == "SomeResourcesRemain"
    assert remaining["message"] == (
        "Some resources are remaining: configmaps. has 1 resource instances, pods. has 1 resource instances"
    )
    w.remove(PODS, "p", "doomed")
    w.settle()
    assert [name_of(obj) for obj in w.list(CONFIG_MAPS)] == ["other"]
    w.advance(3)
    w.settle()
    assert [name_of(obj) for obj in w.list(NAMESPACES)] == ["elsewhere"]


def test_finalizers_hold_the_namespace_and_are_named() -> None:
    w = world()
    put(w, CONFIG_MAPS, "cm", finalizers=["example.com/hold"])
    delete(w)
    w.advance(30)
    w.settle()
    held = condition(found(w), "NamespaceFinalizersRemaining")
    assert held is not None and (held["status"], held["reason"]) == ("True", "SomeFinalizersRemain")
    assert held["message"].endswith("finalizers remaining: example.com/hold in 1 resource instances")
    assert len(dig(found(w), "status", "conditions")) == 5
    w.edit(CONFIG_MAPS, "cm", lambda obj: obj["metadata"].update(finalizers=[]), "doomed")
    w.settle()
    assert w.list(NAMESPACES) == []


def test_failures_show_in_the_conditions_and_are_tried_again() -> None:
    w = world()
    put(w, CONFIG_MAPS, "cm")
    w.fault = lambda action: InternalError.of("no") if isinstance(action, Delete) and action.resource == CONFIG_MAPS else None
    delete(w)
    failure = condition(found(w), "NamespaceDeletionContentFailure")
    assert failure is not None and failure["reason"] == "ContentDeletionFailed"
    w.fault = lambda _: None
    w.advance(3)
    w.settle()
    assert w.list(NAMESPACES) == []


def finished() -> World:
    w = world()
    delete(w)
    w.advance(3)
    w.settle()
    assert w.list(NAMESPACES) == []
    return w


def test_what_shows_up_after_the_namespace_is_gone_is_deleted() -> None:
    w = finished()
    put(w, CONFIG_MAPS, "stray")
    w.settle()
    assert w.list(CONFIG_MAPS) == []


def test_a_new_namespace_of_that_name_only_missing_from_the_cache_keeps_its_content() -> None:
    w = finished()
    put(w, CONFIG_MAPS, "cm")
    decision = w.specs[0].reconcile(w, ("", "doomed"), w.now)
    w.put(NAMESPACES, {"metadata": {"name": "doomed"}})
    assert decision.then is not None and not decision.then(w._perform(decision)).actions


def test_content_of_namespaces_that_never_were_is_left_alone() -> None:
    w = world()
    put(w, CONFIG_MAPS, "cm", "elsewhere")
    assert w.settle() == 1 and len(w.list(CONFIG_MAPS)) == 1


def test_every_namespace_gets_a_service_account_and_the_root_ca() -> None:
    w = World(serviceaccount.SPEC, rootca.spec("PEM"))
    w.put(NAMESPACES, {"metadata": {"name": "a"}})
    w.put(NAMESPACES, {"metadata": {"name": "b", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x"]}})
    w.settle()
    assert set(w.objects[SERVICE_ACCOUNTS]) == {("a", "default")}
    assert set(w.objects[CONFIG_MAPS]) == {("a", "kube-root-ca.crt")}
    w.edit(CONFIG_MAPS, "kube-root-ca.crt", lambda obj: obj.update(data={}), "a")
    w.remove(SERVICE_ACCOUNTS, "default", "a")
    w.settle()
    assert w.list(CONFIG_MAPS)[0]["data"] == {"ca.crt": "PEM"} and len(w.list(SERVICE_ACCOUNTS)) == 1
