"""A group-version of another server: passed on under the caller's name, discovered, and refused while nobody answers."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from tests.fakes import certs
from tests.fakes.server import World, world

from steersman.api.resources import API_SERVICES, NAMESPACES, SERVICES
from steersman.apiserver.http import RawConnection, Request
from steersman.machinery.errors import NotFound
from steersman.machinery.meta import Obj, condition

FORTUNES = "/apis/fun.io/v1/namespaces/default/fortunes"
_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_LISTED: Obj = {
    "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "fun.io/v1", "resources": [
        {"name": "fortunes", "singularName": "fortune", "namespaced": True, "kind": "Fortune", "verbs": ["list", "get"],
         "shortNames": ["ft"]},
        {"name": "fortunes/status", "singularName": "", "namespaced": True, "kind": "Fortune", "verbs": ["get"]},
    ],
}  # fmt: skip
_DOCUMENT: Obj = {
    "openapi": "3.0.0",
    "info": {"title": "fun", "version": "1"},
    "paths": {"/apis/fun.io/v1/namespaces/{namespace}/fortunes": {}},
    "components": {"schemas": {"io.fun.Fortune": {"type": "object"}}},
}


@dataclass
class Extension:
    """An API server of fun.io/v1. `healthy` may be taken away."""

    port: int = 0
    bundle: str = ""
    healthy: bool = True
    groups: dict[str, Obj] = field(default_factory=lambda: {"/apis/fun.io/v1": _LISTED})
    asked: list[tuple[str, str, dict[str, list[str]], bytes]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if not self.healthy:
            return web.Response(status=500)
        if request.path in self.groups:
            return web.json_response(self.groups[request.path])
        if request.path == "/openapi/v3/apis/fun.io/v1":
            return web.json_response(_DOCUMENT)
        headers = {name.lower(): request.headers.getall(name) for name in request.headers}
        self.asked.append((request.method, request.path_qs, headers, await request.read()))
        if request.path.endswith("/shell"):
            socket = web.WebSocketResponse(protocols=("v5.channel.k8s.io",), timeout=0.1)
            await socket.prepare(request)
            await socket.send_bytes(await socket.receive_bytes())
            await socket.close()
            return socket
        if request.query.get("watch"):
            response = web.StreamResponse(headers={"Content-Type": "application/json"})
            await response.prepare(request)
            for number in range(3):
                await response.write(b'{"type":"ADDED","number":%d}\n' % number)
            return response
        return web.json_response({"kind": "FortuneList", "items": []}, status=201 if request.method == "POST" else 200)


@asynccontextmanager
async def extension(directory: Path) -> AsyncIterator[Extension]:
    """Asks for a certificate of the front proxy's authority. `directory` gets all certificates."""
    ca, key = certs.authority(directory / "ca.crt")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(directory / "ca.crt"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(*certs.signed(directory / "fun", "fun", ca, key, "fun.ops.svc"))
    certs.signed(directory / "front", "front-proxy-client", ca, key)
    made = Extension(bundle=base64.b64encode((directory / "ca.crt").read_bytes()).decode())
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        made.port = runner.addresses[0][1]
        yield made
    finally:
        await runner.cleanup()


def run(directory: Path, scenario: Callable[[World, Extension], Awaitable[None]]) -> None:
    async def main() -> None:
        async with extension(directory) as there:
            cert, key = directory / "front.crt", directory / "front.key"
            async with world(begins=True, proxy_client_cert=cert, proxy_client_key=key) as w:
                await w.client.create(NAMESPACES, {"metadata": {"name": "ops"}})
                spec = {"type": "ExternalName", "externalName": "localhost"}
                await w.client.create(SERVICES, {"metadata": {"name": "fun", "namespace": "ops"}, "spec": spec})
                await scenario(w, there)

    asyncio.run(main())


class Caller:
    """The connection of a client whose request was taken over."""

    def __init__(self, *sent: bytes) -> None:
        self._sent = list(sent)
        self.got = b""
        self.closed = asyncio.Event()

    async def read(self) -> bytes:
        if self._sent:
            return self._sent.pop(0)
        await self.closed.wait()
        return b""

    async def write(self, data: bytes) -> None:
        self.got += data

    async def close(self) -> None:
        self.closed.set()


UPGRADE = {
    "connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", "sec-websocket-protocol": "v5.channel.k8s.io",
    "authorization": "Bearer x", "x-remote-user": "mallory",
}  # fmt: skip


def registered(there: Extension, **more: Any) -> Obj:
    service = {"name": "fun", "namespace": "ops", "port": there.port}
    spec = {"group": "fun.io", "version": "v1", "groupPriorityMinimum": 500, "versionPriority": 10, "service": service}
    return {"metadata": {"name": "v1.fun.io"}, "spec": {**spec, "caBundle": there.bundle, **more}}


async def becomes(w: World, status: str) -> Obj:
    """The condition Available once it has that status."""
    for _ in range(2000):
        found = condition(await w.client.get(API_SERVICES, "v1.fun.io"), "Available") or {}
        if found.get("status") == status:
            return found
        await w.clock.advance(0.1)
    raise AssertionError(f"still {found}")


def test_requests_are_passed_on_under_the_callers_name(tmp_path: Path) -> None:
    async def scenario(w: World, there: Extension) -> None:
        await w.client.create(API_SERVICES, registered(there))
        assert (await becomes(w, "True"))["reason"] == "Passed"
        answer = await w.raw("GET", f"{FORTUNES}?limit=5", authorization="Bearer x", x_remote_user="mallory")
        assert (answer.status, answer.body) == (200, b'{"kind": "FortuneList", "items": []}')
        method, target, headers, _ = there.asked[-1]
        assert (method, target) == ("GET", f"{FORTUNES}?limit=5")
        assert headers["x-remote-user"] == ["alice"]
        assert headers["x-remote-group"] == ["system:masters", "system:authenticated"]
        assert "authorization" not in headers
        answer = await w.raw("POST", FORTUNES, {"kind": "Fortune"})
        assert answer.status == 201
        assert (there.asked[-1][0], there.asked[-1][3]) == ("POST", b'{"kind":"Fortune"}')

    run(tmp_path, scenario)


def test_a_watch_is_passed_on_as_it_comes(tmp_path: Path) -> None:
    async def scenario(w: World, there: Extension) -> None:
        await w.client.create(API_SERVICES, registered(there))
        await becomes(w, "True")
        async with w.transport.stream("GET", f"{FORTUNES}?watch=1") as answer:
            body = b"".join([chunk async for chunk in answer.chunks()])
        assert body.count(b"ADDED") == 3

    run(tmp_path, scenario)


def test_a_request_that_changes_protocols_is_passed_on_both_ways(tmp_path: Path) -> None:
    async def scenario(w: World, there: Extension) -> None:
        await w.client.create(API_SERVICES, registered(there))
        await becomes(w, "True")
        # A masked frame of three bytes, as clients send them.
        caller = Caller(b"\x82\x83\x00\x00\x00\x00" + b"ls\n")

        async def take_over() -> RawConnection:
            return caller

        target = f"{FORTUNES}/f/shell"
        request = Request("GET", target, "command=sh", UPGRADE, take_over=take_over)
        answer = await w.server.handler(request)
        assert answer.upgraded and caller.closed.is_set()
        head, _, frames = caller.got.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ") and b"v5.channel.k8s.io" in head
        assert frames.startswith(b"\x82\x03ls\n"), "what was sent, sent back"
        method, asked, headers, _ = there.asked[-1]
        assert (method, asked) == ("GET", f"{target}?command=sh")
        assert headers["x-remote-user"] == ["alice"] and "authorization" not in headers

    run(tmp_path, scenario)


def test_a_refusal_to_change_protocols_is_the_answer(tmp_path: Path) -> None:
    async def scenario(w: World, there: Extension) -> None:
        await w.client.create(API_SERVICES, registered(there))
        await becomes(w, "True")

        async def take_over() -> RawConnection:
            raise AssertionError("nothing to take over for")

        answer = await w.server.handler(Request("POST", FORTUNES, "", UPGRADE, take_over=take_over))
        assert (answer.status, answer.upgraded, answer.body) == (201, False, b'{"kind": "FortuneList", "items": []}')

    run(tmp_path, scenario)


def test_discovery_and_openapi_take_in_what_the_other_server_says(tmp_path: Path) -> None:
    async def scenario(w: World, there: Extension) -> None:
        await w.client.create(API_SERVICES, registered(there))
        await becomes(w, "True")
        listed = [item["name"] for item in (await w.obj("GET", "/apis"))["groups"]]
        # By priority: its 500 is more than what metrics.k8s.io has.
        assert listed[-2:] == ["fun.io", "metrics.k8s.io"]
        assert (await w.obj("GET", "/apis/fun.io"))["versions"] == [{"groupVersion": "fun.io/v1", "version": "v1"}]
        assert await w.obj("GET", "/apis/fun.io/v1") == _LISTED
        groups = {item["metadata"]["name"]: item for item in (await w.obj("GET", "/apis", accept=_AGGREGATED))["items"]}
        version = groups["fun.io"]["versions"][0]
        kind = {"group": "fun.io", "version": "v1", "kind": "Fortune"}
        assert version == {"version": "v1", "freshness": "Current", "resources": [{
            "resource": "fortunes", "scope": "Namespaced", "singularResource": "fortune", "responseKind": kind,
            "verbs": ["get", "list"], "shortNames": ["ft"],
            "subresources": [{"subresource": "status", "responseKind": kind, "verbs": ["get"]}]}]}  # fmt: skip
        where = (await w.obj("GET", "/openapi/v3"))["paths"]["apis/fun.io/v1"]["serverRelativeURL"]
        assert await w.obj("GET", where) == _DOCUMENT
        whole = await w.obj("GET", "/openapi/v2")
        assert "io.fun.Fortune" in whole["definitions"] and next(iter(_DOCUMENT["paths"])) in whole["paths"]

    run(tmp_path, scenario)


def test_a_server_that_fails_is_said_to_be_unavailable_until_it_answers_again(tmp_path: Path) -> None:
    async def scenario(w: World, there: Extension) -> None:
        there.healthy = False
        await w.client.create(API_SERVICES, registered(there))
        found = await becomes(w, "False")
        assert found["reason"] == "FailedDiscoveryCheck"
        url = f"https://localhost:{there.port}/apis/fun.io/v1"
        assert found["message"] == f"failing or missing response from {url}: bad status from {url}: 500"
        answer = await w.raw("GET", FORTUNES)
        assert (answer.status, answer.body) == (503, b"service unavailable\n")
        groups = {item["metadata"]["name"]: item for item in (await w.obj("GET", "/apis", accept=_AGGREGATED))["items"]}
        assert groups["fun.io"]["versions"] == [{"version": "v1", "freshness": "Stale"}]
        there.healthy = True
        await becomes(w, "True")
        assert (await w.raw("GET", FORTUNES)).status == 200

    run(tmp_path, scenario)


def test_a_certificate_must_be_of_the_bundle_unless_nobody_asks(tmp_path: Path) -> None:
    async def scenario(w: World, there: Extension) -> None:
        await w.client.create(API_SERVICES, registered(there, caBundle=""))
        assert "certificate" in (await becomes(w, "False"))["message"]
        obj = await w.client.get(API_SERVICES, "v1.fun.io")
        await w.client.update(API_SERVICES, {**obj, "spec": {**obj["spec"], "insecureSkipTLSVerify": True}})
        await becomes(w, "True")

    run(tmp_path, scenario)


def test_without_its_service_nothing_is_asked_and_without_its_registration_nothing_is_known(tmp_path: Path) -> None:
    async def scenario(w: World, there: Extension) -> None:
        await w.client.create(API_SERVICES, registered(there))
        await becomes(w, "True")
        await w.client.delete(SERVICES, "fun", "ops")
        found = await becomes(w, "False")
        assert (found["reason"], found["message"]) == ("ServiceNotFound", 'service/fun in "ops" is not present')
        await w.client.delete(API_SERVICES, "v1.fun.io")
        for _ in range(100):
            await w.clock.advance(0.01)
            if (await w.raw("GET", FORTUNES)).status == 404:
                break
        assert (await w.raw("GET", "/apis/fun.io")).status == 404
        assert (await w.raw("GET", FORTUNES)).status == 404

    run(tmp_path, scenario)


def test_a_service_that_goes_is_noticed_at_once(tmp_path: Path) -> None:
    async def scenario(w: World, there: Extension) -> None:
        await w.client.create(API_SERVICES, registered(there))
        await becomes(w, "True")
        before_s = w.clock.monotonic()
        await w.client.delete(SERVICES, "fun", "ops")
        for _ in range(200):
            await w.clock.advance(0)
        found = condition(await w.client.get(API_SERVICES, "v1.fun.io"), "Available") or {}
        assert (found["reason"], w.clock.monotonic()) == ("ServiceNotFound", before_s)
        assert (await w.raw("GET", FORTUNES)).status == 503

    run(tmp_path, scenario)


def test_a_change_of_its_priority_leaves_a_server_where_it_is(tmp_path: Path) -> None:
    async def scenario(w: World, there: Extension) -> None:
        await w.client.create(API_SERVICES, registered(there))
        await becomes(w, "True")
        await w.client.patch(API_SERVICES, "v1.fun.io", {"spec": {"groupPriorityMinimum": 5}}, kind="merge")
        for _ in range(50):
            await w.clock.advance(0)
            assert (await w.raw("GET", FORTUNES)).status == 200
        assert [item["name"] for item in (await w.obj("GET", "/apis"))["groups"]][-1] == "fun.io"
        assert await w.obj("GET", "/apis/fun.io/v1") == _LISTED

    run(tmp_path, scenario)


METRICS: Obj = {
    "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "metrics.k8s.io/v1beta1", "resources": [
        {"name": "nodes", "singularName": "", "namespaced": False, "kind": "NodeMetrics", "verbs": ["get", "list"]},
        {"name": "pods", "singularName": "", "namespaced": True, "kind": "PodMetrics", "verbs": ["get", "list"]},
    ],
}  # fmt: skip


