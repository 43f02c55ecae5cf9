"""Writes to the status of custom resources: nothing else is taken of them, of metadata neither."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest
from tests.fakes.server import World
from tests.unit.apiserver.crd.test_custom_resources import GROUP, PATH, run, tab

from steersman.machinery.meta import Obj

OTHERS: Obj = {
    "labels": {"b": "2"},
    "annotations": {"z": "z"},
    "finalizers": ["example.com/other"],
    "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}],
    "generateName": "other-",
    "generation": 7,
    "creationTimestamp": "2020-01-01T00:00:00Z",
}
BODY: Obj = {"metadata": OTHERS, "spec": {"cron": "other"}, "status": {"replicas": 3}}
JSON_PATCH = [
    *({"op": "add", "path": f"/metadata/{key}", "value": value} for key, value in OTHERS.items()),
    {"op": "replace", "path": "/spec/cron", "value": "other"},
    {"op": "add", "path": "/status", "value": {"replicas": 3}},
]


async def made(w: World) -> Obj:
    obj = tab()
    obj["metadata"] |= {"labels": {"a": "1"}, "annotations": {"x": "y"}, "finalizers": ["example.com/f"]}
    return await w.obj("POST", PATH, obj)


def bare(obj: Obj) -> Obj:
    """The object without its status, its version, and who owns what."""
    found = copy.deepcopy(obj)
    found.pop("status", None)
    for key in ("resourceVersion", "managedFields"):
        found["metadata"].pop(key, None)
    return found


def _put(before: Obj) -> Obj:
    return {**before, **BODY, "metadata": {**before["metadata"], **OTHERS}}


@pytest.mark.parametrize(
    ("method", "content_type", "body"),
    [
        ("PUT", "application/json", _put),
        ("PATCH", "application/merge-patch+json", lambda _: BODY),
        ("PATCH", "application/json-patch+json", lambda _: JSON_PATCH),
    ],
)
def test_only_the_status_is_taken(method: str, content_type: str, body: Any) -> None:
    async def scenario(w: World) -> None:
        before = await made(w)
        answer = await w.raw(method, f"{PATH}/a/status", body(before), content_type=content_type)
        assert answer.status == 200, answer.body
        after = orjson.loads(answer.body)
        assert after["status"] == {"replicas": 3}
        assert bare(after) == bare(before)
        assert await w.obj("GET", f"{PATH}/a") == after
        # Nobody owns what was not taken.
        (entry,) = [item for item in after["metadata"]["managedFields"] if item.get("subresource") == "status"]
        assert entry["fieldsV1"] == {"f:status": {".": {}, "f:replicas": {}}}

    run(scenario)


def test_an_applied_status_owns_the_status_only() -> None:
    async def scenario(w: World) -> None:
        before = await made(w)
        config = {"apiVersion": f"{GROUP}/v1", "kind": "CronTab", **BODY, "metadata": {"name": "a", "labels": {"b": "2"}}}
        target = f"{PATH}/a/status?fieldManager=m&force=true"
        answer = await w.raw("PATCH", target, config, content_type="application/apply-patch+yaml")
        assert answer.status == 200, answer.body
        after = orjson.loads(answer.body)
        assert after["status"] == {"replicas": 3} and bare(after) == bare(before)
        (entry,) = [item for item in after["metadata"]["managedFields"] if item["manager"] == "m"]
        assert entry["fieldsV1"] == {"f:status": {"f:replicas": {}}}

    run(scenario)


def test_a_status_that_is_left_out_goes() -> None:
    async def scenario(w: World) -> None:
        await made(w)
        await w.raw("PATCH", f"{PATH}/a/status", {"status": {"replicas": 3}}, content_type="application/merge-patch+json")
        obj = await w.obj("GET", f"{PATH}/a")
        del obj["status"]
        assert "status" not in await w.obj("PUT", f"{PATH}/a/status", obj)

    run(scenario)
