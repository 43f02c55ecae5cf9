"""Admission webhooks over HTTPS on the loopback interface, in the event loop of the test; and a server that asks them."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web
from tests.fakes import certs
from tests.fakes.server import Everybody, World, world

from steersman.apiserver.admission.webhooks import MutatingWebhooks, ValidatingWebhooks
from steersman.apiserver.contracts import AdmissionPlugin, Listers
from steersman.machinery.clock import VirtualClock
from steersman.machinery.meta import Obj

Answering = Callable[[Obj], Obj | Awaitable[Obj]]
"""From the request of a review to the response, whose uid is filled in."""
RULE: Obj = {"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}


@dataclass
class Hooks:
    """Webhooks by path. `asked`: the requests of reviews by path, in order."""

    answering: dict[str, Answering] = field(default_factory=dict)
    asked: dict[str, list[Obj]] = field(default_factory=dict)
    reviews: list[Obj] = field(default_factory=list)
    connections: list[web.BaseRequest] = field(default_factory=list)
    """The first request of each."""
    port: int = 0
    bundle: bytes = b""

    def client(self, path: str) -> Obj:
        """A WebhookClientConfig."""
        return {"url": f"https://127.0.0.1:{self.port}{path}", "caBundle": base64.b64encode(self.bundle).decode()}

    def hook(self, path: str, answering: Answering, **more: Any) -> Obj:
        """A webhook of a configuration, about ConfigMaps unless it says otherwise."""
        self.answering[path] = answering
        base = {
            "name": f"{path.strip('/')}.example.com",
            "clientConfig": self.client(path),
            "rules": [RULE],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1", "v1beta1"],
            # The most there is, in real time: a slow machine is no webhook that hangs.
            "timeoutSeconds": 30,
        }
        return {**base, **more}

    async def handle(self, request: web.Request) -> web.Response:
        if all(request.transport is not known.transport for known in self.connections):
            self.connections.append(request)
        review = orjson.loads(await request.read())
        self.reviews.append(review)
        self.asked.setdefault(request.path, []).append(review["request"])
        answer = self.answering.get(request.path)
        if answer is None:
            return web.Response(status=404)
        found = answer(review["request"])
        response = await found if isinstance(found, Awaitable) else found
        said = {"kind": review["kind"], "apiVersion": review["apiVersion"]}
        said["response"] = {"uid": review["request"]["uid"], **response}
        return web.Response(body=orjson.dumps(said), content_type="application/json")


@asynccontextmanager
async def hooks(directory: Path) -> AsyncIterator[Hooks]:
    """`directory` gets their certificates."""
    ca, key = certs.authority(directory / "ca.crt")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certs.signed(directory / "hook", "hook", ca, key))
    served = Hooks(bundle=(directory / "ca.crt").read_bytes())
    app = web.Application()
    app.router.add_post("/{path:.*}", served.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        served.port = runner.addresses[0][1]
        yield served
    finally:
        await runner.cleanup()


def plugins(listers: Listers, *before: AdmissionPlugin) -> Sequence[AdmissionPlugin]:
    clock, everybody = VirtualClock(), Everybody()
    return (*before, MutatingWebhooks(listers, everybody, clock), ValidatingWebhooks(listers, everybody, clock))


def run(directory: Path, scenario: Callable[[World, Hooks], Awaitable[None]], *before: AdmissionPlugin, **settings: Any) -> None:
    """A scenario with a server that asks webhooks, after the plugins `before`. settings: of its ServerConfig."""

    async def main() -> None:
        async with hooks(directory) as served, world(plugins=lambda listers: plugins(listers, *before), **settings) as running:
            await scenario(running, served)

    asyncio.run(main())


def configuration(kind: str, name: str, *webhooks: Obj, **metadata: Any) -> Obj:
    """kind: Mutating or Validating."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": f"{kind}WebhookConfiguration",
        "metadata": {"name": name, **metadata},
        "webhooks": list(webhooks),
    }


def patched(*ops: Obj, **more: Any) -> Obj:
    """A response that allows, and changes."""
    return {"allowed": True, "patchType": "JSONPatch", "patch": base64.b64encode(orjson.dumps(ops)).decode(), **more}


def denied(message: str = "", **status: Any) -> Obj:
    return {"allowed": False, "status": {**({"message": message} if message else {}), **status}}


def allowed(_: Obj) -> Obj:
    return {"allowed": True}
