"""Server-side apply through the API server: what is made, merged, given up, refused and told."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import orjson
import pytest
from tests.fakes.server import World, config_map, world
from tests.unit.apiserver.crd.test_custom_resources import CRDS, crd, eventually
from tests.unit.apiserver.handlers.test_managed_fields import DEPLOYMENT, MAP, deployment, owned, patch

from steersman.api.resources import CONFIG_MAPS, DEPLOYMENTS, HORIZONTAL_POD_AUTOSCALERS
from steersman.client.interface import Answer
from steersman.machinery.meta import Obj

APPLY = "application/apply-patch+yaml"
ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
CRON = "/apis/stable.example.com/v1/namespaces/default/crontabs/x"


async def raw(w: World, path: str, config: Any, manager: str = "one", options: str = "", **headers: str) -> Answer:
    query = "&".join(filter(None, (f"fieldManager={manager}" if manager else "", options)))
    return await w.raw("PATCH", f"{path}?{query}", config, content_type=APPLY, **headers)


async def apply(w: World, path: str, config: Any, manager: str = "one", options: str = "") -> Obj:
    answer = await raw(w, path, config, manager, options)
    found: Obj = orjson.loads(answer.body)
    assert answer.status in (200, 201), found
    return found


async def refused(w: World, path: str, config: Any, manager: str = "one", options: str = "") -> Obj:
    answer = await raw(w, path, config, manager, options)
    found: Obj = orjson.loads(answer.body)
    assert answer.status >= 400, found
    return found


def settings(**data: str) -> Obj:
    return {**config_map(), "data": data}


def test_applying_creates_then_merges_and_the_same_again_is_no_write() -> None:
    async def scenario() -> None:
        async with world() as w:
            answer = await raw(w, DEPLOYMENT, deployment(replicas=2))
            made = orjson.loads(answer.body)
            assert answer.status == 201
            assert made["spec"]["strategy"]["type"] == "RollingUpdate"
            container: Obj = {".": {}, "f:image": {}, "f:name": {}}
            template = {"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:containers": {'k:{"name":"c"}': container}}}
            assert owned(made) == {"one": {"f:spec": {"f:replicas": {}, "f:selector": {}, "f:template": template}}}
            await w.clock.advance(10)
            again = await raw(w, DEPLOYMENT, deployment(replicas=2))
            assert again.status == 200 and again.body == answer.body
            more = await apply(w, DEPLOYMENT, deployment(replicas=3, minReadySeconds=5))
            assert (more["spec"]["replicas"], more["spec"]["minReadySeconds"], more["metadata"]["generation"]) == (3, 5, 2)
            less = await apply(w, DEPLOYMENT, deployment())
            assert less["spec"]["replicas"] == 1 and "minReadySeconds" not in less["spec"]

    asyncio.run(scenario())


def test_yaml_is_applied_as_well() -> None:
    async def scenario() -> None:
        async with world() as w:
            body = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  a: '1'\n"
            assert (await apply(w, MAP, body))["data"] == {"a": "1"}

    asyncio.run(scenario())


def test_a_conflict_names_the_manager_and_its_field_and_force_takes_it() -> None:
    async def scenario() -> None:
        async with world() as w:
            await w.obj("POST", DEPLOYMENTS.path("default"), deployment(replicas=1), user_agent="kubectl/1")
            status = await refused(w, DEPLOYMENT, deployment(replicas=2))
            assert status == {
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Failure",
                "message": 'Apply failed with 1 conflict: conflict with "kubectl" using apps/v1: .spec.replicas',
                "reason": "Conflict",
                "details": {
                    "causes": [
                        {
                            "reason": "FieldManagerConflict",
                            "message": 'conflict with "kubectl" using apps/v1',
                            "field": ".spec.replicas",
                        }
                    ]
                },
                "code": 409,
            }
            forced = await apply(w, DEPLOYMENT, deployment(replicas=2), options="force=true")
            assert forced["spec"]["replicas"] == 2 and "f:replicas" not in owned(forced)["kubectl"]["f:spec"]

    asyncio.run(scenario())


def test_two_appliers_share_what_they_agree_on_and_each_gives_up_only_its_own() -> None:
    async def scenario() -> None:
        async with world() as w:
            await apply(w, MAP, settings(a="1", b="1"), "one")
            await apply(w, MAP, settings(b="1", c="1"), "two")
            assert (await apply(w, MAP, settings(), "one"))["data"] == {"b": "1", "c": "1"}
            emptied = await apply(w, MAP, {key: value for key, value in settings().items() if key != "data"}, "two")
            assert "data" not in emptied or emptied["data"] == {}

    asyncio.run(scenario())


NO_MANAGER = 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'
CASES: list[tuple[Any, str, str, int, str]] = [
    (settings(), "", "", 422, NO_MANAGER),
    ({"kind": "Pod", "apiVersion": "v1"}, "one", "", 400, "invalid object type: /v1, Kind=Pod"),
    ({}, "one", "", 400, "invalid object type: /, Kind="),
    (config_map(managedFields=[]), "one", "", 400, "metadata.managedFields must be nil"),
    ({**settings(), "foo": 1}, "one", "", 500, "failed to create typed patch object (default/settings; v1, Kind=ConfigMap): "
     ".foo: field not declared in schema"),
    ({**settings(), "data": {"a": 1}}, "one", "", 500, "failed to create typed patch object "
     "(default/settings; v1, Kind=ConfigMap): .data.a: expected string, got &value.valueUnstructured{Value:1}"),
    (config_map(name="other"), "one", "", 400,
     "the name of the object (other) does not match the name on the URL (settings)"),
    (config_map(namespace="other"), "one", "", 400,
     "the namespace of the provided object does not match the namespace sent on the request"),
    (config_map(uid="u"), "one", "", 409, 'Operation cannot be fulfilled on configmaps "settings": uid mismatch: '
     "the provided object specified uid u, and no existing object was found"),
    (b"a: [", "one", "", 400, "error decoding YAML: "),
]  # fmt: skip


@pytest.mark.parametrize(("config", "manager", "options", "code", "text"), CASES)
def test_what_cannot_be_applied_is_told_in_upstreams_words(config: Any, manager: str, options: str, code: int, text: str) -> None:
    async def scenario() -> None:
        async with world() as w:
            status = await refused(w, MAP, config, manager, options)
            assert status["code"] == code
            assert status["message"] == text or (text.endswith(": ") and status["message"].startswith(text))

    asyncio.run(scenario())


def test_only_apply_may_force() -> None:
    async def scenario() -> None:
        async with world() as w:
            await w.client.create(CONFIG_MAPS, config_map())
            status = await w.obj("PATCH", f"{MAP}?force=true", {}, content_type="application/merge-patch+json")
            assert status["code"] == 422 and "force: Forbidden: may not be specified for non-apply patch" in status["message"]

    asyncio.run(scenario())


def test_a_resource_version_or_uid_that_is_not_the_objects_is_refused() -> None:
    async def scenario() -> None:
        async with world() as w:
            made = await apply(w, MAP, settings(a="1"))
            version = made["metadata"]["resourceVersion"]
            assert (await apply(w, MAP, {**config_map(resourceVersion=version), "data": {"a": "2"}}))["data"] == {"a": "2"}
            assert (await refused(w, MAP, {**config_map(resourceVersion=version), "data": {"a": "3"}}))["code"] == 409
            assert (await refused(w, MAP, {**config_map(uid="other"), "data": {"a": "3"}}))["code"] == 409

    asyncio.run(scenario())


def test_creating_by_apply_needs_the_verb_create() -> None:
    async def scenario() -> None:
        async with world(denied=lambda info: info.verb == "create") as w:
            assert (await refused(w, MAP, settings()))["code"] == 403

    asyncio.run(scenario())


def test_a_dry_run_is_not_stored() -> None:
    async def scenario() -> None:
        async with world() as w:
            assert owned(await apply(w, MAP, settings(a="1"), options="dryRun=All")) == {"one": {"f:data": {"f:a": {}}}}
            assert (await w.raw("GET", MAP)).status == 404

    asyncio.run(scenario())


@pytest.mark.parametrize(("mode", "code"), [("Strict", 400), ("Warn", 201), ("Ignore", 201)])
def test_keys_that_are_there_twice_are_told_as_field_validation_says(mode: str, code: int) -> None:
    async def scenario() -> None:
        async with world() as w:
            body = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  a: '1'\n  a: '2'\n"
            answer = await raw(w, MAP, body, options=f"fieldValidation={mode}")
            told = 'yaml: unmarshal errors:\n  line 7: key "a" already set in map'
            assert answer.status == code
            if mode == "Strict":
                message = orjson.loads(answer.body)["message"]
                assert message == f"error strict decoding YAML: error converting YAML to JSON: {told}"
            assert ("warning" in answer.headers) == (mode == "Warn")

    asyncio.run(scenario())


def test_the_first_apply_to_an_object_that_nobody_owns_makes_an_owner_of_all_that_was_there() -> None:
    async def scenario() -> None:
        async with world() as w:
            await w.client.create(CONFIG_MAPS, settings(a="1", b="1"))
            await patch(w, MAP, {"metadata": {"managedFields": []}})
            status = await refused(w, MAP, settings(a="2"))
            assert status["message"] == 'Apply failed with 1 conflict: conflict with "before-first-apply" using v1: .data.a'
            found = await apply(w, MAP, settings(a="1"))
            assert owned(found) == {
                "one": {"f:data": {"f:a": {}}},
                "before-first-apply": {"f:data": {".": {}, "f:a": {}, "f:b": {}}},
            }

    asyncio.run(scenario())


def applied_by_client(obj: Obj) -> Obj:
    """As kubectl's client-side apply sends it."""
    text = orjson.dumps(obj).decode() + "\n"
    return {**obj, "metadata": {**obj["metadata"], "annotations": {ANNOTATION: text}}}


