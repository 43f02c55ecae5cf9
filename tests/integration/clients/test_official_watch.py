"""The official client: watches that go on where they were, informers, and an election."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes import client as k8s
from kubernetes import config, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.informer import SharedInformer
from kubernetes.leaderelection import electionconfig
from kubernetes.leaderelection.leaderelection import LeaderElection
from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock
from tests.e2e.harness import eventually
from tests.integration.clients.served import PATIENCE_S, Served

MINE = "mine=yes"
PATIENCE = {"_request_timeout": PATIENCE_S}
"""Events that do not come are a failure, not a test without end."""
GROUP = "watched.example.com"
THING = {"apiVersion": f"{GROUP}/v1", "kind": "Thing"}


def config_map(name: str, **data: str) -> k8s.V1ConfigMap:
    return k8s.V1ConfigMap(metadata=k8s.V1ObjectMeta(name=name, labels={"mine": "yes"}), data=data)


@pytest.fixture(scope="module")
def things(api: k8s.ApiClient) -> Iterator[Callable[..., Any]]:
    """Lists and watches a kind that is younger than the server, which so remembers nothing of the first revisions."""
    definitions, custom = k8s.ApiextensionsV1Api(api), k8s.CustomObjectsApi(api)
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "things", "kind": "Thing"}
    spec = {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]}
    definition = {"metadata": {"name": f"things.{GROUP}"}, "spec": spec}
    definitions.create_custom_resource_definition(definition)

    def served() -> object:
        status = definitions.read_custom_resource_definition(f"things.{GROUP}").status
        return [c for c in status.conditions or () if (c.type, c.status) == ("Established", "True")]

    eventually(served, what="the definition is established")

    def listing(**options: Any) -> Any:
        found = custom.list_custom_object_for_all_namespaces(GROUP, "v1", "things", **options)
        if options.get("watch"):
            return found
        metadata = SimpleNamespace(resource_version=found["metadata"]["resourceVersion"])
        return SimpleNamespace(items=found["items"], metadata=metadata)

    yield listing
    definitions.delete_custom_resource_definition(f"things.{GROUP}")


def test_a_watch_tells_what_happened_since_a_list_and_goes_on_where_it_was(api: k8s.ApiClient, namespace: str) -> None:
    core = k8s.CoreV1Api(api)
    since = core.list_namespaced_config_map(namespace).metadata.resource_version
    core.create_namespaced_config_map(namespace, config_map("a", key="1"))
    core.patch_namespaced_config_map("a", namespace, {"data": {"key": "2"}})
    core.create_namespaced_config_map(namespace, config_map("b"))
    core.delete_namespaced_config_map("a", namespace)
    watching = watch.Watch()

    def take(count: int, **options: Any) -> list[tuple[str, str, Any]]:
        found = []
        for event in watching.stream(core.list_namespaced_config_map, namespace, label_selector=MINE, **PATIENCE, **options):
            found.append((event["type"], event["object"].metadata.name, event["object"].data))
            if len(found) == count:
                watching.stop()
        return found

    assert take(2, resource_version=since) == [("ADDED", "a", {"key": "1"}), ("MODIFIED", "a", {"key": "2"})]
    assert take(2, resource_version=watching.resource_version) == [("ADDED", "b", None), ("DELETED", "a", {"key": "2"})]
    # Without a version: what there is, and then what comes until the time is up.
    assert take(9, timeout_seconds=1) == [("ADDED", "b", None)]


def test_bookmarks_end_what_there_was_at_the_beginning(api: k8s.ApiClient, namespace: str) -> None:
    core, watching = k8s.CoreV1Api(api), watch.Watch()
    core.create_namespaced_config_map(namespace, config_map("a"))
    seen = []
    for event in watching.stream(
        core.list_namespaced_config_map,
        namespace,
        label_selector=MINE,
        allow_watch_bookmarks=True,
        send_initial_events=True,
        resource_version_match="NotOlderThan",
        **PATIENCE,
    ):
        seen.append(event["type"])
        if event["type"] == "BOOKMARK":
            assert event["raw_object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
            watching.stop()
    assert seen == ["ADDED", "BOOKMARK"]


def test_a_watch_from_long_ago_is_told_that_it_is_too_late(things: Callable[..., Any]) -> None:
    with pytest.raises(ApiException) as late:
        list(watch.Watch().stream(things, resource_version="1", **PATIENCE))
    assert late.value.status == 410 and late.value.reason.startswith("Expired: too old resource version: 1 (")


def test_an_informer_that_was_away_too_long_lists_anew_and_follows(
    api: k8s.ApiClient, namespace: str, things: Callable[..., Any]
) -> None:
    custom = k8s.CustomObjectsApi(api)

    def create(name: str) -> None:
        custom.create_namespaced_custom_object(GROUP, "v1", namespace, "things", {**THING, "metadata": {"name": name}})

    create("a")
    informer = SharedInformer(things, key_func=lambda found: found["metadata"]["name"])
    # As if it had been away since the first revision.
    informer._resource_version = "1"
    told: queue.Queue[tuple[str, str]] = queue.Queue()
    for kind in ("ADDED", "MODIFIED", "DELETED"):
        informer.add_event_handler(kind, lambda found, kind=kind: told.put((kind, found["metadata"]["name"])))
    informer.start()
    try:
        assert told.get(timeout=PATIENCE_S) == ("ADDED", "a")
        create("b")
        assert told.get(timeout=PATIENCE_S) == ("ADDED", "b")
        custom.patch_namespaced_custom_object(GROUP, "v1", namespace, "things", "a", {"spec": {"size": 2}})
        assert told.get(timeout=PATIENCE_S) == ("MODIFIED", "a")
        assert informer.cache.get_by_key("a")["spec"] == {"size": 2}
        custom.delete_namespaced_custom_object(GROUP, "v1", namespace, "things", "b")
        assert told.get(timeout=PATIENCE_S) == ("DELETED", "b")
    finally:
        informer.stop()
    assert [found["metadata"]["name"] for found in informer.cache.list()] == ["a"]


def test_of_two_candidates_one_leads_and_the_other_follows_when_it_gives_up(
    served: Served, api: k8s.ApiClient, namespace: str
) -> None:
    config.load_kube_config(str(served.kubeconfig))
    leases, led = k8s.CoordinationV1Api(api), queue.Queue[str]()

    def candidate(name: str) -> tuple[threading.Thread, threading.Event]:
        enough = threading.Event()

        def leading() -> None:
            led.put(name)
            enough.wait(60)
            raise RuntimeError("enough")

        lock = LeaseLock("work", namespace, name)
        chosen = electionconfig.Config(lock, 3, 2, 1, leading, lambda: led.put(f"{name} stopped"))
        thread = threading.Thread(target=LeaderElection(chosen).run)
        thread.start()
        return thread, enough

    def holder() -> object:
        return leases.read_namespaced_lease("work", namespace).spec.holder_identity

    first, first_has_enough = candidate("one")
    assert led.get(timeout=PATIENCE_S) == "one" and holder() == "one"
    second, second_has_enough = candidate("two")
    first_has_enough.set()
    # The other takes what was not renewed in time: it need not have been told by then that it leads no more.
    assert sorted(led.get(timeout=PATIENCE_S) for _ in range(2)) == ["one stopped", "two"] and holder() == "two"
    second_has_enough.set()
    for thread in (first, second):
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
