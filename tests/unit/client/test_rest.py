"""What RestClient sends and how it reads answers, on a transport that only remembers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from steersman.api.resources import NODES, PODS
from steersman.client.interface import Answer, StreamAnswer
from steersman.client.local import LocalTransport
from steersman.client.rest import RestClient, lines, parse_warnings
from steersman.machinery.errors import Conflict, Expired, NotFound, StatusError


class Recorder:
    """The server side of a LocalTransport."""

    def __init__(self, *answers: Answer, chunks: tuple[bytes, ...] = ()) -> None:
        self.answers = list(answers)
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.chunks = chunks
        self.stream_status = 200

    async def serve(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self.seen.append((method, target, dict(headers), body))
        return self.answers.pop(0) if self.answers else Answer(200, {}, b"{}")

    @asynccontextmanager
    async def stream(self, method: str, target: str, headers: Mapping[str, str]) -> AsyncIterator[StreamAnswer]:
        self.seen.append((method, target, dict(headers), b""))
        yield _Chunks(self.stream_status, self.chunks)

    def client(self, **options: Any) -> RestClient:
        return RestClient(LocalTransport(self.serve, self.stream), **options)


class _Chunks:
    def __init__(self, status: int, chunks: tuple[bytes, ...]) -> None:
        self.status, self._chunks = status, chunks

    async def chunks(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk


def test_requests_have_the_right_method_target_and_body() -> None:
    async def scenario() -> list[tuple[str, str, bytes]]:
        server = Recorder()
        client = server.client(field_manager="me")
        await client.get(PODS, "web", "default", resource_version="0")
        await client.list(PODS, label_selector="app in (a, b)", field_selector="spec.nodeName=n1", limit=5, continue_="a/b+c")
        await client.create(PODS, {"metadata": {"name": "p", "namespace": "x"}})
        await client.create(PODS, {"target": {}}, "x", name="p", subresource="binding")
        await client.update(NODES, {"metadata": {"name": "n1"}}, subresource="status")
        await client.patch(PODS, "p", {"a": None}, "x")
        await client.patch(PODS, "p", {"kind": "Pod"}, "x", kind="apply")
        await client.delete(PODS, "p", "x")
        await client.delete(PODS, "p", "x", grace_period_s=0, uid="u", propagation="Foreground")
        await client.delete_collection(PODS, "x", label_selector="a=b")
        await client.get(NODES, "system:node")
        return [(method, target, body) for method, target, _, body in server.seen]

    options = {
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "gracePeriodSeconds": 0,
        "propagationPolicy": "Foreground",
        "preconditions": {"uid": "u"},
    }
    assert asyncio.run(scenario()) == [
        ("GET", "/api/v1/namespaces/default/pods/web?resourceVersion=0", b""),
        (
            "GET",
            "/api/v1/pods?labelSelector=app%20in%20%28a%2C%20b%29&fieldSelector=spec.nodeName%3Dn1&limit=5&continue=a%2Fb%2Bc",
            b"",
        ),
        ("POST", "/api/v1/namespaces/x/pods?fieldManager=me", b'{"metadata":{"name":"p","namespace":"x"}}'),
        ("POST", "/api/v1/namespaces/x/pods/p/binding?fieldManager=me", b'{"target":{}}'),
        ("PUT", "/api/v1/nodes/n1/status?fieldManager=me", b'{"metadata":{"name":"n1"}}'),
        ("PATCH", "/api/v1/namespaces/x/pods/p?fieldManager=me", b'{"a":null}'),
        ("PATCH", "/api/v1/namespaces/x/pods/p?fieldManager=me&force=true", b'{"kind":"Pod"}'),
        ("DELETE", "/api/v1/namespaces/x/pods/p", b""),
        ("DELETE", "/api/v1/namespaces/x/pods/p", orjson.dumps(options)),
        ("DELETE", "/api/v1/namespaces/x/pods?labelSelector=a%3Db", b""),
        ("GET", "/api/v1/nodes/system:node", b""),
    ]


def test_patch_kinds_have_their_media_types() -> None:
    async def scenario() -> list[str]:
        server = Recorder()
        client = server.client()
        for kind in ("merge", "strategic", "json", "apply"):
            await client.patch(NODES, "n", {}, kind=kind)
        return [headers["content-type"] for _, _, headers, _ in server.seen]

    assert asyncio.run(scenario()) == [
        "application/merge-patch+json",
        "application/strategic-merge-patch+json",
        "application/json-patch+json",
        "application/apply-patch+yaml",
    ]


@pytest.mark.parametrize(
    ("namespace", "name"), [("x", ""), ("", "p"), ("x", ".."), ("x", "a/b"), ("x", "a%2fb"), ("..", "p"), ("x/y", "p")]
)
def test_a_name_that_would_address_something_else_is_refused_before_it_is_sent(namespace: str, name: str) -> None:
    server = Recorder()
    with pytest.raises(ValueError):
        asyncio.run(server.client().delete(PODS, name, namespace))
    assert server.seen == []


@pytest.mark.parametrize(
    ("answer", "expected", "message"),
    [
        (Answer(404, {}, b'{"kind":"Status","reason":"NotFound","message":"gone","code":404}'), NotFound, "gone"),
        (Answer(409, {}, b'{"kind":"Status","reason":"Conflict","message":"stale","code":409}'), Conflict, "stale"),
        (Answer(502, {}, b"<html>bad gateway</html>"), StatusError, "the server answered 502: <html>bad gateway</html>"),
    ],
)
def test_errors_become_the_class_of_their_reason(answer: Answer, expected: type[StatusError], message: str) -> None:
    with pytest.raises(expected) as caught:
        asyncio.run(Recorder(answer).client().get(NODES, "n"))
    assert caught.value.message == message


def test_items_of_a_list_get_the_kind_the_list_stands_for() -> None:
    body = b'{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[{"metadata":{"name":"a"}}]}'
    listed = asyncio.run(Recorder(Answer(200, {}, body)).client().list(PODS))
    assert listed["items"] == [{"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}}]
    assert asyncio.run(Recorder(Answer(200, {}, b'{"kind":"PodList","items":null}')).client().list(PODS))["items"] == []


def test_watch_frames_are_found_however_the_bytes_are_cut() -> None:
    frames = [b'{"type":"ADDED","object":{"metadata":{"name":"p%d"}}}\n' % number for number in range(5)]
    stream = b"".join(frames)

    async def names(size: int) -> list[str]:
        chunks = tuple(stream[start : start + size] for start in range(0, len(stream), size))
        server = Recorder(chunks=chunks)
        return [event.object["metadata"]["name"] async for event in server.client().watch(PODS)]

    for size in (1, 7, 52, 53, 54, 1000):
        assert asyncio.run(names(size)) == ["p0", "p1", "p2", "p3", "p4"], size


def test_a_watch_raises_the_error_the_server_sends_in_the_stream_or_instead_of_it() -> None:
    expired = b'{"kind":"Status","reason":"Expired","message":"too old","code":410}'

    async def first(server: Recorder) -> None:
        async for _ in server.client().watch(PODS, resource_version="5"):
            pass

    with pytest.raises(Expired):
        asyncio.run(first(Recorder(chunks=(b'{"type":"ERROR","object":' + expired + b"}\n",))))
    refused = Recorder(chunks=(expired[:10], expired[10:]))
    refused.stream_status = 410
    with pytest.raises(Expired):
        asyncio.run(first(refused))
    assert refused.seen[0][1] == "/api/v1/pods?watch=true&allowWatchBookmarks=true&resourceVersion=5"


def test_an_unfinished_last_line_is_not_a_frame() -> None:
    async def scenario() -> list[bytes]:
        return [line async for line in lines(_Chunks(200, (b"a\nb", b"c\n\nd")).chunks())]

    assert asyncio.run(scenario()) == [b"a", b"bc"]


def test_warnings_are_handed_on_unquoted() -> None:
    seen: list[str] = []
    answer = Answer(200, {"warning": '299 - "use \\"v1\\", please", 299 - "second"'}, b"{}")
    asyncio.run(Recorder(answer).client(on_warning=seen.append).get(NODES, "n"))
    assert seen == ['use "v1", please', "second"]
    assert parse_warnings("299 - broken") == []


def test_a_metadata_only_client_asks_for_partial_objects() -> None:
    async def scenario() -> list[str]:
        server = Recorder(chunks=())
        client = server.client().metadata_only()
        await client.list(PODS)
        await client.get(NODES, "n")
        return [headers["accept"].split(";")[1] for _, _, headers, _ in server.seen]

    assert asyncio.run(scenario()) == ["as=PartialObjectMetadataList", "as=PartialObjectMetadata"]