def test_kubectl_takes_over_from_its_client_side_apply_without_conflict() -> None:
    async def scenario() -> None:
        async with world() as w:
            query = "?fieldManager=kubectl-client-side-apply"
            await w.obj("POST", DEPLOYMENTS.path("default") + query, applied_by_client(deployment(replicas=1)))
            assert (await refused(w, DEPLOYMENT, deployment(replicas=2), "other"))["code"] == 409
            found = await apply(w, DEPLOYMENT, deployment(replicas=2), "kubectl")
            assert found["spec"]["replicas"] == 2
            assert orjson.loads(found["metadata"]["annotations"][ANNOTATION])["spec"]["replicas"] == 2
            await patch(w, DEPLOYMENT, {"spec": {"replicas": 5, "minReadySeconds": 1}}, "human/1")
            status = await refused(w, DEPLOYMENT, deployment(replicas=3, minReadySeconds=2), "kubectl")
            assert [cause["field"] for cause in status["details"]["causes"]] == [".spec.minReadySeconds", ".spec.replicas"]

    asyncio.run(scenario())


def test_status_is_applied_through_its_own_endpoint_only() -> None:
    async def scenario() -> None:
        async with world() as w:
            await apply(w, DEPLOYMENT, {**deployment(), "status": {"replicas": 5}})
            config = {key: value for key, value in deployment().items() if key != "spec"} | {"status": {"replicas": 3}}
            found = await apply(w, DEPLOYMENT + "/status", config, "controller")
            assert found["status"] == {"replicas": 3}
            assert owned(found)["controller/status"] == {"f:status": {"f:replicas": {}}}
            assert "f:status" not in owned(found)["one"]
            assert (await refused(w, DEPLOYMENT.replace("web", "none") + "/status", config))["code"] in (400, 404)

    asyncio.run(scenario())


