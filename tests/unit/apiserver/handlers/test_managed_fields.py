"""metadata.managedFields after creates, updates and patches: who owns what, and how a client may change that."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from tests.fakes.server import World, config_map, pod, world

from steersman.api.resources import CONFIG_MAPS, DEPLOYMENTS, PODS
from steersman.machinery.meta import Obj

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
MAP = "/api/v1/namespaces/default/configmaps/settings"
POD = "/api/v1/namespaces/default/pods/web"
DEPLOYMENT = "/apis/apps/v1/namespaces/default/deployments/web"
NEW_POD = {
    "f:metadata": {"f:labels": {".": {}, "f:a": {}}},
    "f:spec": {
        "f:containers": {
            'k:{"name":"c"}': {
                ".": {},
                "f:image": {},
                "f:imagePullPolicy": {},
                "f:name": {},
                "f:resources": {},
                "f:terminationMessagePath": {},
                "f:terminationMessagePolicy": {},
            }
        },
        "f:dnsPolicy": {},
        "f:enableServiceLinks": {},
        "f:restartPolicy": {},
        "f:schedulerName": {},
        "f:securityContext": {},
        "f:terminationGracePeriodSeconds": {},
    },
}


def deployment(**spec: Any) -> Obj:
    labels = {"matchLabels": {"a": "b"}}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": labels, "template": template, **spec},
    }


def owned(obj: Obj) -> dict[str, Obj]:
    """What each manager owns, with the subresource it wrote through: `kubelet/status`."""
    entries = obj["metadata"].get("managedFields") or []
    return {"/".join(filter(None, (entry["manager"], entry.get("subresource")))): entry["fieldsV1"] for entry in entries}


async def put(w: World, path: str, obj: Obj, agent: str = "tester/1") -> Obj:
    return await w.obj("PUT", path, obj, user_agent=agent)


async def patch(w: World, path: str, body: Any, agent: str = "tester/1", kind: str = MERGE) -> Obj:
    return await w.obj("PATCH", path, body, content_type=kind, user_agent=agent)


def test_a_creator_owns_everything_that_was_sent_or_defaulted() -> None:
    async def scenario() -> None:
        async with world() as w:
            made = await w.obj("POST", PODS.path("default"), pod(labels={"a": "b"}), user_agent="kubectl/v1.32.0 (linux/amd64)")
            assert made["metadata"]["managedFields"] == [
                {
                    "manager": "kubectl",
                    "operation": "Update",
                    "apiVersion": "v1",
                    "time": "2026-01-01T00:00:00Z",
                    "fieldsType": "FieldsV1",
                    "fieldsV1": NEW_POD,
                }
            ]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("query", "agent", "manager"),
    [
        ("?fieldManager=me", "kubectl/v1.32", "me"),
        ("", "curl/8.0", "curl"),
        ("", "Mozilla 5.0 (X11) / x", "Mozilla 5.0 (X11) "),
        ("", "/", "unknown"),
        ("", "x" * 200, "x" * 128),
    ],
)
def test_the_manager_is_the_one_that_was_named_or_the_user_agent(query: str, agent: str, manager: str) -> None:
    async def scenario() -> None:
        async with world() as w:
            body = {**config_map(), "data": {"a": "1"}}
            made = await w.obj("POST", CONFIG_MAPS.path("default") + query, body, user_agent=agent)
            assert owned(made) == {manager: {"f:data": {".": {}, "f:a": {}}}}

    asyncio.run(scenario())


def test_what_is_changed_goes_over_to_who_changed_it_and_a_write_of_the_same_is_no_write() -> None:
    async def scenario() -> None:
        async with world() as w:
            body = {**config_map(), "data": {"a": "1", "b": "1"}}
            first = await w.obj("POST", CONFIG_MAPS.path("default"), body, user_agent="one/1")
            await w.clock.advance(10)
            second = await patch(w, MAP, {"data": {"a": "2", "c": "1"}}, "two/1")
            assert owned(second) == {"one": {"f:data": {".": {}, "f:b": {}}}, "two": {"f:data": {"f:a": {}, "f:c": {}}}}
            assert [entry["time"][-3:] for entry in second["metadata"]["managedFields"]] == ["00Z", "10Z"]
            await w.clock.advance(10)
            assert await put(w, MAP, second, "three/1") == second
            third = await patch(w, MAP, {"data": {"b": None}}, "three/1")
            assert list(owned(third)) == ["one", "two"]
            assert third["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]

    asyncio.run(scenario())


def test_writers_of_the_status_own_no_spec_and_the_reverse() -> None:
    async def scenario() -> None:
        async with world() as w:
            await w.obj("POST", PODS.path("default"), pod(), user_agent="kubectl/1")
            status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
            body = {"status": status, "spec": {"terminationGracePeriodSeconds": 5}, "metadata": {"labels": {"x": "y"}}}
            patched = await patch(w, POD + "/status", body, "kubelet/1", STRATEGIC)
            item: Obj = {".": {}, "f:lastProbeTime": {}, "f:status": {}, "f:type": {}}
            conditions = {".": {}, 'k:{"type":"Ready"}': item}
            assert owned(patched)["kubelet/status"]["f:status"] == {"f:conditions": conditions, "f:phase": {}}
            assert "f:spec" not in owned(patched)["kubelet/status"]
            assert patched["spec"]["terminationGracePeriodSeconds"] == 30
            main = await patch(w, POD, {"status": {"phase": "Failed"}}, "other/1", STRATEGIC)
            assert main == patched

    asyncio.run(scenario())


def test_binding_a_pod_is_owned_by_nobody() -> None:
    async def scenario() -> None:
        async with world() as w:
            made = await w.client.create(PODS, pod())
            binding = {"metadata": {"name": "web"}, "target": {"kind": "Node", "name": "n"}}
            await w.client.create(PODS, binding, "default", name="web", subresource="binding")
            found = await w.client.get(PODS, "web", "default")
            assert found["spec"]["nodeName"] == "n"
            assert found["metadata"]["managedFields"] == made["metadata"]["managedFields"]

    asyncio.run(scenario())


@pytest.mark.parametrize("entries", [[], [{}]])
def test_managed_fields_are_forgotten_on_request_and_stay_so(entries: list[Obj]) -> None:
    async def scenario() -> None:
        async with world() as w:
            await w.client.create(CONFIG_MAPS, {**config_map(), "data": {"a": "1"}})
            assert owned(await patch(w, MAP, {"metadata": {"managedFields": entries}})) == {}
            assert owned(await patch(w, MAP, {"data": {"a": "2"}})) == {}

    asyncio.run(scenario())


def test_the_same_by_update() -> None:
    async def scenario() -> None:
        async with world() as w:
            made = await w.client.create(CONFIG_MAPS, {**config_map(), "data": {"a": "1"}})
            made["metadata"]["managedFields"] = []
            assert owned(await put(w, MAP, made)) == {}

    asyncio.run(scenario())


def test_who_does_not_know_of_managed_fields_does_not_lose_them() -> None:
    async def scenario() -> None:
        async with world() as w:
            await w.client.create(CONFIG_MAPS, {**config_map(), "data": {"a": "1"}})
            assert owned(await put(w, MAP, {**config_map(), "data": {"a": "1"}})) == {"tests": {"f:data": {".": {}, "f:a": {}}}}

    asyncio.run(scenario())


def test_managed_fields_that_a_client_sends_are_taken_if_they_make_sense() -> None:
    async def scenario() -> None:
        async with world() as w:
            made = await w.client.create(CONFIG_MAPS, {**config_map(), "data": {"a": "1"}})
            entry = made["metadata"]["managedFields"][0]
            sent = {**entry, "manager": "other", "fieldsV1": {"f:data": {"f:a": {".": {}}}}}
            told = await patch(w, MAP, {"metadata": {"managedFields": [sent]}})
            assert owned(told) == {"other": {"f:data": {"f:a": {}}}}
            broken = await patch(w, MAP, {"metadata": {"managedFields": [{**entry, "fieldsType": "V9"}]}})
            assert owned(broken) == owned(told)
            # Through a subresource nobody changes who owns what.
            await w.client.create(PODS, pod())
            body = {"metadata": {"managedFields": []}, "status": {"phase": "Running"}}
            assert sorted(owned(await patch(w, POD + "/status", body))) == ["tester/status", "tests"]

    asyncio.run(scenario())


def test_a_creator_may_bring_managed_fields() -> None:
    async def scenario() -> None:
        async with world() as w:
            entry = {
                "manager": "m",
                "operation": "Apply",
                "apiVersion": "v1",
                "fieldsType": "FieldsV1",
                "fieldsV1": {"f:data": {}},
            }
            body = {**config_map(managedFields=[entry]), "data": {"a": "1"}}
            made = await w.obj("POST", CONFIG_MAPS.path("default"), body)
            assert owned(made) == {"unknown": {"f:data": {".": {}, "f:a": {}}}}

    asyncio.run(scenario())


def test_writing_the_scale_takes_the_replicas_over() -> None:
    async def scenario() -> None:
        async with world() as w:
            await w.obj("POST", DEPLOYMENTS.path("default"), deployment(replicas=1), user_agent="kubectl/1")
            await patch(w, DEPLOYMENT + "/scale", {"spec": {"replicas": 3}}, "scaler/1")
            found = owned(await w.obj("GET", DEPLOYMENT))
            assert found["scaler/scale"] == {"f:spec": {"f:replicas": {}}}
            assert "f:replicas" not in found["kubectl"]["f:spec"]
            scale = await w.obj("GET", DEPLOYMENT + "/scale")
            await put(w, DEPLOYMENT + "/scale", {**scale, "spec": {"replicas": 4}}, "other/1")
            assert sorted(owned(await w.obj("GET", DEPLOYMENT))) == ["kubectl", "other/scale"]
            assert "managedFields" not in scale["metadata"]

    asyncio.run(scenario())


def test_structs_that_are_always_there_are_not_owned_but_what_is_in_them() -> None:
    async def scenario() -> None:
        async with world() as w:
            made = await w.client.create(DEPLOYMENTS, deployment())
            spec = owned(made)["tests"]["f:spec"]
            assert spec["f:strategy"] == {
                "f:rollingUpdate": {".": {}, "f:maxSurge": {}, "f:maxUnavailable": {}},
                "f:type": {},
            }
            assert "." not in spec and "." not in spec["f:template"] and "." not in spec["f:template"]["f:spec"]
            assert spec["f:template"]["f:metadata"] == {"f:labels": {".": {}, "f:a": {}}}
            assert spec["f:selector"] == {}

    asyncio.run(scenario())


def test_more_than_ten_updaters_are_folded() -> None:
    async def scenario() -> None:
        async with world() as w:
            await w.obj("POST", CONFIG_MAPS.path("default"), {**config_map(), "data": {"x": "1"}}, user_agent="creator/1")
            for number in range(12):
                await w.clock.advance(1)
                found = await patch(w, MAP, {"data": {str(number): "1"}}, f"m{number}/1")
            assert len(owned(found)) == 10 and "ancient-changes" in owned(found)
            fields = [path for entry in owned(found).values() for path in entry["f:data"] if path != "."]
            assert len(fields) == 13

    asyncio.run(scenario())


def test_a_dry_run_tells_who_would_own_what() -> None:
    async def scenario() -> None:
        async with world() as w:
            body = {**config_map(), "data": {"a": "1"}}
            assert list(owned(await w.obj("POST", CONFIG_MAPS.path("default") + "?dryRun=All", body, user_agent="x/1"))) == ["x"]
            await w.client.create(CONFIG_MAPS, body)
            told = await w.obj("PATCH", MAP + "?dryRun=All", {"data": {"b": "1"}}, content_type=MERGE, user_agent="y/1")
            assert list(owned(told)) == ["tests", "y"]
            assert list(owned(await w.obj("GET", MAP))) == ["tests"]

    asyncio.run(scenario())


def test_a_lookalike_that_only_moves_times_is_no_write() -> None:
    async def scenario() -> None:
        async with world() as w:
            made = await w.client.create(CONFIG_MAPS, {**config_map(), "data": {"a": "1"}})
            later = orjson.loads(orjson.dumps(made))
            later["metadata"]["managedFields"][0]["time"] = "2030-01-01T00:00:00Z"
            assert await put(w, MAP, later) == made

    asyncio.run(scenario())


TABLE, PARTIAL = (f"application/json;as={form};v=v1;g=meta.k8s.io" for form in ("Table", "PartialObjectMetadata"))


def test_every_form_of_an_object_shows_managed_fields() -> None:
    async def scenario() -> None:
        async with world() as w:
            made = await w.client.create(PODS, pod())
            entries = made["metadata"]["managedFields"]
            # Also when a part of the server has looked at the object.
            pods = w.server.api.registry.lister(PODS)
            await pods.settle()
            kept = pods.get("default", "web")
            assert kept is not None and "managedFields" not in kept["metadata"]
            for accept in (PARTIAL, TABLE):
                found = await w.obj("GET", POD, accept=accept)
                shown = found["rows"][0]["object"] if found["kind"] == "Table" else found
                assert shown["metadata"]["managedFields"] == entries
            listed = await w.obj("GET", PODS.path("default"))
            assert listed["items"][0]["metadata"]["managedFields"] == entries

    asyncio.run(scenario())
