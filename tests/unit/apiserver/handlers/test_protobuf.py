"""Protobuf over HTTP: bodies of every kind of request, and answers for clients that take nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from tests.fakes.server import World, pod, world

from steersman.api.protobuf.decode import decode
from steersman.api.protobuf.envelope import MEDIA_TYPE, unpack
from steersman.api.protobuf.objects import pack
from steersman.api.schema.loader import schema
from steersman.machinery.gvk import GroupVersionKind, split_api_version
from steersman.machinery.meta import Obj

PODS = "/api/v1/namespaces/default/pods"


async def send(w: World, method: str, target: str, obj: Obj, **headers: str) -> tuple[int, Obj]:
    """Send an object in wire form and get JSON."""
    answer = await w.raw(method, target, pack(obj), content_type=MEDIA_TYPE, accept=f"{MEDIA_TYPE},application/json", **headers)
    found: Obj = orjson.loads(answer.body)
    return answer.status, found


def test_bodies_in_protobuf() -> None:
    async def scenario() -> None:
        async with world() as w:
            status, made = await send(w, "POST", PODS, pod())
            assert (status, made["spec"]["restartPolicy"]) == (201, "Always")
            made["metadata"]["labels"] = {"a": "b"}
            status, changed = await send(w, "PUT", f"{PODS}/web", made)
            assert (status, changed["metadata"]["labels"]) == (200, {"a": "b"})
            changed["status"] = {"phase": "Running", "containerStatuses": []}
            status, running = await send(w, "PUT", f"{PODS}/web/status", changed)
            assert (status, running["status"]["phase"]) == (200, "Running")
            assert running["spec"] == made["spec"]
            wrong: Obj = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": "another"}}
            assert (await send(w, "DELETE", f"{PODS}/web", wrong))[0] == 409
            eviction: Obj = {
                "apiVersion": "policy/v1",
                "kind": "Eviction",
                "metadata": {"name": "web", "namespace": "default"},
                "deleteOptions": {"gracePeriodSeconds": 0},
            }
            assert (await send(w, "POST", f"{PODS}/web/eviction", eviction))[0] == 201
            assert (await w.raw("GET", f"{PODS}/web")).status == 404

    asyncio.run(scenario())


DEFINITION: Obj = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "toys.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "toys", "singular": "toy", "kind": "Toy", "listKind": "ToyList"},
        "conversion": {"strategy": "None"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": False,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["size"],
                                "properties": {
                                    "size": {"type": "integer", "minimum": 0.0, "default": 3},
                                    "tags": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}, "maxItems": 0},
                                    "more": {"type": "object", "additionalProperties": {"type": "string"}},
                                    "free": {"x-kubernetes-int-or-string": True},
                                },
                                "x-kubernetes-validations": [{"rule": "self.size < 9", "message": "large"}],
                            }
                        },
                    }
                },
                "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.n"}},
                "selectableFields": [{"jsonPath": ".spec.size"}],
                "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
            },
            {"name": "v2", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}},
        ],
    },
    "status": {"conditions": [], "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": []},
}
SERVICE: Obj = {
    "apiVersion": "apiregistration.k8s.io/v1",
    "kind": "APIService",
    "metadata": {"name": "v1.example.com"},
    "spec": {
        "service": {"namespace": "default", "name": "api", "port": 7443},
        "group": "example.com",
        "version": "v1",
        "caBundle": "QUI=",
        "groupPriorityMinimum": 2000,
        "versionPriority": 200,
    },
}


@pytest.mark.parametrize("wanted", [DEFINITION, SERVICE], ids=lambda obj: obj["kind"])
def test_definitions_and_api_services_are_the_same_in_either_form(wanted: Obj) -> None:
    """Their Go clients prefer protobuf."""

    async def scenario() -> None:
        async with world() as w:
            group, plural = wanted["apiVersion"], f"{wanted['kind'].lower()}s"
            target = f"/apis/{group}/{plural}"
            status, made = await send(w, "POST", target, wanted)
            assert status == 201, made
            assert made["spec"] == wanted["spec"]
            answer = await w.raw("GET", f"{target}/{wanted['metadata']['name']}", accept=MEDIA_TYPE)
            said = unpack(answer.body)
            name = schema().name_for(GroupVersionKind(*split_api_version(said.api_version), said.kind)) or ""
            assert answer.status == 200 and decode(name, said.raw)["spec"] == made["spec"]
            assert (await w.raw("GET", target, accept=MEDIA_TYPE)).status == 200

    asyncio.run(scenario())


def test_bodies_that_are_none_are_bad_requests() -> None:
    async def scenario() -> None:
        async with world() as w:
            sent = pack({**pod(), "kind": "Pod"}) or b""
            for body, text in (
                (b"{}", "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0] ({})"),
                (b"", "empty data (<empty>)"),
                (sent[:-8], "the object provided is unrecognized (must be of type Pod): unexpected EOF (6b387300"),
                (sent[:15] + b"\x12\x02\x0a\x05", 'Pod in version "v1" cannot be handled as a Pod: unexpected EOF'),
                (pack({"apiVersion": "v1", "kind": "Secret"}), "cannot be handled as a Pod"),
            ):
                answer = await w.raw("POST", PODS, body, content_type=MEDIA_TYPE)
                assert answer.status == 400, (body, answer.body)
                assert text in str(orjson.loads(answer.body)["message"])
            for at in range(4, len(sent)):
                assert (await w.raw("POST", PODS + "?dryRun=All", sent[:at], content_type=MEDIA_TYPE)).status in (201, 400, 422)

    asyncio.run(scenario())


def read(body: bytes) -> tuple[str, Any]:
    found = unpack(body)
    package = "apimachinery.pkg.apis.meta" if found.kind == "Status" else "api.core"
    return found.kind, decode(f"io.k8s.{package}.v1.{found.kind}", found.raw)


def test_clients_that_take_only_protobuf_get_it() -> None:
    async def scenario() -> None:
        async with world() as w:
            await send(w, "POST", PODS, pod())
            answer = await w.raw("GET", f"{PODS}/web", accept=MEDIA_TYPE)
            kind, found = read(answer.body)
            assert (answer.headers["content-type"], kind) == (MEDIA_TYPE, "Pod")
            asked = orjson.loads((await w.raw("GET", f"{PODS}/web")).body)
            assert {**found, "kind": "Pod", "apiVersion": "v1"} == asked
            kind, found = read((await w.raw("GET", PODS, accept=MEDIA_TYPE)).body)
            assert (kind, found["items"][0]["metadata"]["name"]) == ("PodList", "web")
            kind, found = read((await w.raw("GET", f"{PODS}/none", accept=MEDIA_TYPE)).body)
            assert (kind, found["reason"], found["code"]) == ("Status", "NotFound", 404)

    asyncio.run(scenario())


def test_watches_in_protobuf() -> None:
    async def scenario() -> None:
        async with world() as w:
            await send(w, "POST", PODS, pod())
            async with w.transport.stream("GET", f"{PODS}?watch=1", headers={"accept": MEDIA_TYPE}) as stream:
                chunk = await anext(stream.chunks())
            size = int.from_bytes(chunk[:4], "big")
            assert len(chunk) == 4 + size
            assert b"ADDED" in chunk[:20]
            kind, found = read(chunk[chunk.index(b"k8s\x00") :])
            assert (kind, found["metadata"]["name"]) == ("Pod", "web")

    asyncio.run(scenario())
