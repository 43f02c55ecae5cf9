"""A webhook over HTTPS on the loopback interface, in the event loop of the test: what it is asked, a function answers."""

from __future__ import annotations

import base64
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from aiohttp import web
from tests.fakes import certs

from steersman.machinery.meta import Obj

Answering = Callable[[Obj], Obj]


@dataclass
class Hook:
    """`config` is its WebhookClientConfig. `answering` may be replaced; None: every question gets status 500."""

    answering: Answering | None
    port: int = 0
    bundle: bytes = b""
    asked: list[Obj] = field(default_factory=list)

    @property
    def config(self) -> Obj:
        return {"url": f"https://127.0.0.1:{self.port}/convert", "caBundle": base64.b64encode(self.bundle).decode()}

    async def handle(self, request: web.Request) -> web.Response:
        question = orjson.loads(await request.read())
        self.asked.append(question)
        if self.answering is None:
            return web.Response(status=500)
        return web.Response(body=orjson.dumps(self.answering(question)), content_type="application/json")


@asynccontextmanager
async def webhook(directory: Path, answering: Answering) -> AsyncIterator[Hook]:
    """`directory` gets its certificates."""
    ca, key = certs.authority(directory / "ca.crt")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certs.signed(directory / "hook", "hook", ca, key))
    hook = Hook(answering, bundle=(directory / "ca.crt").read_bytes())
    app = web.Application()
    app.router.add_post("/convert", hook.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        hook.port = runner.addresses[0][1]
        yield hook
    finally:
        await runner.cleanup()
