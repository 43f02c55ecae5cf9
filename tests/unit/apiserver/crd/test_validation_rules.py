"""Validation rules of custom resources through the server: definitions, and what is written under them."""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
from tests.fakes.server import World, world

from steersman.api.resources import CUSTOM_RESOURCE_DEFINITIONS
from steersman.api.structural.rules.evaluate import Rules
from steersman.machinery.fielderrors import FieldError
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, condition

GROUP = "example.com"
WIDGETS = Resource(GROUP, "v1", "widgets", kind="Widget")
PATH = WIDGETS.path("default")
CRDS = CUSTOM_RESOURCE_DEFINITIONS.path()
MERGE = "application/merge-patch+json"
SPEC: Obj = {
    "type": "object",
    "properties": {
        "min": {"type": "integer"},
        "max": {"type": "integer"},
        "kind": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "kind is immutable"}]},
        "size": {"type": "integer", "default": 1},
    },
    "x-kubernetes-validations": [
        {"rule": "!has(self.min) || self.min <= self.max", "messageExpression": "'min %d is above max'.format([self.min])"}
    ],
}
STATUS: Obj = {
    "type": "object",
    "properties": {"ready": {"type": "integer", "x-kubernetes-validations": [{"rule": "self >= 0"}]}},
}


def crd(spec: Obj = SPEC) -> Obj:
    schema: Obj = {"type": "object", "properties": {"spec": copy.deepcopy(spec), "status": STATUS}}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget"}, "versions": [version]},
    }


def widget(**spec: Any) -> Obj:
    return {"apiVersion": f"{GROUP}/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": spec}


def run(scenario: Callable[[World], Awaitable[None]], spec: Obj | None = SPEC) -> None:
    async def main() -> None:
        async with world() as w:
            await w.obj("POST", "/api/v1/namespaces", {"metadata": {"name": "default"}})
            if spec is not None:
                assert (await w.raw("POST", CRDS, crd(spec))).status == 201
                await established(w)
            await scenario(w)

    asyncio.run(main())


async def established(w: World) -> None:
    async for event in w.client.watch(CUSTOM_RESOURCE_DEFINITIONS):
        found = condition(event.object, "Established")
        if found is not None and found["status"] == "True":
            return


def test_an_object_that_breaks_a_rule_is_refused() -> None:
    async def scenario(w: World) -> None:
        refused = await w.obj("POST", PATH, widget(min=3, max=2))
        assert (refused["code"], refused["reason"]) == (422, "Invalid")
        assert refused["message"] == f'Widget.{GROUP} "w" is invalid: spec: Invalid value: min 3 is above max'
        (cause,) = refused["details"]["causes"]
        assert cause == {"reason": "FieldValueInvalid", "message": "Invalid value: min 3 is above max", "field": "spec"}
        assert (await w.raw("POST", PATH, widget(min=1, max=2))).status == 201
        patched = await w.raw("PATCH", f"{PATH}/w", {"spec": {"min": 9}}, content_type=MERGE)
        assert patched.status == 422

    run(scenario)


def test_a_transition_rule_holds_from_the_second_write_on() -> None:
    async def scenario(w: World) -> None:
        assert (await w.raw("POST", PATH, widget(kind="a"))).status == 201
        refused = orjson.loads((await w.raw("PATCH", f"{PATH}/w", {"spec": {"kind": "b"}}, content_type=MERGE)).body)
        assert refused["message"] == f'Widget.{GROUP} "w" is invalid: spec.kind: Invalid value: "b": kind is immutable'
        assert (await w.raw("PATCH", f"{PATH}/w", {"spec": {"size": 2}}, content_type=MERGE)).status == 200

    run(scenario)


def test_status_has_its_rules() -> None:
    async def scenario(w: World) -> None:
        assert (await w.raw("POST", PATH, widget())).status == 201
        bad = await w.raw("PATCH", f"{PATH}/w/status", {"status": {"ready": -1}}, content_type=MERGE)
        assert orjson.loads(bad.body)["message"].endswith("status.ready: Invalid value: -1: failed rule: self >= 0")
        assert (await w.raw("PATCH", f"{PATH}/w/status", {"status": {"ready": 1}}, content_type=MERGE)).status == 200

    run(scenario)


def test_what_broke_no_rule_when_it_was_written_may_stay_and_is_warned_of() -> None:
    async def scenario(w: World) -> None:
        assert (await w.raw("POST", PATH, widget(size=1))).status == 201
        definition = await w.client.get(CUSTOM_RESOURCE_DEFINITIONS, f"widgets.{GROUP}")
        size = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["size"]
        size["x-kubernetes-validations"] = [{"rule": "self > 5"}]
        size["default"] = 6
        await w.client.update(CUSTOM_RESOURCE_DEFINITIONS, definition)
        labelled: Obj = {"metadata": {"labels": {"a": "b"}}}
        for _ in range(200):
            answer = await w.raw("PATCH", f"{PATH}/w", labelled, content_type=MERGE)
            if "warning" in answer.headers:
                break
            await w.clock.advance(0.05)
        assert answer.status == 200
        assert answer.headers["warning"] == '299 - "spec.size: Invalid value: 1: failed rule: self > 5"'
        assert (await w.raw("PATCH", f"{PATH}/w", {"spec": {"size": 2}}, content_type=MERGE)).status == 422

    run(scenario)


def test_a_definition_with_rules_that_do_not_compile_or_cost_too_much_is_refused() -> None:
    async def scenario(w: World) -> None:
        bad = copy.deepcopy(SPEC)
        bad["x-kubernetes-validations"] = [{"rule": "self.nope > 1"}]
        refused = await w.obj("POST", CRDS, crd(bad))
        assert refused["code"] == 422
        (cause,) = refused["details"]["causes"]
        assert cause["field"] == "spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations[0].rule"
        assert cause["message"].endswith(
            "compilation failed: ERROR: <input>:1:5: undefined field 'nope'\n | self.nope > 1\n | ....^"
        )
        words: Obj = {"type": "array", "items": {"type": "string"}}
        words["x-kubernetes-validations"] = [{"rule": "self.all(x, self.exists(y, x == y))"}]
        refused = await w.obj("POST", CRDS, crd({"type": "object", "properties": {"words": words}}))
        assert "estimated rule cost exceeds budget by factor of more than 100x" in refused["message"]

    run(scenario, None)


def test_a_default_must_satisfy_the_rules() -> None:
    async def scenario(w: World) -> None:
        size = {"type": "integer", "default": 1, "x-kubernetes-validations": [{"rule": "self > 5"}]}
        refused = await w.obj("POST", CRDS, crd({"type": "object", "properties": {"size": size}}))
        assert refused["message"].endswith("properties[size].default: Invalid value: 1: failed rule: self > 5")

    run(scenario, None)


def test_others_are_served_while_rules_are_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    may_end, evaluate = threading.Event(), Rules.errors

    def takes_long(rules: Rules, *given: Any) -> list[FieldError]:
        assert may_end.wait(120), "nobody was served meanwhile"
        return evaluate(rules, *given)

    async def scenario(w: World) -> None:
        monkeypatch.setattr(Rules, "errors", takes_long)
        async with asyncio.TaskGroup() as group:
            created = group.create_task(w.raw("POST", PATH, widget(min=2, max=1)))
            assert (await w.raw("GET", CRDS)).status == 200
            may_end.set()
        assert created.result().status == 422

    run(scenario)
