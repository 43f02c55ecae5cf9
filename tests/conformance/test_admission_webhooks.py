"""[sig-api-machinery] AdmissionWebhook: webhooks that refuse and change what is written.

They are at URLs here, not at Services, so that an API server in the process is enough.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.crds import define, definition, instance, resource
from tests.fakes.admission import RULE, Hooks, allowed, configuration, denied, patched, run
from tests.fakes.server import World, config_map, pod

from steersman.api.groups.admissionregistration_v1 import MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS
from steersman.api.resources import CONFIG_MAPS, CUSTOM_RESOURCE_DEFINITIONS, NAMESPACES, PODS
from steersman.machinery.errors import InternalError, Invalid, StatusError
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, metadata, name_of

WEBHOOKS = "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin]"
SPACE = "default"
MUTATING, VALIDATING = MUTATING_WEBHOOKS.resource, VALIDATING_WEBHOOKS.resource
KINDS = {"Mutating": MUTATING, "Validating": VALIDATING}
MARK = {"e2e-list-test": "yes"}


def conformance(text: str) -> pytest.MarkDecorator:
    return pytest.mark.conformance(f"{WEBHOOKS} {text} [Conformance]")


async def register(w: World, kind: str, name: str, *webhooks: Obj, **meta: Any) -> Obj:
    """In force when it returns."""
    made = await w.client.create(KINDS[kind], configuration(kind, name, *webhooks, **meta))
    await w.server.feed.settle()
    return made


def on(*operations: str, resource: str = "configmaps", group: str = "", version: str = "*") -> list[Obj]:
    return [{"operations": list(operations), "apiGroups": [group], "apiVersions": [version], "resources": [resource]}]


def add_key(key: str, *, after: str = "mutation-start") -> Callable[[Obj], Obj]:
    """Upstream's webhook: adds `mutation-stage-N` where the key before is there."""

    def answer(request: Obj) -> Obj:
        if (request["object"].get("data") or {}).get(after) != "yes":
            return {"allowed": True}
        return patched({"op": "add", "path": f"/data/{key}", "value": "yes"})

    return answer


def compliant(request: Obj) -> Obj:
    """Refuses ConfigMaps with the offending key, and pods with the label or name."""
    obj = request["object"] or {}
    if (obj.get("data") or {}).get("webhook-e2e-test") == "webhook-disallow":
        return denied("the configmap contains unwanted key and value")
    if request["kind"]["kind"] == "Pod" and metadata(obj).get("name") == "disallowed-pod":
        return denied("the pod contains unwanted container name; the pod response contains unwanted label")
    return {"allowed": True}


def starting(name: str = "to-be-mutated", **data: str) -> Obj:
    return {**config_map(name), "data": {"mutation-start": "yes", **data}}


def offending(name: str = "disallowed", **meta: Any) -> Obj:
    return {**config_map(name, **meta), "data": {"webhook-e2e-test": "webhook-disallow"}}


async def create(w: World, obj: Obj, resource: Resource = CONFIG_MAPS, space: str = SPACE) -> Obj:
    return await w.client.create(resource, obj, space)


async def data_of(w: World, name: str) -> Obj:
    """Of a new ConfigMap, as webhooks have it."""
    found: Obj = (await create(w, starting(name)))["data"]
    return found


async def refuses(work: Awaitable[object], text: str) -> StatusError:
    with pytest.raises(StatusError, match=text) as caught:
        await work
    return caught.value


@conformance("should include webhook resources in discovery documents")
def test_webhook_configurations_are_discovered(tmp_path: Path) -> None:
    async def scenario(w: World, _: Hooks) -> None:
        groups = {group["name"]: group for group in (await w.obj("GET", "/apis"))["groups"]}
        versions = [version["groupVersion"] for version in groups[MUTATING.group]["versions"]]
        assert "admissionregistration.k8s.io/v1" in versions
        alone = await w.obj("GET", f"/apis/{MUTATING.group}")
        assert "admissionregistration.k8s.io/v1" in [version["groupVersion"] for version in alone["versions"]]
        found = {item["name"] for item in (await w.obj("GET", f"/apis/{MUTATING.group}/v1"))["resources"]}
        assert {MUTATING.plural, VALIDATING.plural} <= found

    run(tmp_path, scenario)