def test_a_scale_is_applied_with_conflicts_of_its_own() -> None:
    async def scenario() -> None:
        async with world() as w:
            await apply(w, DEPLOYMENT, deployment(replicas=2))
            scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": {"replicas": 4}}
            status = await refused(w, DEPLOYMENT + "/scale", scale, "scaler")
            assert status["message"] == 'Apply failed with 1 conflict: conflict with "one": .spec.replicas'
            forced = await apply(w, DEPLOYMENT + "/scale", scale, "scaler", "force=true")
            assert forced["spec"] == {"replicas": 4}
            found = await w.obj("GET", DEPLOYMENT)
            assert owned(found)["scaler/scale"] == {"f:spec": {"f:replicas": {}}}
            assert found["metadata"]["managedFields"][1]["operation"] == "Apply"
            assert (await refused(w, DEPLOYMENT + "/scale", deployment(), "scaler"))["code"] == 400

    asyncio.run(scenario())


def test_an_admission_or_default_is_owned_by_no_applier() -> None:
    async def scenario() -> None:
        async with world() as w:
            found = await apply(w, DEPLOYMENT, deployment())
            fields = orjson.dumps(owned(found)["one"]).decode()
            assert "imagePullPolicy" not in fields and "strategy" not in fields
            assert found["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] == "Always"

    asyncio.run(scenario())


def test_ports_are_told_apart_by_their_default_protocol() -> None:
    async def scenario() -> None:
        async with world() as w:
            config = deployment()
            container = config["spec"]["template"]["spec"]["containers"][0]
            container["ports"] = [{"containerPort": 53, "name": "tcp"}, {"containerPort": 53, "protocol": "UDP", "name": "udp"}]
            await apply(w, DEPLOYMENT, config)
            container["ports"] = [{"containerPort": 53, "name": "renamed"}]
            found = await apply(w, DEPLOYMENT, config)
            assert found["spec"]["template"]["spec"]["containers"][0]["ports"] == [
                {"containerPort": 53, "protocol": "TCP", "name": "renamed"}
            ]

    asyncio.run(scenario())


def hpa(version: str, **spec: Any) -> Obj:
    return {
        "apiVersion": f"autoscaling/{version}",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web"},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 3, **spec},
    }


def test_managers_of_several_versions_are_each_asked_in_their_own() -> None:
    async def scenario() -> None:
        async with world() as w:
            path = HORIZONTAL_POD_AUTOSCALERS.path("default") + "/web"
            first = path.replace("/v2/", "/v1/")
            await apply(w, first, hpa("v1", targetCPUUtilizationPercentage=50), "one")
            metric = {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}},
            }
            status = await refused(w, path, hpa("v2", metrics=[metric]), "two")
            assert [cause["field"] for cause in status["details"]["causes"]] == [".spec.targetCPUUtilizationPercentage"]
            forced = await apply(w, path, hpa("v2", metrics=[metric]), "two", "force=true")
            entries = {entry["manager"]: entry["apiVersion"] for entry in forced["metadata"]["managedFields"]}
            assert entries == {"one": "autoscaling/v1", "two": "autoscaling/v2"}
            less = await apply(w, path, hpa("v2", minReplicas=2), "two")
            assert less["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 80  # the default
            same = await apply(w, first, hpa("v1"), "one")
            assert same["spec"]["minReplicas"] == 2

    asyncio.run(scenario())


def cron(**spec: Any) -> Obj:
    return {"apiVersion": "stable.example.com/v1", "kind": "CronTab", "metadata": {"name": "x"}, "spec": spec}


def listed() -> Obj:
    definition = crd()
    spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    del spec["required"]
    text, number = {"type": "string"}, {"type": "integer"}
    port = {
        "type": "object",
        "required": ["port"],
        "properties": {"port": number, "protocol": {**text, "default": "TCP"}, "name": text},
    }
    spec["properties"] |= {
        "ports": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["port", "protocol"],
            "items": port,
        },
        "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": text},
        "args": {"type": "array", "items": text},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": text},
        "labels": {"type": "object", "additionalProperties": text},
    }
    return definition


