"""create, get, update, patch and delete of any kind: what is stored, what is answered, what is refused."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from tests.fakes.server import config_map, pod, world

from steersman.api.resources import CONFIG_MAPS, NAMESPACES, PODS
from steersman.apiserver.contracts import AdmissionRequest
from steersman.machinery.errors import AlreadyExists, BadRequest, Conflict, Invalid, NotFound, StatusError

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
UNDECODABLE = ' "" is invalid: patch: Invalid value: "map[%s]": cannot restore %s'
DRY_RUN = 'CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["x"]: supported values: "All"'
NAMESPACE = "the namespace of the provided object does not match the namespace sent on the request"
MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"
STALE_POD = f'Operation cannot be fulfilled on pods "web": {MODIFIED}'
REJECTED = "the server rejected our request due to an error in our request"
OTHER_NAME = "the name of the object (other) does not match the name on the URL (web)"
MAPS = "/api/v1/namespaces/default/configmaps"
A_PODS = "/api/v1/namespaces/default/pods"


def test_create_gives_identity_and_the_same_bytes_to_every_reader() -> None:
    async def scenario() -> None:
        async with world() as w:
            answer = await w.raw("POST", MAPS, config_map(uid="mine", creationTimestamp="2001-01-01T00:00:00Z"))
            assert answer.status == 201
            made = orjson.loads(answer.body)
            assert made["metadata"]["uid"] != "mine" and len(made["metadata"]["uid"]) == 36
            assert made["metadata"]["creationTimestamp"] == "2026-01-01T00:00:00Z"
            assert (await w.raw("GET", f"{MAPS}/settings")).body == answer.body
            listed = await w.obj("GET", MAPS)
            assert listed["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
            assert listed["items"] == [{key: value for key, value in made.items() if key not in ("kind", "apiVersion")}]

    asyncio.run(scenario())


def test_generated_names_are_tried_anew_until_one_is_free() -> None:
    async def scenario() -> None:
        async with world() as w:
            w.server.api.rng.seed(1)
            first = await w.client.create(PODS, pod("", generateName="web-"), "default")
            w.server.api.rng.seed(1)
            second = await w.client.create(PODS, pod("", generateName="web-"), "default")
            names = [first["metadata"]["name"], second["metadata"]["name"]]
            assert len(set(names)) == 2 and all(name.startswith("web-") and len(name) == 9 for name in names)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("target", "body", "error", "text"),
    [
        (MAPS, config_map(namespace="other"), BadRequest, NAMESPACE),
        (MAPS, config_map(resourceVersion="5"), StatusError, "resourceVersion should not be set on objects to be created"),
        (MAPS + "?dryRun=x", config_map(), Invalid, DRY_RUN),
        ("/api/v1/configmaps", config_map(), StatusError, "the server does not allow this method on the requested resource"),
        ("/api/v1/namespaces/default/nothings", config_map(), NotFound, "the server could not find the requested resource"),
    ],
)  # fmt: skip
def test_creates_are_refused_with_upstreams_words(target: str, body: Any, error: type[StatusError], text: str) -> None:
    async def scenario() -> None:
        async with world() as w:
            status = await w.obj("POST", target, body)
            assert status["message"] == text
            assert (status.get("reason") or "") == error.reason or error is StatusError

    asyncio.run(scenario())


def test_a_second_create_is_refused_and_says_so_when_the_first_is_being_deleted() -> None:
    async def scenario() -> None:
        async with world() as w:
            await w.client.create(CONFIG_MAPS, config_map(finalizers=["example.com/hold"]))
            with pytest.raises(AlreadyExists, match='^configmaps "settings" already exists$'):
                await w.client.create(CONFIG_MAPS, config_map())
            await w.client.delete(CONFIG_MAPS, "settings", "default")
            with pytest.raises(AlreadyExists, match='^object is being deleted: configmaps "settings" already exists$'):
                await w.client.create(CONFIG_MAPS, config_map())

    asyncio.run(scenario())


def test_dry_run_answers_but_stores_nothing() -> None:
    async def scenario() -> None:
        async with world() as w:
            made = await w.obj("POST", MAPS + "?dryRun=All", config_map())
            assert made["metadata"]["uid"] and "resourceVersion" not in made["metadata"]
            with pytest.raises(NotFound):
                await w.client.get(CONFIG_MAPS, "settings", "default")
            await w.client.create(CONFIG_MAPS, config_map())
            changed = await w.obj("PUT", f"{MAPS}/settings?dryRun=All", {**config_map(), "data": {"a": "b"}})
            assert changed["data"] == {"a": "b"}
            deleted = await w.obj("DELETE", f"{MAPS}/settings?dryRun=All")
            assert deleted["status"] == "Success"
            assert "data" not in await w.client.get(CONFIG_MAPS, "settings", "default")

    asyncio.run(scenario())


def test_an_update_needs_the_newest_version_if_it_names_one() -> None:
    async def scenario() -> None:
        async with world() as w:
            made = await w.client.create(CONFIG_MAPS, config_map())
            newer = await w.client.update(CONFIG_MAPS, {**made, "data": {"n": "1"}})
            text = (
                'Operation cannot be fulfilled on configmaps "settings": the object has been modified; please apply your '
                "changes to the latest version and try again"
            )
            with pytest.raises(Conflict) as caught:
                await w.client.update(CONFIG_MAPS, {**made, "data": {"n": "2"}})
            assert caught.value.message == text
            unconditional = await w.client.update(CONFIG_MAPS, {**config_map(), "data": {"n": "3"}})
            assert unconditional["metadata"]["uid"] == made["metadata"]["uid"]
            assert int(unconditional["metadata"]["resourceVersion"]) > int(newer["metadata"]["resourceVersion"])
            with pytest.raises(Conflict, match="UID in precondition: other"):
                await w.client.update(CONFIG_MAPS, config_map(uid="other"))

    asyncio.run(scenario())


def test_a_write_that_changes_nothing_makes_no_new_version() -> None:
    async def scenario() -> None:
        async with world() as w:
            made = await w.client.create(CONFIG_MAPS, config_map())
            assert await w.client.update(CONFIG_MAPS, made) == made
            assert await w.client.patch(CONFIG_MAPS, "settings", {"metadata": {"labels": None}}, "default") == made
            assert (await w.client.list(CONFIG_MAPS))["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]

    asyncio.run(scenario())


def test_status_and_spec_are_written_apart() -> None:
    async def scenario() -> None:
        async with world() as w:
            made = await w.client.create(PODS, {**pod(), "status": {"phase": "Running"}})
            assert made.get("status", {}).get("phase") != "Running"
            status = {**made, "status": {"phase": "Running"}, "spec": {"containers": [{"name": "other", "image": "x"}]}}
            updated = await w.client.update(PODS, status, subresource="status")
            assert updated["status"]["phase"] == "Running" and updated["spec"] == made["spec"]
            again = await w.client.patch(
                PODS, "web", {"metadata": {"labels": {"a": "b"}}, "status": {"phase": "Failed"}}, "default"
            )
            assert again["status"]["phase"] == "Running" and again["metadata"]["labels"] == {"a": "b"}

    asyncio.run(scenario())


def test_patches_of_all_three_formats_apply() -> None:
    async def scenario() -> None:
        async with world() as w:
            await w.client.create(PODS, pod())
            await w.client.patch(
                PODS, "web", [{"op": "add", "path": "/metadata/labels", "value": {"a": "1"}}], "default", kind="json"
            )
            await w.client.patch(PODS, "web", {"metadata": {"labels": {"b": "2"}}}, "default", kind="merge")
            image = {"spec": {"containers": [{"name": "c", "image": "nginx:2"}]}}
            patched = await w.client.patch(PODS, "web", image, "default", kind="strategic")
            assert patched["metadata"]["labels"] == {"a": "1", "b": "2"}
            assert [item["image"] for item in patched["spec"]["containers"]] == ["nginx:2"]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("content_type", "body", "code", "text"),
    [
        ("application/apply-patch+cbor", {}, 415, "415: Unsupported Media Type"),
        (MERGE, {"metadata": {"resourceVersion": "1"}}, 409, STALE_POD),
        (MERGE, {"metadata": {"name": "other"}}, 400, OTHER_NAME),
        (JSON_PATCH, [{"op": "test", "path": "/kind", "value": "x"}], 422, REJECTED),
        (STRATEGIC, {"spec": {"containers": "x"}}, 422, UNDECODABLE % ("spec:map[containers:x]", "slice from string")),
        (STRATEGIC, {"metadata": {"labels": [1]}}, 422, UNDECODABLE % ("metadata:map[labels:[1]]", "map from slice")),
    ],
)  # fmt: skip
def test_patches_are_refused_with_upstreams_words(content_type: str, body: Any, code: int, text: str) -> None:
    async def scenario() -> None:
        async with world() as w:
            await w.client.create(PODS, pod())
            answer = await w.raw("PATCH", f"{A_PODS}/web", body, content_type=content_type)
            assert (answer.status, orjson.loads(answer.body)["message"]) == (code, text)

    asyncio.run(scenario())


def test_concurrent_patches_all_arrive() -> None:
    async def scenario() -> None:
        async with world() as w:
            await w.client.create(CONFIG_MAPS, config_map())
            async with asyncio.TaskGroup() as tasks:
                for number in range(20):
                    tasks.create_task(w.client.patch(CONFIG_MAPS, "settings", {"data": {f"k{number}": "x"}}, "default"))
            assert len((await w.client.get(CONFIG_MAPS, "settings", "default"))["data"]) == 20

    asyncio.run(scenario())


def test_finalizers_hold_an_object_until_the_last_one_goes() -> None:
    async def scenario() -> None:
        async with world() as w:
            await w.client.create(CONFIG_MAPS, config_map(finalizers=["example.com/hold"]))
            held = await w.client.delete(CONFIG_MAPS, "settings", "default")
            assert held["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:00Z"
            assert held["metadata"]["deletionGracePeriodSeconds"] == 0
            assert (await w.client.delete(CONFIG_MAPS, "settings", "default"))["metadata"] == held["metadata"]
            await w.client.patch(CONFIG_MAPS, "settings", {"metadata": {"finalizers": None}}, "default")
            with pytest.raises(NotFound):
                await w.client.get(CONFIG_MAPS, "settings", "default")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("policy", "finalizers"), [("Foreground", ["foregroundDeletion"]), ("Orphan", ["orphan"]), ("Background", None)]
)
def test_the_propagation_policy_sets_the_garbage_collectors_finalizer(policy: str, finalizers: list[str] | None) -> None:
    async def scenario() -> None:
        async with world() as w:
            await w.client.create(CONFIG_MAPS, config_map())
            answer = await w.client.delete(CONFIG_MAPS, "settings", "default", propagation=policy)
            assert answer.get("metadata", {}).get("finalizers") == finalizers
            assert (answer.get("status") == "Success") is (finalizers is None)

    asyncio.run(scenario())


def test_preconditions_of_a_deletion_are_kept() -> None:
    async def scenario() -> None:
        async with world() as w:
            made = await w.client.create(CONFIG_MAPS, config_map())
            with pytest.raises(Conflict, match=r"the UID in the precondition \(x\) does not match the UID in record"):
                await w.client.delete(CONFIG_MAPS, "settings", "default", uid="x")
            with pytest.raises(Conflict, match=r"the ResourceVersion in the precondition \(1\) does not match"):
                await w.client.delete(CONFIG_MAPS, "settings", "default", resource_version="1")
            status = await w.client.delete(CONFIG_MAPS, "settings", "default", uid=made["metadata"]["uid"])
            assert status["details"] == {"name": "settings", "kind": "configmaps", "uid": made["metadata"]["uid"]}

    asyncio.run(scenario())


def test_a_namespace_goes_only_when_it_is_finalized() -> None:
    async def scenario() -> None:
        async with world() as w:
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}, "spec": {"finalizers": ["kubernetes"]}}
            await w.client.create(NAMESPACES, body)
            marked = await w.client.delete(NAMESPACES, "team")
            assert marked["status"]["phase"] == "Terminating" and marked["metadata"]["deletionTimestamp"]
            await w.client.update(NAMESPACES, {**marked, "spec": {}}, subresource="finalize")
            with pytest.raises(NotFound):
                await w.client.get(NAMESPACES, "team")

    asyncio.run(scenario())


def test_deletecollection_deletes_what_the_selector_finds_and_answers_the_list() -> None:
    async def scenario() -> None:
        async with world() as w:
            for number in range(5):
                await w.client.create(CONFIG_MAPS, config_map(f"m{number}", labels={"odd": str(number % 2)}))
            answer = await w.client.delete_collection(CONFIG_MAPS, "default", label_selector="odd=1")
            assert [item["metadata"]["name"] for item in answer["items"]] == ["m1", "m3"]
            left = await w.client.list(CONFIG_MAPS, "default")
            assert [item["metadata"]["name"] for item in left["items"]] == ["m0", "m2", "m4"]

    asyncio.run(scenario())


def test_put_creates_only_the_kinds_that_allow_it() -> None:
    async def scenario() -> None:
        async with world() as w:
            lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l", "namespace": "default"}}
            target = "/apis/coordination.k8s.io/v1/namespaces/default/leases/l"
            assert (await w.raw("PUT", target, lease)).status in (201, 422)
            assert (await w.raw("PUT", f"{MAPS}/settings", config_map())).status == 404
            limits = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l"}, "spec": {"limits": [{"type": "Pod"}]}}
            assert (await w.raw("PUT", "/api/v1/namespaces/default/limitranges/l", limits)).status == 201

    asyncio.run(scenario())


class Recorder:
    """An admission plugin that labels what it sees and refuses what is called bad."""

    name = "Recorder"

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str]] = []

    async def admit(self, request: AdmissionRequest) -> None:
        self.seen.append(("admit", request.operation, request.subresource))
        if request.obj is not None:
            request.obj["metadata"].setdefault("labels", {})["seen"] = "yes"

    async def validate(self, request: AdmissionRequest) -> None:
        self.seen.append(("validate", request.operation, request.subresource))
        if request.name == "bad":
            raise BadRequest("bad name")


def test_admission_changes_and_refuses_every_write() -> None:
    async def scenario() -> None:
        plugin = Recorder()
        async with world(admission=[plugin]) as w:
            made = await w.client.create(CONFIG_MAPS, config_map())
            assert made["metadata"]["labels"] == {"seen": "yes"}
            with pytest.raises(BadRequest):
                await w.client.create(CONFIG_MAPS, config_map("bad"))
            await w.client.patch(CONFIG_MAPS, "settings", {"data": {"a": "b"}}, "default")
            await w.client.delete(CONFIG_MAPS, "settings", "default")
            operations = [operation for step, operation, _ in plugin.seen if step == "validate"]
            assert operations == ["CREATE", "CREATE", "UPDATE", "DELETE"]

    asyncio.run(scenario())