def test_metrics_server_takes_the_place_of_the_built_in_metrics_and_gives_it_back(tmp_path: Path) -> None:
    """Its manifest changes the APIService that is there, as `kubectl apply` does."""
    name, root, nodes = "v1beta1.metrics.k8s.io", "/apis/metrics.k8s.io/v1beta1", "/apis/metrics.k8s.io/v1beta1/nodes"

    async def reason(w: World) -> str:
        return str((condition(await w.client.get(API_SERVICES, name), "Available") or {}).get("reason"))

    async def until(w: World, holds: Callable[[], Awaitable[bool]]) -> None:
        for _ in range(500):
            if await holds():
                return
            await w.clock.advance(0.1)
        raise AssertionError("never")

    async def scenario(w: World, there: Extension) -> None:
        there.groups[root] = METRICS
        assert await reason(w) == "Local"
        before = await w.obj("GET", root)
        assert before["kind"] == "APIResourceList" and before != METRICS
        service = {"name": "fun", "namespace": "ops", "port": there.port}
        spec = {"service": service, "groupPriorityMinimum": 100, "versionPriority": 100, "insecureSkipTLSVerify": True}
        labels = {"k8s-app": "metrics-server"}
        await w.client.patch(API_SERVICES, name, {"metadata": {"labels": labels}, "spec": spec}, kind="merge")

        async def taken() -> bool:
            return await reason(w) == "Passed"

        await until(w, taken)
        assert await w.obj("GET", root) == METRICS
        assert (await w.obj("GET", nodes))["kind"] == "FortuneList", "its answer, as it is"
        assert there.asked[-1][2]["x-remote-user"] == ["alice"]
        groups = {item["metadata"]["name"]: item for item in (await w.obj("GET", "/apis", accept=_AGGREGATED))["items"]}
        assert [item["resource"] for item in groups["metrics.k8s.io"]["versions"][0]["resources"]] == ["nodes", "pods"]
        await w.client.delete(API_SERVICES, name)

        async def given_back() -> bool:
            try:
                return await reason(w) == "Local"
            except NotFound:
                return False

        await until(w, given_back)
        assert await w.obj("GET", root) == before
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(w.obj("GET", nodes))
            await w.clock.advance(5)  # whoever asks first waits for two rounds
        assert asked.result()["kind"] == "NodeMetricsList"

    run(tmp_path, scenario)


def test_a_group_that_is_built_in_can_be_somebody_elses(tmp_path: Path) -> None:
    async def scenario(w: World, there: Extension) -> None:
        obj = registered(there, group="metrics.k8s.io", version="v1beta1")
        await w.client.patch(API_SERVICES, "v1beta1.metrics.k8s.io", {"spec": obj["spec"]}, kind="merge")
        for _ in range(100):
            await w.clock.advance(0.01)
        # fun.io's server knows nothing of it: its answer to /apis/metrics.k8s.io/v1beta1 is no list of resources.
        assert (await w.raw("GET", "/apis/metrics.k8s.io/v1beta1/nodes")).status == 503

    run(tmp_path, scenario)