@conformance("should be able to deny pod and configmap creation")
def test_what_does_not_comply_is_refused(tmp_path: Path) -> None:
    spared = {"matchExpressions": [{"key": "skip-webhook-admission", "operator": "NotIn", "values": ["yes"]}]}
    # Whom it does not concern is not held up to that second.
    hanging = [{"name": "hanging", "expression": "object.metadata.name == 'hanging'"}]

    async def scenario(w: World, hooks: Hooks) -> None:
        waiting = asyncio.Event()

        async def hang(_: Obj) -> Obj:
            await waiting.wait()
            return {"allowed": True}

        for name, labels in ((SPACE, {}), ("exempted", {"skip-webhook-admission": "yes"})):
            await w.client.create(NAMESPACES, {"metadata": {"name": name, "labels": labels}})
        pods, maps = on("CREATE", resource="pods"), on("CREATE", "UPDATE")
        await register(
            w,
            "Validating",
            "deny",
            hooks.hook("/pods", compliant, rules=pods),
            hooks.hook("/hang", hang, rules=pods, timeoutSeconds=1, matchConditions=hanging),
            hooks.hook("/maps", compliant, rules=maps, namespaceSelector=spared),
        )
        await refuses(create(w, pod("disallowed-pod"), PODS), "the pod contains unwanted container name")
        await refuses(create(w, pod("hanging"), PODS), "deadline")
        waiting.set()
        await refuses(create(w, offending()), "the configmap contains unwanted key and value")
        await create(w, config_map("allowed"))
        changed = {**await w.client.get(CONFIG_MAPS, "allowed", SPACE), "data": {"webhook-e2e-test": "webhook-disallow"}}
        await refuses(w.client.update(CONFIG_MAPS, changed), "the configmap contains unwanted key and value")
        patch = {"data": {"webhook-e2e-test": "webhook-disallow"}}
        await refuses(w.client.patch(CONFIG_MAPS, "allowed", patch, SPACE), "the configmap contains unwanted key and value")
        await create(w, offending(namespace="exempted"), space="exempted")

    run(tmp_path, scenario)


@conformance("should be able to deny attaching pod")
def test_attaching_is_refused(tmp_path: Path) -> None:
    async def scenario(w: World, hooks: Hooks) -> None:
        await create(w, pod("to-be-attached-pod"), PODS)
        rules = on("CONNECT", resource="pods/attach")
        hook = hooks.hook("/attach", lambda _: denied("attaching to pod 'to-be-attached-pod' is not allowed"), rules=rules)
        await register(w, "Validating", "deny-attach", hook)
        answer = await w.raw("POST", f"/api/v1/namespaces/{SPACE}/pods/to-be-attached-pod/attach?stdin=true&container=c")
        assert answer.status == 400
        assert b"attaching to pod 'to-be-attached-pod' is not allowed" in answer.body

    run(tmp_path, scenario)


def custom(schema: Obj | None = None, versions: tuple[str, ...] = ("v1", "v2")) -> Obj:
    return definition(schema, group="webhook.example.com", versions=versions, scope="Namespaced")


@conformance("should be able to deny custom resource creation, update and deletion")
def test_custom_resources_are_refused(tmp_path: Path) -> None:
    def answer(request: Obj) -> Obj:
        data = ((request["object"] or request["oldObject"]).get("data")) or {}
        if data.get("webhook-e2e-test") in ("webhook-disallow", "webhook-nondeletable" if not request["object"] else None):
            return denied("the custom resource contains unwanted data")
        return {"allowed": True}

    async def scenario(w: World, hooks: Hooks) -> None:
        made = await define(w, custom())
        kind = resource(made)
        rules = on("CREATE", "UPDATE", "DELETE", resource=kind.plural, group=kind.group)
        await register(w, "Validating", "deny-custom", hooks.hook("/custom", answer, rules=rules))
        bad = {"webhook-e2e-test": "webhook-disallow"}
        await refuses(create(w, instance(made, "bad", data=bad), kind), "the custom resource contains unwanted data")
        await create(w, instance(made, "kept", data={"webhook-e2e-test": "webhook-nondeletable"}), kind)
        await refuses(w.client.patch(kind, "kept", {"data": bad}, SPACE), "the custom resource contains unwanted data")
        await refuses(w.client.delete(kind, "kept", SPACE), "the custom resource contains unwanted data")
        await w.client.patch(kind, "kept", {"data": {"webhook-e2e-test": "webhook-allow"}}, SPACE)
        await w.client.delete(kind, "kept", SPACE)

    run(tmp_path, scenario)


