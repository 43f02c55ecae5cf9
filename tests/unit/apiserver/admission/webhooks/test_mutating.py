"""Mutating webhooks: what they change, what is made of it, and who is asked again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.conformance.crds import convert_host_and_port, define, host_and_port, instance, resource
from tests.fakes.admission import RULE, Answering, Hooks, allowed, configuration, patched, run
from tests.fakes.server import World, config_map, pod
from tests.fakes.webhook import webhook

from steersman.apiserver.audit.settings import AuditSettings
from steersman.apiserver.contracts import AdmissionRequest
from steersman.machinery import yamlio
from steersman.machinery.meta import Obj

CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
POD_RULE = {**RULE, "resources": ["pods"]}


async def register(w: World, *webhooks: Obj, name: str = "hooks") -> None:
    answer = await w.raw("POST", CONFIGURATIONS, configuration("Mutating", name, *webhooks))
    assert answer.status == 201, answer.body
    await w.server.feed.settle()


def adding(key: str, *, after: str = "") -> Answering:
    """Adds a key to a ConfigMap, if there is another one already."""

    def answer(request: Obj) -> Obj:
        data = request["object"].get("data") or {}
        if key in data or (after and after not in data):
            return {"allowed": True}
        if not data:
            return patched({"op": "add", "path": "/data", "value": {key: "yes"}})
        return patched({"op": "add", "path": f"/data/{key}", "value": "yes"})

    return answer


def with_data(**data: str) -> Obj:
    return {**config_map(), "data": data}


def test_each_sees_what_those_before_have_made_by_the_names_of_configurations(tmp_path: Path) -> None:
    async def scenario(w: World, hooks: Hooks) -> None:
        await register(w, hooks.hook("/c", adding("c", after="b")), name="z")
        await register(w, hooks.hook("/a", adding("a")), hooks.hook("/b", adding("b", after="a")), name="y")
        made = await w.obj("POST", MAPS, config_map())
        assert made["data"] == {"a": "yes", "b": "yes", "c": "yes"}
        assert (await w.obj("GET", f"{MAPS}/settings"))["data"] == made["data"]

    run(tmp_path, scenario)


def test_what_a_webhook_adds_gets_its_defaults_and_is_owned_by_nobody(tmp_path: Path) -> None:
    init = {"name": "init", "image": "busybox"}

    async def scenario(w: World, hooks: Hooks) -> None:
        add = patched({"op": "add", "path": "/spec/initContainers", "value": [init]})
        await register(w, hooks.hook("/a", lambda _: add, rules=[POD_RULE]))
        made = await w.obj("POST", PODS, pod())
        (found,) = made["spec"]["initContainers"]
        assert found["terminationMessagePolicy"] == "File"
        (entry,) = made["metadata"]["managedFields"]
        assert "f:initContainers" not in entry["fieldsV1"]["f:spec"]

    run(tmp_path, scenario)


def test_what_a_webhook_makes_is_validated(tmp_path: Path) -> None:
    async def scenario(w: World, hooks: Hooks) -> None:
        bad = patched({"op": "replace", "path": "/spec/restartPolicy", "value": "Sometimes"})
        await register(w, hooks.hook("/a", lambda _: bad, rules=[POD_RULE]))
        answer = await w.obj("POST", PODS, pod())
        assert (answer["code"], answer["reason"]) == (422, "Invalid")
        assert 'spec.restartPolicy: Unsupported value: "Sometimes"' in answer["message"]

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("response", "why"),
    [
        (patched({"op": "remove", "path": "/nothing"}), "Internal error occurred: "),
        (patched({"op": "replace", "path": "/data", "value": 7}), "Internal error occurred: "),
        (
            {"allowed": True, "patch": "e30="},
            'failed calling webhook "a.example.com": received invalid webhook response: '
            "webhook returned response.patch but not response.patchType",
        ),
        (
            {"allowed": True, "patchType": "JSONPatch"},
            "webhook returned response.patchType but not response.patch",
        ),
    ],
)
def test_a_patch_that_cannot_be_applied_is_an_internal_error(tmp_path: Path, response: Obj, why: str) -> None:
    async def scenario(w: World, hooks: Hooks) -> None:
        await register(w, hooks.hook("/a", lambda _: response))
        answer = await w.obj("POST", MAPS, with_data(a="b"))
        assert answer["code"] == 500
        assert why in answer["message"]

    run(tmp_path, scenario)


def test_a_deletion_can_be_refused_but_not_changed(tmp_path: Path) -> None:
    async def scenario(w: World, hooks: Hooks) -> None:
        await w.raw("POST", MAPS, config_map())
        change = patched({"op": "add", "path": "/data", "value": {}})
        await register(w, hooks.hook("/a", lambda _: change, rules=[{**RULE, "operations": ["DELETE"]}]))
        answer = await w.obj("DELETE", f"{MAPS}/settings")
        text = 'admission webhook "a.example.com" attempted to modify the object, which is not supported for this operation'
        assert (answer["code"], answer["message"]) == (500, f"Internal error occurred: {text}")

    run(tmp_path, scenario)


@pytest.mark.parametrize(("policy", "times"), [("IfNeeded", 2), ("Never", 1)])
def test_who_was_asked_before_a_change_is_asked_again_if_it_says_so(tmp_path: Path, policy: str, times: int) -> None:
    async def scenario(w: World, hooks: Hooks) -> None:
        first = hooks.hook("/a", adding("a", after="b"), reinvocationPolicy=policy)
        await register(w, first, hooks.hook("/b", adding("b"), reinvocationPolicy=policy))
        made = await w.obj("POST", MAPS, config_map())
        assert [len(hooks.asked[path]) for path in ("/a", "/b")] == [times, times]
        assert ("a" in made["data"]) is (times == 2)

    run(tmp_path, scenario)


class Labelling:
    """A plugin that labels what it sees a second time."""

    name = "Labelling"

    async def admit(self, request: AdmissionRequest) -> None:
        if request.again and request.obj is not None and request.resource.plural == "configmaps":
            request.obj["metadata"]["labels"] = {"seen": "twice"}

    async def validate(self, request: AdmissionRequest) -> None:
        return None


def test_a_change_has_all_that_mutates_run_again_and_webhooks_see_what_came_of_it(tmp_path: Path) -> None:
    async def scenario(w: World, hooks: Hooks) -> None:
        await register(w, hooks.hook("/a", adding("a"), reinvocationPolicy="IfNeeded"))
        made = await w.obj("POST", MAPS, config_map())
        assert made["metadata"]["labels"] == {"seen": "twice"}
        assert [it["object"]["metadata"].get("labels") for it in hooks.asked["/a"]] == [None, {"seen": "twice"}]

    run(tmp_path, scenario, Labelling())


def test_a_selector_on_labels_looks_at_the_object_before_and_after(tmp_path: Path) -> None:
    async def scenario(w: World, hooks: Hooks) -> None:
        await register(w, hooks.hook("/a", allowed, objectSelector={"matchLabels": {"watched": "yes"}}))
        await w.raw("POST", MAPS, config_map())
        assert not hooks.asked
        for labels in ({"watched": "yes"}, {"watched": None}, {"other": "x"}):
            body = {"metadata": {"labels": labels}}
            await w.raw("PATCH", f"{MAPS}/settings", body, content_type="application/merge-patch+json")
        assert [it["operation"] for it in hooks.asked["/a"]] == ["UPDATE", "UPDATE"]

    run(tmp_path, scenario)


def test_a_selector_on_namespaces_spares_the_others(tmp_path: Path) -> None:
    async def scenario(w: World, hooks: Hooks) -> None:
        for name in ("default", "spared"):
            await w.raw("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": {"name": name}}})
        selector = {"matchExpressions": [{"key": "name", "operator": "NotIn", "values": ["spared"]}]}
        await register(w, hooks.hook("/a", adding("a"), namespaceSelector=selector))
        assert (await w.obj("POST", MAPS, config_map()))["data"] == {"a": "yes"}
        spared = await w.obj("POST", "/api/v1/namespaces/spared/configmaps", config_map(namespace="spared"))
        assert "a" not in (spared.get("data") or {})

    run(tmp_path, scenario)


def scaler(**spec: Any) -> Obj:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"scaleTargetRef": target, "maxReplicas": 3, **spec},
    }


@pytest.mark.parametrize(("policy", "asked"), [("Equivalent", True), ("Exact", False)])
def test_another_version_of_the_same_is_shown_as_the_rule_has_it(tmp_path: Path, policy: str, asked: bool) -> None:
    rule = {**RULE, "apiGroups": ["autoscaling"], "apiVersions": ["v2"], "resources": ["horizontalpodautoscalers"]}

    async def scenario(w: World, hooks: Hooks) -> None:
        more = patched({"op": "replace", "path": "/spec/maxReplicas", "value": 7})
        await register(w, hooks.hook("/a", lambda _: more, rules=[rule], matchPolicy=policy))
        target = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers"
        made = await w.obj("POST", target, scaler(targetCPUUtilizationPercentage=50))
        assert (made["apiVersion"], made["spec"]["maxReplicas"]) == ("autoscaling/v1", 7 if asked else 3)
        assert made["spec"]["targetCPUUtilizationPercentage"] == 50
        if asked:
            (seen,) = hooks.asked["/a"]
            assert (seen["object"]["apiVersion"], seen["object"]["spec"]["metrics"][0]["type"]) == ("autoscaling/v2", "Resource")
            assert (seen["resource"]["version"], seen["requestResource"]["version"]) == ("v2", "v1")
            assert (seen["kind"]["version"], seen["requestKind"]["version"]) == ("v2", "v1")
        assert bool(hooks.asked) is asked

    run(tmp_path, scenario)


def test_spoilt_managed_fields_stay_as_they_were(tmp_path: Path) -> None:
    async def scenario(w: World, hooks: Hooks) -> None:
        owners = {"op": "add", "path": "/metadata/managedFields", "value": [{"manager": "x"}]}
        ops = (owners, {"op": "add", "path": "/immutable", "value": True})
        await register(w, hooks.hook("/a", lambda _: patched(*ops)))
        answer = await w.raw("POST", MAPS, with_data(a="b"))
        made = orjson.loads(answer.body)
        assert made["immutable"] is True
        assert [entry["manager"] for entry in made["metadata"]["managedFields"]] != ["x"]
        assert ".metadata.managedFields was in an invalid state after admission" in answer.headers["warning"]

    run(tmp_path, scenario)


def test_a_custom_resource_that_another_webhook_converts_is_shown_as_the_rule_has_it(tmp_path: Path) -> None:
    """Created in v2, shown and changed in v1, answered in v2 again."""

    async def scenario(w: World, hooks: Hooks) -> None:
        (tmp_path / "converting").mkdir()
        async with webhook(tmp_path / "converting", convert_host_and_port) as converting:
            made = await define(w, host_and_port(hook=converting.config))
            kind = resource(made, "v2")
            rule = {**RULE, "apiGroups": [kind.group], "apiVersions": ["v1"], "resources": [kind.plural]}
            other = patched({"op": "replace", "path": "/hostPort", "value": "elsewhere:80"})
            await register(w, hooks.hook("/a", lambda _: other, rules=[rule]))
            found = await w.client.create(kind, instance(made, "a", "v2", host="here", port="80"), "default")
            assert (found["apiVersion"], found["host"], found["port"]) == (kind.api_version, "elsewhere", "80")
            (asked,) = hooks.asked["/a"]
            assert asked["object"]["hostPort"] == "here:80"

    run(tmp_path, scenario)


@pytest.mark.parametrize(("level", "shown"), [("Metadata", False), ("Request", True)])
def test_the_audit_log_tells_who_changed_something_and_where_bodies_may_show_what(
    tmp_path: Path, level: str, shown: bool
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(yamlio.dump({"kind": "Policy", "apiVersion": "audit.k8s.io/v1", "rules": [{"level": level}]}))
    audit = AuditSettings(policy_file=policy, log_path=str(tmp_path / "audit.log"))

    async def scenario(w: World, hooks: Hooks) -> None:
        noted = {"auditAnnotations": {"why": "because"}}
        await register(w, hooks.hook("/a", lambda _: {**patched({"op": "add", "path": "/data/b", "value": "c"}), **noted}))
        await w.raw("POST", MAPS, with_data(a="b"))

    run(tmp_path, scenario, audit=audit)
    notes = orjson.loads((tmp_path / "audit.log").read_bytes().splitlines()[-1])["annotations"]
    assert notes["a.example.com/why"] == "because"
    named = {"configuration": "hooks", "webhook": "a.example.com"}
    assert orjson.loads(notes["mutation.webhook.admission.k8s.io/round_0_index_0"]) == {**named, "mutated": True}
    patch = notes.get("patch.webhook.admission.k8s.io/round_0_index_0")
    if shown:
        ops = [{"op": "add", "path": "/data/b", "value": "c"}]
        assert orjson.loads(patch) == {**named, "patch": ops, "patchType": "JSONPatch"}
    else:
        assert patch is None
