"""[sig-api-machinery] Watchers, chunking, Table, Discovery, FieldValidation, Namespaces: what the API server itself does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.conformance.objects import SLEEP, controller, named, pod, pod_spec, service
from tests.conformance.space import Space, eventually

from steersman.api.resources import CONFIG_MAPS, DEPLOYMENTS, NAMESPACES, PODS, SERVICES
from steersman.machinery.errors import NotFound
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, name_of

pytestmark = pytest.mark.root

WATCHERS = "[sig-api-machinery] Watchers should"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
POD_TEMPLATES = Resource("", "v1", "podtemplates", kind="PodTemplate")


def write(space: Space, name: str, label: str, mutation: str) -> Obj:
    return space.patch(CONFIG_MAPS, name, {"metadata": {"labels": {"watch": label}}, "data": {"mutation": mutation}})


def version(obj: Obj) -> str:
    return str(obj["metadata"]["resourceVersion"])


@pytest.mark.conformance(f"{WATCHERS} observe add, update, and delete watch notifications on configmaps [Conformance]")
def test_each_watcher_sees_what_it_selects(space: Space) -> None:
    with (
        space.watching(CONFIG_MAPS, label_selector="watch=A") as a,
        space.watching(CONFIG_MAPS, label_selector="watch=B") as b,
        space.watching(CONFIG_MAPS, label_selector="watch in (A, B)") as both,
    ):
        space.create(CONFIG_MAPS, named("a", {"watch": "A"}))
        write(space, "a", "A", "1")
        write(space, "a", "A", "2")
        space.delete(CONFIG_MAPS, "a")
        space.create(CONFIG_MAPS, named("b", {"watch": "B"}))
        space.delete(CONFIG_MAPS, "b")
        life = ["ADDED", "MODIFIED", "MODIFIED", "DELETED"]
        seen = a.take(4)
        assert [event.type for event in seen] == life
        assert [event.object.get("data", {}).get("mutation") for event in seen] == [None, "1", "2", "2"]
        assert [event.type for event in b.take(2)] == ["ADDED", "DELETED"]
        assert [event.type for event in both.take(6)] == [*life, "ADDED", "DELETED"]


@pytest.mark.conformance(f"{WATCHERS} be able to start watching from a specific resource version [Conformance]")
def test_a_watch_starts_after_the_version_it_names(space: Space) -> None:
    space.create(CONFIG_MAPS, named("c", {"watch": "A"}))
    first = write(space, "c", "A", "1")
    write(space, "c", "A", "2")
    space.delete(CONFIG_MAPS, "c")
    with space.watching(CONFIG_MAPS, label_selector="watch=A", resource_version=version(first)) as watching:
        seen = watching.take(2)
    assert [event.type for event in seen] == ["MODIFIED", "DELETED"]
    assert [event.object["data"]["mutation"] for event in seen] == ["2", "2"]


@pytest.mark.conformance(
    f"{WATCHERS} be able to restart watching from the last resource version observed by the previous watch [Conformance]"
)
def test_a_watch_goes_on_where_another_ended(space: Space) -> None:
    with space.watching(CONFIG_MAPS, label_selector="watch=A") as watching:
        space.create(CONFIG_MAPS, named("c", {"watch": "A"}))
        write(space, "c", "A", "1")
        last = watching.take(2)[-1]
    write(space, "c", "A", "2")
    space.delete(CONFIG_MAPS, "c")
    with space.watching(CONFIG_MAPS, label_selector="watch=A", resource_version=version(last.object)) as watching:
        assert [event.type for event in watching.take(2)] == ["MODIFIED", "DELETED"]


@pytest.mark.conformance(
    f"{WATCHERS} observe an object deletion if it stops meeting the requirements of the selector [Conformance]"
)
def test_what_is_no_longer_selected_is_deleted_for_the_watcher(space: Space) -> None:
    with space.watching(CONFIG_MAPS, label_selector="watch=A") as watching:
        space.create(CONFIG_MAPS, named("c", {"watch": "A"}))
        write(space, "c", "A", "1")
        write(space, "c", "other", "2")
        write(space, "c", "other", "3")
        write(space, "c", "A", "4")
        write(space, "c", "A", "5")
        space.delete(CONFIG_MAPS, "c")
        seen = watching.take(6)
    assert [event.type for event in seen] == ["ADDED", "MODIFIED", "DELETED", "ADDED", "MODIFIED", "DELETED"]
    # The object as it was when it still matched, at the version of the change.
    assert seen[2].object["metadata"]["labels"] == {"watch": "A"} and seen[2].object["data"] == {"mutation": "1"}
    assert int(version(seen[2].object)) > int(version(seen[1].object))


@pytest.mark.conformance(f"{WATCHERS} receive events on concurrent watches in same order [Conformance]")
def test_all_watchers_see_the_same_order(space: Space) -> None:
    start = space.api.list(CONFIG_MAPS, space.name)["metadata"]["resourceVersion"]
    for number in range(30):
        if number % 3 == 0:
            space.create(CONFIG_MAPS, named(f"c{number}"))
        elif number % 3 == 1:
            space.patch(CONFIG_MAPS, f"c{number - 1}", {"data": {"n": str(number)}})
        else:
            space.delete(CONFIG_MAPS, f"c{number - 2}")
    with space.watching(CONFIG_MAPS, resource_version=start) as watching:
        order = [version(event.object) for event in watching.take(30)]
    assert order == sorted(order, key=int)
    for index in range(0, 28, 4):
        with space.watching(CONFIG_MAPS, resource_version=order[index]) as watching:
            assert [version(event.object) for event in watching.take(29 - index)] == order[index + 1 :]


@pytest.mark.conformance(
    "[sig-api-machinery] Servers with support for API chunking should return chunks of results for list calls [Conformance]"
)
def test_lists_come_in_chunks(space: Space) -> None:
    for number in range(40):
        space.create(POD_TEMPLATES, named(f"template-{number:04}", template={"spec": pod_spec(SLEEP)}))
    for limit in (3, 17, 40, 100):
        seen: list[str] = []
        first, token = "", ""
        while True:
            found = space.api.list(POD_TEMPLATES, space.name, limit=limit, continue_=token)
            meta = found["metadata"]
            first = first or meta["resourceVersion"]
            assert len(found["items"]) <= limit and meta["resourceVersion"] == first
            seen += [name_of(it) for it in found["items"]]
            token = meta.get("continue") or ""
            assert meta.get("remainingItemCount", 0) == 40 - len(seen)
            if not token:
                break
        assert seen == [f"template-{number:04}" for number in range(40)]
    assert len(space.list(POD_TEMPLATES)) == 40


@pytest.mark.conformance(
    "[sig-api-machinery] Servers with support for Table transformation should return a 406 for a backend which does not "
    "implement metadata [Conformance]"
)
def test_a_review_is_no_table(space: Space) -> None:
    body = json.dumps(
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"namespace": space.name, "verb": "get", "resource": "pods"}},
        }
    ).encode()
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    answer = space.api.request(
        "POST", path, body, Accept="application/json;as=Table;v=v1;g=meta.k8s.io", Content_Type="application/json"
    )
    assert answer.status == 406, answer.body
    assert json.loads(answer.body)["reason"] == "NotAcceptable"


@pytest.mark.conformance("[sig-api-machinery] Discovery should validate PreferredVersion for each APIGroup [Conformance]")
@pytest.mark.conformance(
    "[sig-api-machinery] Discovery should locate the groupVersion and a resource within each APIGroup [Conformance]"
)
def test_every_group_is_found_by_discovery(space: Space) -> None:
    groups = space.api.raw("GET", "/apis")["groups"]
    assert len(groups) > 5
    for group in groups:
        assert group["preferredVersion"] in group["versions"]
        assert space.api.raw("GET", f"/apis/{group['name']}")["preferredVersion"] == group["preferredVersion"]
        for each in group["versions"]:
            listed = space.api.raw("GET", f"/apis/{each['groupVersion']}")
            assert listed["kind"] == "APIResourceList" and listed["groupVersion"] == each["groupVersion"]
            assert listed["resources"] and all(it["name"] and it["kind"] and it["verbs"] for it in listed["resources"])


AGGREGATED = "[sig-api-machinery] AggregatedDiscovery should support"


@pytest.mark.conformance(f"{AGGREGATED} aggregated discovery interface [Conformance]")
@pytest.mark.conformance(f"{AGGREGATED} raw aggregated discovery endpoint Accept headers [Conformance]")
def test_all_groups_in_two_documents(space: Space) -> None:
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    for path, group, plural in (("/api", "", "pods"), ("/apis", "apps", "deployments")):
        found = space.api.raw("GET", path, Accept=accept)
        assert (found["kind"], found["apiVersion"]) == ("APIGroupDiscoveryList", "apidiscovery.k8s.io/v2")
        (item,) = [it for it in found["items"] if it["metadata"].get("name", "") == group]
        assert plural in [it["resource"] for it in item["versions"][0]["resources"]]


@pytest.mark.conformance("[sig-api-machinery] server version should find the server version [Conformance]")
def test_the_servers_version(space: Space) -> None:
    found = space.api.raw("GET", "/version")
    assert found["major"].isdigit() and found["minor"].isdigit()


def refusal(space: Space, resource: Resource, text: str) -> str:
    path = f"{resource.path(space.name)}?fieldValidation=Strict"
    answer = space.api.request("POST", path, text.encode(), Content_Type="application/json")
    assert answer.status == 400, answer.body
    return str(json.loads(answer.body)["message"])


@pytest.mark.conformance(
    "[sig-api-machinery] FieldValidation should detect unknown and duplicate fields of a typed object [Conformance]"
)
def test_unknown_and_duplicate_fields_are_refused(space: Space) -> None:
    made = {"apiVersion": "apps/v1", "kind": "Deployment", **controller("w")}
    made["spec"]["unknownField"] = "foo"
    text = json.dumps(made).replace('"replicas": 1', '"replicas": 1, "replicas": 2')
    said = refusal(space, DEPLOYMENTS, text)
    assert "strict decoding error: " in said
    assert 'unknown field "spec.unknownField"' in said and 'duplicate field "spec.replicas"' in said


@pytest.mark.conformance(
    "[sig-api-machinery] FieldValidation should detect unknown metadata fields of a typed object [Conformance]"
)
def test_unknown_fields_of_metadata_are_refused(space: Space) -> None:
    made = {"apiVersion": "apps/v1", "kind": "Deployment", **controller("w")}
    made["metadata"]["unknownMeta"] = "unknown"
    made["spec"]["template"]["metadata"]["unknownMeta"] = "unknown"
    said = refusal(space, DEPLOYMENTS, json.dumps(made))
    assert 'unknown field "metadata.unknownMeta"' in said and 'unknown field "spec.template.metadata.unknownMeta"' in said


NAMESPACE = "[sig-api-machinery] Namespaces [Serial] should"


@pytest.fixture
def other(space: Space) -> Iterator[str]:
    """A second namespace, which the test may delete."""
    name = f"{space.name}-x"
    space.api.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", **named(name)})
    yield name
    try:
        space.api.delete(NAMESPACES, name)
    except NotFound:
        pass


def gone(space: Space, name: str) -> None:
    def look() -> bool:
        try:
            space.api.get(NAMESPACES, name)
        except NotFound:
            return True
        return False

    eventually(look)


@pytest.mark.conformance(f"{NAMESPACE} patch a Namespace [Conformance]")
@pytest.mark.conformance(f"{NAMESPACE} apply an update to a Namespace [Conformance]")
def test_a_namespace_is_patched_and_updated(space: Space, other: str) -> None:
    patched = space.api.patch(NAMESPACES, other, {"metadata": {"labels": {"testLabel": "testValue"}}}, kind="strategic")
    assert patched["metadata"]["labels"] == {"kubernetes.io/metadata.name": other, "testLabel": "testValue"}

    def update() -> Obj:
        found = space.api.get(NAMESPACES, other)
        found["metadata"]["labels"]["testLabel"] = "updated"
        return space.api.update(NAMESPACES, found)

    assert eventually(update)["metadata"]["labels"]["testLabel"] == "updated"


@pytest.mark.conformance(f"{NAMESPACE} apply changes to a namespace status [Conformance]")
def test_the_status_of_a_namespace(space: Space, other: str) -> None:
    found = space.api.get(NAMESPACES, other, subresource="status")
    assert found["status"]["phase"] == "Active"
    condition = {"type": "StatusPatch", "status": "True", "reason": "E2E", "message": "Patched by an e2e test"}
    patched = space.api.patch(NAMESPACES, other, {"status": {"conditions": [condition]}}, subresource="status")
    assert patched["status"]["conditions"][0]["reason"] == "E2E"

    def update() -> Any:
        found = space.api.get(NAMESPACES, other, subresource="status")
        found["status"]["conditions"].append({**condition, "type": "StatusUpdate"})
        return space.api.update(NAMESPACES, found, subresource="status")

    assert [it["type"] for it in eventually(update)["status"]["conditions"]] == ["StatusPatch", "StatusUpdate"]


@pytest.mark.conformance(f"{NAMESPACE} apply a finalizer to a Namespace [Conformance]")
def test_a_finalizer_of_a_namespace(space: Space, other: str) -> None:
    def finalize(change: list[str]) -> Obj:
        found = space.api.get(NAMESPACES, other)
        found["spec"]["finalizers"] = ["kubernetes", *change]
        return space.api.update(NAMESPACES, found, subresource="finalize")

    assert eventually(lambda: finalize(["e2e.example.com/fakeFinalizer"]))["spec"]["finalizers"][1:] == [
        "e2e.example.com/fakeFinalizer"
    ]
    assert eventually(lambda: finalize([]))["spec"]["finalizers"] == ["kubernetes"]


@pytest.mark.conformance(f"{NAMESPACE} ensure that all pods are removed when a namespace is deleted [Conformance]")
@pytest.mark.conformance(f"{NAMESPACE} ensure that all services are removed when a namespace is deleted [Conformance]")
def test_nothing_is_left_of_a_deleted_namespace(space: Space, other: str) -> None:
    inside = Space(space.cluster, space.api, other)
    eventually(lambda: inside.create(PODS, pod(SLEEP)))
    inside.create(SERVICES, service("s"))
    inside.until(PODS, "pod", lambda it: it["status"]["phase"] == "Running")
    space.api.delete(NAMESPACES, other)
    gone(space, other)
    space.api.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", **named(other)})
    assert inside.list(PODS) == [] and inside.list(SERVICES) == []


@pytest.mark.conformance("[sig-api-machinery] OrderedNamespaceDeletion namespace deletion should delete pod first [Conformance]")
def test_pods_are_deleted_before_the_rest_of_a_namespace(space: Space, other: str) -> None:
    inside = Space(space.cluster, space.api, other)
    held = pod(SLEEP)
    held["metadata"]["finalizers"] = ["e2e.example.com/finalizer"]
    eventually(lambda: inside.create(PODS, held))
    inside.create(CONFIG_MAPS, named("stays", {"for": "now"}))
    space.api.delete(NAMESPACES, other)
    inside.until(PODS, "pod", lambda it: it["metadata"].get("deletionTimestamp"))

    def told() -> bool:
        conditions = space.api.get(NAMESPACES, other)["status"].get("conditions") or ()
        return any(
            it["type"] == "NamespaceDeletionContentFailure" or it["type"] == "NamespaceContentRemaining" for it in conditions
        )

    eventually(told)
    assert inside.exists(CONFIG_MAPS, "stays")
    inside.patch(PODS, "pod", {"metadata": {"finalizers": None}})
    gone(space, other)