@conformance("should deny crd creation")
def test_a_definition_is_refused(tmp_path: Path) -> None:
    def answer(request: Obj) -> Obj:
        bad = metadata(request["object"]).get("labels", {}).get("webhook-e2e-test") == "webhook-disallow"
        return denied("the crd contains unwanted label") if bad else {"allowed": True}

    async def scenario(w: World, hooks: Hooks) -> None:
        wanted = definition(labels={"webhook-e2e-test": "webhook-disallow"})
        rules = on("CREATE", resource="customresourcedefinitions", group="apiextensions.k8s.io")
        await register(w, "Validating", "deny-crd", hooks.hook("/crd", answer, rules=rules))
        await refuses(w.client.create(CUSTOM_RESOURCE_DEFINITIONS, wanted), "the crd contains unwanted label")
        await w.client.create(CUSTOM_RESOURCE_DEFINITIONS, definition())

    run(tmp_path, scenario)


@conformance("should unconditionally reject operations on fail closed webhook")
def test_a_webhook_nobody_can_trust_refuses_everything(tmp_path: Path) -> None:
    async def scenario(w: World, hooks: Hooks) -> None:
        hook = hooks.hook("/maps", allowed, failurePolicy="Fail")
        hook["clientConfig"].pop("caBundle")
        await register(w, "Validating", "fail-closed", hook)
        with pytest.raises(InternalError, match="certificate signed by unknown authority"):
            await create(w, config_map())
        assert not hooks.asked

    run(tmp_path, scenario)


@conformance("should honor timeout")
def test_webhooks_are_waited_for_as_long_as_they_say(tmp_path: Path) -> None:
    """The webhook does not answer at all at first: longer than any second. Then it does, well within ten."""

    async def scenario(w: World, hooks: Hooks) -> None:
        released = asyncio.Event()

        async def slow(_: Obj) -> Obj:
            await released.wait()
            return {"allowed": True}

        async def attempt(name: str, **more: Any) -> None:
            hook = hooks.hook("/slow", slow) | more
            if "timeoutSeconds" not in more:
                del hook["timeoutSeconds"]
            made = await register(w, "Validating", name, hook)
            try:
                await create(w, config_map(name))
            finally:
                await w.client.delete(VALIDATING, name_of(made))
                await w.server.feed.settle()

        fault = await refuses(attempt("short", timeoutSeconds=1), "context deadline exceeded")
        assert "?timeout=1s" in fault.message
        await attempt("ignored", timeoutSeconds=1, failurePolicy="Ignore")
        released.set()
        await attempt("longer", timeoutSeconds=10)
        await attempt("default")

    run(tmp_path, scenario)


@conformance("should mutate configmap")
def test_a_config_map_is_changed_in_stages(tmp_path: Path) -> None:
    async def scenario(w: World, hooks: Hooks) -> None:
        first = hooks.hook("/one", add_key("mutation-stage-1"), rules=on("CREATE"))
        second = hooks.hook("/two", add_key("mutation-stage-2", after="mutation-stage-1"), rules=on("CREATE"))
        await register(w, "Mutating", "mutate", first, second)
        assert await data_of(w, "a") == {"mutation-start": "yes", "mutation-stage-1": "yes", "mutation-stage-2": "yes"}

    run(tmp_path, scenario)


@conformance("should mutate pod and apply defaults after mutation")
def test_what_is_added_to_a_pod_gets_its_defaults(tmp_path: Path) -> None:
    added = {"name": "webhook-added-init-container", "image": "webhook-added-image"}

    async def scenario(w: World, hooks: Hooks) -> None:
        adding = patched({"op": "add", "path": "/spec/initContainers", "value": [added]})
        rules = on("CREATE", resource="pods")
        await register(w, "Mutating", "mutate-pod", hooks.hook("/pod", lambda _: adding, rules=rules))
        (found,) = (await create(w, pod("webhook-to-be-mutated"), PODS))["spec"]["initContainers"]
        assert (found["name"], found["terminationMessagePolicy"]) == ("webhook-added-init-container", "File")

    run(tmp_path, scenario)


@conformance("should mutate custom resource")
def test_a_custom_resource_is_changed(tmp_path: Path) -> None:
    async def scenario(w: World, hooks: Hooks) -> None:
        made = await define(w, custom())
        await _in_stages(w, hooks, made)
        found = await create(w, instance(made, "cr", data={"mutation-start": "yes"}), resource(made))
        assert found["data"] == {"mutation-start": "yes", "mutation-stage-1": "yes", "mutation-stage-2": "yes"}

    run(tmp_path, scenario)