async def served(w: World) -> bool:
    return (await w.raw("GET", CRON.removesuffix("/x"))).status == 200


def test_custom_resources_merge_by_their_schema() -> None:
    async def scenario() -> None:
        async with world() as w:
            await w.obj("POST", CRDS, listed())
            await eventually(w, lambda: served(w))
            one = cron(
                ports=[{"port": 1, "name": "a"}],
                tags=["x"],
                args=["a"],
                free={"a": {"b": 1}},
                whole={"a": "1"},
                labels={"a": "1"},
            )
            made = await apply(w, CRON, one, "one")
            assert owned(made)["one"]["f:spec"] == {
                "f:args": {},
                "f:free": {"f:a": {".": {}, "f:b": {}}},
                "f:labels": {"f:a": {}},
                "f:ports": {'k:{"port":1,"protocol":"TCP"}': {".": {}, "f:name": {}, "f:port": {}}},
                "f:tags": {'v:"x"': {}},
                "f:whole": {},
            }
            two = cron(ports=[{"port": 2}], tags=["y"], free={"a": {"c": 2}}, labels={"b": "2"})
            both = (await apply(w, CRON, two, "two"))["spec"]
            assert [port["port"] for port in both["ports"]] == [1, 2]
            assert (both["tags"], both["free"], both["labels"]) == (["x", "y"], {"a": {"b": 1, "c": 2}}, {"a": "1", "b": "2"})
            assert (await refused(w, CRON, cron(args=["b"], whole={"a": "2"}), "two"))["details"]["causes"][0][
                "field"
            ] == ".spec.args"
            left = (await apply(w, CRON, cron(), "one"))["spec"]
            assert [port["port"] for port in left["ports"]] == [2] and left["tags"] == ["y"] and "args" not in left
            status = await refused(w, CRON, cron(unknown=1), "one")
            assert (status["code"], status["message"]) == (
                500,
                "failed to create typed patch object (/x; stable.example.com/v1, Kind=CronTab): "
                ".spec.unknown: field not declared in schema",
            )

    asyncio.run(scenario())


def test_concurrent_appliers_all_arrive() -> None:
    async def scenario() -> None:
        async with world() as w:
            async with asyncio.TaskGroup() as tasks:
                for number in range(12):
                    tasks.create_task(apply(w, MAP, settings(**{f"k{number}": "x"}), f"m{number}"))
            found = await w.obj("GET", MAP)
            assert len(found["data"]) == len(owned(found)) == 12

    asyncio.run(scenario())


def test_an_applied_object_is_not_changed_by_what_follows() -> None:
    async def scenario() -> None:
        async with world() as w:
            config = deployment(replicas=2)
            before = copy.deepcopy(config)
            await apply(w, DEPLOYMENT, config)
            assert config == before

    asyncio.run(scenario())
