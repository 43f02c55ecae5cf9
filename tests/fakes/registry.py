"""A registry on the loopback interface, in the test's own loop, that says whatever a test has it say."""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
HERE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]

Answer = Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def described(data: bytes, **more: Any) -> dict[str, Any]:
    return {"digest": sha256(data), "size": len(data), **more}


@dataclass(slots=True)
class FakeRegistry:
    """Repository `app`. `contents`: manifests and blobs by tag or digest; `answers`: who answers for some of them instead."""

    contents: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def image(self) -> str:
        return f"127.0.0.1:{self.port}/app:latest"

    def hold(self, *blobs: bytes) -> None:
        self.contents.update((sha256(blob), blob) for blob in blobs)

    def tag(self, manifest: bytes) -> None:
        self.hold(manifest)
        self.contents["latest"] = manifest

    def push(self, layers: Sequence[bytes], /, *, packed: Sequence[bytes] = (), config: object = None, **manifest: Any) -> None:
        """An image of uncompressed layers, which are sent as `packed`, with other parts where they are given."""
        blobs = packed or layers
        body = {"config": {}, "rootfs": {"diff_ids": [sha256(layer) for layer in layers]}} if config is None else config
        data = json.dumps(body).encode()
        self.hold(data, *blobs)
        whole = {
            "schemaVersion": 2, "mediaType": MANIFEST, "config": described(data),
            "layers": [described(blob) for blob in blobs], **manifest,
        }  # fmt: skip
        self.tag(json.dumps(whole).encode())

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[FakeRegistry]:
        application = web.Application()
        application.router.add_get("/v2/app/{kind}/{name}", self._get)
        application.router.add_route("*", "/token", self._token)
        runner = web.AppRunner(application, shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _token(self, request: web.Request) -> web.StreamResponse:
        self.requests.append("token")
        return await self.answers["token"](request, b"")

    async def _get(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        self.requests.append(f"{request.match_info['kind']} {request.headers.get('Range', '')}".strip())
        data = self.contents.get(name)
        if data is None:
            return web.Response(status=404)
        if name in self.answers:
            return await self.answers[name](request, data)
        return web.Response(body=data)
