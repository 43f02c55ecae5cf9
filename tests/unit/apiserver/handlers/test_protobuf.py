"""Protobuf over HTTP: bodies of every kind of request, and answers for clients that take nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from tests.fakes.server import World, pod, world

from steersman.api.protobuf.decode import decode
from steersman.api.protobuf.envelope import MEDIA_TYPE, unpack
from steersman.api.protobuf.objects import pack
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
