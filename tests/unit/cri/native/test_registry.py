"""The Distribution client against a small registry of its own that asks for tokens, breaks off, and lies."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import platform
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from steersman.cri.interface import RuntimeFault
from steersman.cri.messages import RegistryAuth
from steersman.cri.native import build, registries
from steersman.cri.native.images import NativeImages
from steersman.cri.native.manifests import choose_platform
from steersman.cri.native.reference import parse
from steersman.cri.native.registries import Registries
from steersman.machinery.clock import VirtualClock

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass(slots=True)
class FakeRegistry:
    """One repository `app` with an index under `latest`. The switches say how it misbehaves."""

    layer: bytes
    auth: str = ""
    breaks_after: int = 0
    knows_ranges: bool = True
    lies: bool = False
    requests: list[str] = field(default_factory=list)
    port: int = 0
    blobs: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        config = json.dumps({"config": {"Cmd": ["x"]}, "rootfs": {"diff_ids": [sha256(self.layer)]}}).encode()
        descriptors = [{"digest": sha256(data), "size": len(data)} for data in (config, self.layer)]
        manifest = json.dumps(
            {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptors[0], "layers": descriptors[1:]}
        ).encode()
        here = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
        entries = [
            {
                "mediaType": MANIFEST,
                "digest": "sha256:" + "0" * 64,
                "size": 1,
                "platform": {"os": "linux", "architecture": "sparc"},
            },
            {"mediaType": MANIFEST, "digest": sha256(manifest), "size": 1, "platform": {"os": "linux", "architecture": here}},
        ]
        index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
        self.blobs = {"latest": index, **{sha256(data): data for data in (config, self.layer, manifest, index)}}

    @property
    def image(self) -> str:
        return f"127.0.0.1:{self.port}/app"

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[FakeRegistry]:
        application = web.Application()
        application.router.add_get("/v2/app/{kind}/{name}", self.get)
        application.router.add_route("*", "/token", self.token)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        user = base64.b64decode(request.headers.get("Authorization", "Basic Og==").removeprefix("Basic ")).decode()
        self.requests.append(f"token {request.query.get('scope')} {user} {form.get('refresh_token', '')}".strip())
        known = user == "me:secret" or form.get("refresh_token") == "refresh"
        return web.json_response({"token": "good"} if known else {}, status=200 if known else 401)

    async def get(self, request: web.Request) -> web.StreamResponse:
        kind, name = request.match_info["kind"], request.match_info["name"]
        given = request.headers.get("Authorization", "")
        wanted = {"": "", "bearer": "Bearer good", "basic": "Basic " + base64.b64encode(b"me:secret").decode()}[self.auth]
        if given != wanted:
            realm = f'Bearer realm="http://127.0.0.1:{self.port}/token",service="fake",scope="repository:app:pull"'
            return web.Response(status=401, headers={"WWW-Authenticate": realm if self.auth == "bearer" else 'Basic realm="x"'})
        data = self.blobs[name]
        self.requests.append(f"{kind} {request.headers.get('Range', '')}".strip())
        if kind == "manifests":
            return web.Response(body=data, content_type=json.loads(data)["mediaType"])
        start = 0
        if self.knows_ranges and "Range" in request.headers:
            start = int(request.headers["Range"].removeprefix("bytes=").rstrip("-"))
        if self.lies and data is self.layer:
            data = data[:-1] + b"?"
        response = web.StreamResponse(status=206 if start else 200, headers={"Content-Length": str(len(data) - start)})
        await response.prepare(request)
        if self.breaks_after and data is self.layer:
            await response.write(data[start : self.breaks_after])
            self.breaks_after = 0
            assert request.transport
            request.transport.close()
            return response
        await response.write(data[start:])
        return response


LAYER = build.layer_tar(build.Contents(text={"etc/hello": "x" * 100_000, "etc/other": "y"}))
Scenario = Callable[[FakeRegistry, NativeImages], Coroutine[Any, Any, None]]


def run(tmp_path: Path, scenario: Scenario, *, configured: Registries | None = None, **switches: Any) -> None:
    async def main() -> None:
        clock = VirtualClock()
        async with FakeRegistry(LAYER, **switches).serving() as registry, asyncio.TaskGroup() as group:

            async def ticking() -> None:  # pauses between attempts pass at once
                while True:
                    await clock.advance(1, settle_turns=1)
                    await asyncio.to_thread(os.sched_yield)

            ticker = group.create_task(ticking())
            try:
                await scenario(registry, NativeImages(str(tmp_path), clock, configured))
            finally:
                ticker.cancel()

    asyncio.run(main())


def test_an_index_is_resolved_to_this_machine_and_keeps_its_own_digest(tmp_path: Path) -> None:
    async def scenario(registry: FakeRegistry, images: NativeImages) -> None:
        await images.pull_image(registry.image)
        image = await images.image_status(registry.image)
        assert image is not None
        assert image.repo_digests == (f"{registry.image}@{sha256(registry.blobs['latest'])}",)
        assert len(list((tmp_path / "layers").glob("*/etc/hello"))) == 1
        registry.requests.clear()
        await images.pull_image(registry.image)
        assert registry.requests == ["manifests", "manifests"]  # the layer and the config are known

    run(tmp_path, scenario)


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_download_that_breaks_off_goes_on_where_it_stopped(tmp_path: Path, knows_ranges: bool) -> None:
    async def scenario(registry: FakeRegistry, images: NativeImages) -> None:
        await images.pull_image(registry.image)
        assert [request for request in registry.requests if "bytes=" in request] == ["blobs bytes=70000-"]

    run(tmp_path, scenario, breaks_after=70_000, knows_ranges=knows_ranges)


def test_a_layer_with_other_content_than_its_digest_is_refused(tmp_path: Path) -> None:
    async def scenario(registry: FakeRegistry, images: NativeImages) -> None:
        with pytest.raises(RuntimeFault, match="other content than its digest") as caught:
            await images.pull_image(registry.image)
        assert caught.value.reason == "ErrImagePull"
        assert await images.list_images() == []
        assert list((tmp_path / "layers").iterdir()) == list((tmp_path / "downloads").iterdir()) == []

    run(tmp_path, scenario, lies=True)


@pytest.mark.parametrize(
    ("auth", "given", "token_request"),
    [
        ("bearer", RegistryAuth("me", "secret"), "token repository:app:pull me:secret"),
        ("bearer", RegistryAuth(identity_token="refresh"), "token None : refresh"),
        ("bearer", RegistryAuth(registry_token="good"), None),
        ("basic", RegistryAuth("me", "secret"), None),
    ],
)
def test_credentials(tmp_path: Path, auth: str, given: RegistryAuth, token_request: str | None) -> None:
    async def scenario(registry: FakeRegistry, images: NativeImages) -> None:
        for wrong in (None, RegistryAuth("me", "wrong")):
            with pytest.raises(RuntimeFault, match="pull access denied"):
                await images.pull_image(registry.image, wrong)
        registry.requests.clear()
        await images.pull_image(registry.image, given)
        tokens = [request for request in registry.requests if request.startswith("token")]
        assert tokens == ([token_request] if token_request else [])

    run(tmp_path, scenario, auth=auth)


def test_registries_yaml_gives_credentials_and_mirrors(tmp_path: Path) -> None:
    path = tmp_path / "registries.yaml"
    path.write_text(
        """
        mirrors:
          docker.io: {endpoint: ["https://mirror:5000/v2/hub"], rewrite: {"^library/(.*)": "cache/$1"}}
          "*": {endpoint: ["http://all"]}
        configs:
          "mirror:5000": {auth: {auth: bWU6c2VjcmV0}}
        """
    )
    found = registries.load(str(path))
    hub = [(endpoint.base, endpoint.path) for endpoint in found.endpoints(parse("busybox"))]
    assert hub == [("https://mirror:5000/v2/hub", "cache/busybox"), ("https://registry-1.docker.io/v2", "library/busybox")]
    other = [endpoint.base for endpoint in found.endpoints(parse("ghcr.io/a/b"))]
    assert other == ["http://all/v2", "https://ghcr.io/v2"]
    assert found.auth("mirror:5000") == RegistryAuth("me", "secret")
    assert found.auth("ghcr.io") == RegistryAuth()
    assert registries.load(str(tmp_path / "none.yaml")) == Registries()
    path.write_text("mirrors: [")
    with pytest.raises(RuntimeFault, match="registries"):
        registries.load(str(path))


def test_an_index_without_this_machine_says_so() -> None:
    index = {"manifests": [{"mediaType": MANIFEST, "digest": "sha256:" + "0" * 64, "platform": {"architecture": "sparc"}}]}
    with pytest.raises(RuntimeFault, match="no match for platform linux/amd64"):
        choose_platform(index, "x86_64")
    variants = [
        {"digest": "sha256:" + digit * 64, "platform": {"architecture": "arm", "variant": variant}}
        for digit, variant in (("6", "v6"), ("7", "v7"))
    ]
    assert choose_platform({"manifests": variants}, "armv7l").digest == "sha256:" + "7" * 64
