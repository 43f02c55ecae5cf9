"""Deeply nested bodies, whatever they are sent for: stored up to a limit, refused beyond it, never a failure of the server."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from tests.fakes.server import World, world
from tests.unit.apiserver.crd.test_custom_resources import CRDS, GROUP, established

from steersman.machinery import depth
from steersman.machinery.meta import Obj

DEEP = f"/apis/{GROUP}/v1/namespaces/default/deeps"
MAPS = "/api/v1/namespaces/default/configmaps"
REVISIONS = "/apis/apps/v1/namespaces/default/controllerrevisions"
JSON = "application/json"
PATCHES = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",
}
_FREE: Obj = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
LEVELS = (100, depth.LIMIT - 4, depth.LIMIT, depth.LIMIT + 1, 254, 400, 1010, 1030, 6_001)
SHAPES = {"objects": ('{"a":', "}"), "lists": ("[", "]"), "both": ('{"a":[', "]}")}


def definition(schema: Obj, plural: str = "deeps") -> Obj:
    version = {"name": "v1", "served": True, "storage": True, "subresources": {"status": {}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": plural[:-1].capitalize()},
            "versions": [{**version, "schema": {"openAPIV3Schema": schema}}],
        },
    }


async def defined(w: World, schema: Obj) -> None:
    await w.obj("POST", "/api/v1/namespaces", {"metadata": {"name": "default"}})
    answer = await w.raw("POST", CRDS, definition(schema))
    assert answer.status == 201, answer.body
    await established(w, f"deeps.{GROUP}")


def nested(levels: int, shape: str) -> str:
    opened, closed = SHAPES[shape]
    count = levels // 2 if shape == "both" else levels
    return opened * count + "1" + closed * count


def bodies(deep: str) -> dict[str, tuple[str, str]]:
    """Path and body: where a deep value may stand, and where it is of the wrong type or unknown."""
    head = '"metadata":{"name":"x"%s}'
    custom = f'{{"apiVersion":"{GROUP}/v1","kind":"Deep",{head}'
    return {
        "custom": (DEEP, f'{custom},"spec":{{"a":{deep}}}}}'),
        "pruned": (DEEP, f'{custom},"typed":{{"c":{deep}}}}}'),
        "unknown": (MAPS, f'{{"apiVersion":"v1","kind":"ConfigMap",{head},"zz":{deep}}}'),
        "mistyped": (MAPS, f'{{"apiVersion":"v1","kind":"ConfigMap",{head},"data":{{"a":{deep}}}}}'),
        "raw": (REVISIONS, f'{{"apiVersion":"apps/v1","kind":"ControllerRevision",{head},"revision":1,"data":{{"a":{deep}}}}}'),
    }


async def clean(w: World, what: str, method: str, target: str, body: str, content_type: str = JSON) -> int:
    """Send it; the answer is no failure of the server. Apply tells of a field that it does not know with a 500, as upstream."""
    answer = await w.raw(method, target, body.encode(), content_type=content_type)
    told = answer.body.decode()
    assert answer.status < 500 or "failed to create typed patch object" in told, f"{what}: {method} {content_type}: {told[:300]}"
    return answer.status


async def made(w: World, path: str, text: str) -> str:
    """The resourceVersion of a small object of the kind in the text."""
    full = orjson.loads(text % "")
    small = {"apiVersion": full["apiVersion"], "kind": full["kind"], "metadata": {"name": "x"}}
    if full["kind"] == "ControllerRevision":
        small |= {"revision": 1, "data": {"b": 1}}
    answer = await w.raw("POST", path, small)
    assert answer.status == 201, answer.body
    return str(orjson.loads(answer.body)["metadata"]["resourceVersion"])


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("shape", SHAPES)
def test_no_write_fails_however_deep_it_is(levels: int, shape: str) -> None:
    deep = nested(levels, shape)

    async def writes(w: World, what: str, path: str, text: str, validation: str) -> None:
        query = f"?fieldValidation={validation}"
        for kind in (JSON, "application/yaml"):
            await clean(w, what, "POST", path + query, text % "", kind)
            for accept in (JSON, "application/yaml", "application/json;as=Table;v=v1;g=meta.k8s.io"):
                assert (await w.raw("GET", path, accept=accept)).status == 200
            await w.raw("DELETE", f"{path}/x")
        version = await made(w, path, bodies("1")[what][1])
        stamp = f',"resourceVersion":"{version}","labels":{{"a":"b"}}'
        await clean(w, what, "PUT", f"{path}/x{query}", text % stamp)
        await clean(w, what, "PATCH", f"{path}/x{query}", text % "", PATCHES["merge"])
        await clean(w, what, "PATCH", f"{path}/x{query}", text % "", PATCHES["strategic"])
        for operation in ("add", "test"):
            ops = f'[{{"op":"{operation}","path":"/data","value":{{"b":{deep}}}}}]'
            await clean(w, what, "PATCH", f"{path}/x{query}", ops, PATCHES["json"])
        await clean(w, what, "PATCH", f"{path}/x{query}", f'[{{"op":"add","path":"{"/a" * levels}","value":1}}]', PATCHES["json"])
        await clean(w, what, "PATCH", f"{path}/x{query}&fieldManager=m&force=true", text % "", PATCHES["apply"])
        await clean(w, what, "DELETE", f"{path}/x", text % "")
        await w.raw("DELETE", f"{path}/x")

    async def scenario() -> None:
        async with world() as w:
            await defined(w, {"type": "object", "properties": {"spec": _FREE, "typed": {"type": "object", "properties": {}}}})
            for validation in ("Strict", "Ignore"):
                for what, (path, text) in bodies(deep).items():
                    await writes(w, what, path, text, validation)

    asyncio.run(scenario())


@pytest.mark.parametrize(("more", "status"), [(0, 201), (1, 400)])
@pytest.mark.parametrize("kind", [JSON, "application/yaml"])
def test_an_object_of_as_many_levels_as_may_be_is_stored_and_read_back(more: int, status: int, kind: str) -> None:
    async def scenario() -> None:
        async with world() as w:
            await defined(w, {"type": "object", "properties": {"spec": _FREE}})
            path, text = bodies(nested(depth.LIMIT - 2 + more, "objects"))["custom"]
            answer = await w.raw("POST", path, (text % "").encode(), content_type=kind)
            assert answer.status == status, answer.body
            if status == 201:
                assert (await w.obj("GET", f"{path}/x"))["spec"] == orjson.loads(text % "")["spec"]
            else:
                assert "exceeded max depth" in orjson.loads(answer.body)["message"]

    asyncio.run(scenario())


def _schema(levels: int) -> Obj:
    """Objects in objects, with all that is looked at on every level: defaults, sets, rules."""
    made: Obj = {"type": "string", "maxLength": 5}
    for level in range(levels):
        items = {"type": "array", "maxItems": 3, "x-kubernetes-list-type": "set", "items": {"type": "string"}}
        made = {"type": "object", "properties": {"a": made, "b": items}, "default": {}}
        if level % 10 == 3:
            made["x-kubernetes-validations"] = [{"rule": "!has(self.b) || self.b.size() < 4"}]
    return {"type": "object", "properties": {"spec": made}}


def test_the_deepest_schema_is_served_with_the_deepest_objects() -> None:
    levels = (depth.LIMIT - 10) // 2
    spec: Any = "x"
    for _ in range(levels):
        spec = {"a": spec, "b": ["1", "2"]}
    obj = {"apiVersion": f"{GROUP}/v1", "kind": "Deep", "metadata": {"name": "x"}, "spec": spec}

    async def scenario() -> None:
        async with world() as w:
            await defined(w, _schema(levels))
            created = await w.obj("POST", DEEP, obj)
            assert created["spec"] == spec
            empty = await w.obj("POST", DEEP, {**obj, "metadata": {"name": "y"}, "spec": {}})
            assert dict(empty["spec"]) and orjson.dumps(empty["spec"]).count(b'"a"') == levels - 1
            created["metadata"]["labels"] = {"a": "b"}
            assert (await w.raw("PUT", f"{DEEP}/x", created)).status == 200
            patched = await w.raw("PATCH", f"{DEEP}/x", {"spec": {"b": ["3"]}}, content_type=PATCHES["merge"])
            assert patched.status == 200, patched.body
            applied = await w.raw("PATCH", f"{DEEP}/x?fieldManager=m&force=true", obj, content_type=PATCHES["apply"])
            assert applied.status == 200, applied.body
            for target in (f"/openapi/v3/apis/{GROUP}/v1", "/openapi/v2", DEEP):
                for accept in (JSON, "application/yaml", "*/*"):
                    assert (await w.raw("GET", target, accept=accept)).status in (200, 406)
            too_deep = await w.raw("PUT", f"{CRDS}/deeps.{GROUP}", definition(_schema(levels + 1)))
            assert too_deep.status == 400

    asyncio.run(scenario())