async def _in_stages(w: World, hooks: Hooks, made: Obj, *operations: str) -> None:
    kind = resource(made)
    rules = on(*(operations or ("CREATE",)), resource=kind.plural, group=kind.group)
    first = hooks.hook("/one", add_key("mutation-stage-1"), rules=rules)
    second = hooks.hook("/two", add_key("mutation-stage-2", after="mutation-stage-1"), rules=rules)
    await register(w, "Mutating", "mutate-custom", first, second)


@conformance("should mutate custom resource with pruning")
def test_what_a_definition_does_not_know_is_pruned_after_a_change(tmp_path: Path) -> None:
    known = dict.fromkeys(("mutation-start", "mutation-stage-1"), {"type": "string"})
    schema = {"type": "object", "properties": {"data": {"type": "object", "properties": known}}}

    async def scenario(w: World, hooks: Hooks) -> None:
        made = await define(w, custom(schema))
        await _in_stages(w, hooks, made)
        found = await create(w, instance(made, "cr", data={"mutation-start": "yes"}), resource(made))
        assert found["data"] == {"mutation-start": "yes", "mutation-stage-1": "yes"}

    run(tmp_path, scenario)


@conformance("should mutate custom resource with different stored version")
def test_a_custom_resource_is_changed_though_another_version_is_stored_now(tmp_path: Path) -> None:
    async def scenario(w: World, hooks: Hooks) -> None:
        made = await define(w, custom())
        first, second = resource(made, "v1"), resource(made, "v2")
        await _in_stages(w, hooks, made, "CREATE", "UPDATE")
        await create(w, instance(made, "cr", "v1", data={"mutation-start": "yes"}), first)
        versions = [{**version, "storage": version["name"] == "v2"} for version in made["spec"]["versions"]]
        await w.client.patch(CUSTOM_RESOURCE_DEFINITIONS, name_of(made), {"spec": {"versions": versions}})
        await w.server.feed.settle()
        for kind in (second, first):
            patch = {"data": {"mutation-start": "yes", f"dummy-{kind.version}": "test"}}
            found = await w.client.patch(kind, "cr", patch, SPACE)
            assert found["apiVersion"] == kind.api_version
            assert (found["data"][f"dummy-{kind.version}"], found["data"]["mutation-stage-2"]) == ("test", "yes")

    run(tmp_path, scenario)


@conformance("should not be able to mutate or prevent deletion of webhook configuration objects")
def test_webhook_configurations_are_out_of_reach(tmp_path: Path) -> None:
    async def scenario(w: World, hooks: Hooks) -> None:
        rules = [
            {**RULE, "apiGroups": [MUTATING.group], "apiVersions": ["*"], "resources": [kind.plural], "operations": ["*"]}
            for kind in (MUTATING, VALIDATING)
        ]
        label = patched({"op": "add", "path": "/metadata/labels", "value": {"changed": "yes"}})
        await register(w, "Validating", "deny-all", hooks.hook("/deny", lambda _: denied("no"), rules=rules))
        await register(w, "Mutating", "change-all", hooks.hook("/change", lambda _: label, rules=rules))
        for kind, plural in KINDS.items():
            made = await register(w, kind, "dummy", hooks.hook("/dummy", allowed))
            assert "labels" not in made["metadata"]
            await w.client.delete(plural, "dummy")
        assert not hooks.asked

    run(tmp_path, scenario)


def _answering(kind: str) -> Callable[[Obj], Obj]:
    return compliant if kind == "Validating" else add_key("mutation-stage-1")


async def _acts(w: World, kind: str, name: str) -> bool:
    """Whether a new ConfigMap is refused, or changed."""
    obj = starting(name, **({"webhook-e2e-test": "webhook-disallow"} if kind == "Validating" else {}))
    try:
        made = await create(w, obj)
    except StatusError as error:
        assert "the configmap contains unwanted key and value" in error.message
        return True
    return "mutation-stage-1" in made["data"]


async def _patching(w: World, hooks: Hooks, kind: str) -> None:
    plural, answering = KINDS[kind], _answering(kind)
    made = await register(w, kind, "switched", hooks.hook("/it", answering, rules=on("CREATE")))
    assert await _acts(w, kind, "a")
    made["webhooks"][0]["rules"][0]["operations"] = ["UPDATE"]
    await w.client.update(plural, made)
    await w.server.feed.settle()
    assert not await _acts(w, kind, "b")
    op = [{"op": "replace", "path": "/webhooks/0/rules/0/operations", "value": ["CREATE"]}]
    await w.client.patch(plural, "switched", op, kind="json")
    await w.server.feed.settle()
    assert await _acts(w, kind, "c")


@conformance("patching/updating a mutating webhook should work")
def test_a_mutating_webhook_does_what_it_says_now(tmp_path: Path) -> None:
    run(tmp_path, lambda w, hooks: _patching(w, hooks, "Mutating"))


@conformance("patching/updating a validating webhook should work")
def test_a_validating_webhook_does_what_it_says_now(tmp_path: Path) -> None:
    run(tmp_path, lambda w, hooks: _patching(w, hooks, "Validating"))


async def _listing(w: World, hooks: Hooks, kind: str) -> None:
    plural, answering = KINDS[kind], _answering(kind)
    for number in range(10):
        await register(w, kind, f"listed-{number}", hooks.hook("/it", answering), labels=MARK)
    listed = await w.client.list(plural, label_selector="e2e-list-test=yes")
    assert len(listed["items"]) == 10
    assert await _acts(w, kind, "a")
    await w.client.delete_collection(plural, label_selector="e2e-list-test=yes")
    await w.server.feed.settle()
    assert (await w.client.list(plural, label_selector="e2e-list-test=yes"))["items"] == []
    assert not await _acts(w, kind, "b")


@conformance("listing mutating webhooks should work")
def test_mutating_webhooks_are_listed_and_deleted_together(tmp_path: Path) -> None:
    run(tmp_path, lambda w, hooks: _listing(w, hooks, "Mutating"))


@conformance("listing validating webhooks should work")
def test_validating_webhooks_are_listed_and_deleted_together(tmp_path: Path) -> None:
    run(tmp_path, lambda w, hooks: _listing(w, hooks, "Validating"))


async def _with_conditions(w: World, hooks: Hooks, kind: str) -> None:
    first = [{"name": "expression-1", "expression": "object.metadata.namespace == 'production'"}]
    made = await register(w, kind, "conditions", hooks.hook("/it", allowed, matchConditions=first))
    assert (await w.client.get(KINDS[kind], "conditions"))["webhooks"][0]["matchConditions"] == first
    second = [*first, {"name": "expression-2", "expression": "object.metadata.namespace == 'staging'"}]
    made["webhooks"][0]["matchConditions"] = second
    await w.client.update(KINDS[kind], made)
    assert (await w.client.get(KINDS[kind], "conditions"))["webhooks"][0]["matchConditions"] == second


@conformance("should be able to create and update mutating webhook configurations with match conditions")
def test_match_conditions_of_mutating_webhooks_are_kept(tmp_path: Path) -> None:
    run(tmp_path, lambda w, hooks: _with_conditions(w, hooks, "Mutating"))


@conformance("should be able to create and update validating webhook configurations with match conditions")
def test_match_conditions_of_validating_webhooks_are_kept(tmp_path: Path) -> None:
    run(tmp_path, lambda w, hooks: _with_conditions(w, hooks, "Validating"))


async def _with_bad_conditions(w: World, hooks: Hooks, kind: str) -> None:
    bad = [{"name": "invalid-expression", "expression": "... [] bad expression"}]
    with pytest.raises(Invalid, match="compilation failed"):
        await register(w, kind, "conditions", hooks.hook("/it", allowed, matchConditions=bad))


@conformance("should reject mutating webhook configurations with invalid match conditions")
def test_match_conditions_of_mutating_webhooks_must_compile(tmp_path: Path) -> None:
    run(tmp_path, lambda w, hooks: _with_bad_conditions(w, hooks, "Mutating"))


@conformance("should reject validating webhook configurations with invalid match conditions")
def test_match_conditions_of_validating_webhooks_must_compile(tmp_path: Path) -> None:
    run(tmp_path, lambda w, hooks: _with_bad_conditions(w, hooks, "Validating"))


@conformance("should mutate everything except 'skip-me' configmaps")
def test_a_match_condition_spares_one(tmp_path: Path) -> None:
    condition = [{"name": "skip-me", "expression": "object.metadata.name != 'skip-me'"}]

    async def scenario(w: World, hooks: Hooks) -> None:
        hook = hooks.hook("/one", add_key("mutation-stage-1"), rules=on("CREATE"), matchConditions=condition)
        await register(w, "Mutating", "mutate", hook)
        assert await data_of(w, "skip-me") == {"mutation-start": "yes"}
        assert await data_of(w, "dont-skip-me") == {"mutation-start": "yes", "mutation-stage-1": "yes"}

    run(tmp_path, scenario)
