"""Registries that stall, break off, lie, are busy or lead elsewhere: what is borne, what is refused, and in which words."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from tests.fakes.registry import FakeRegistry, sha256

from steersman.cri.interface import RuntimeFault
from steersman.cri.messages import RegistryAuth
from steersman.cri.native import build, download, registry
from steersman.cri.native.images import NativeImages
from steersman.machinery.clock import RealClock, VirtualClock

pytestmark = pytest.mark.root

LAYER = build.layer_tar(build.Contents(text={"etc/hello": os.urandom(150_000).hex()}))
OTHER = build.layer_tar(build.Contents(text={"etc/other": "y"}))
HALF = 100_000


class Tape:
    """Answers for the layer: each request is handled by the next of these, the last one for all that follow."""

    def __init__(self, *answers: Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]) -> None:
        self._answers = list(answers)

    async def __call__(self, request: web.Request, data: bytes) -> web.StreamResponse:
        return await (self._answers.pop(0) if len(self._answers) > 1 else self._answers[0])(request, data)


async def whole(request: web.Request, data: bytes) -> web.StreamResponse:
    return web.Response(body=data)


def _start(request: web.Request) -> int:
    return int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))


async def rest(request: web.Request, data: bytes) -> web.StreamResponse:
    """As a good registry."""
    start = _start(request)
    headers = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
    return web.Response(status=206, body=data[start:], headers=headers)


async def half(request: web.Request, data: bytes) -> web.StreamResponse:
    """Breaks off in the middle."""
    response = web.StreamResponse(headers={"Content-Length": str(len(data))})
    await response.prepare(request)
    await response.write(data[:HALF])
    assert request.transport
    request.transport.close()
    return response


async def silent(request: web.Request, data: bytes) -> web.StreamResponse:
    """Begins, and says no more."""
    response = web.StreamResponse(headers={"Content-Length": str(len(data))})
    await response.prepare(request)
    await response.write(data[:HALF])
    while request.transport is not None and not request.transport.is_closing():
        await asyncio.to_thread(os.sched_yield)
    return response


def status(code: int, **headers: str) -> Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request, data: bytes) -> web.StreamResponse:
        return web.Response(status=code, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return answer


async def part_from_the_start(request: web.Request, data: bytes) -> web.StreamResponse:
    """Says 206, and where it begins; not where it was asked to."""
    return web.Response(status=206, body=data, headers={"Content-Range": f"bytes 0-{len(data) - 1}/{len(data)}"})


async def part_further_on(request: web.Request, data: bytes) -> web.StreamResponse:
    start = _start(request) + 10
    return web.Response(status=206, body=data[start:], headers={"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"})


async def something_else(request: web.Request, data: bytes) -> web.StreamResponse:
    start = _start(request)
    return web.Response(status=206 if start else 200, body=bytes(len(data) - start))


async def shorter(request: web.Request, data: bytes) -> web.StreamResponse:
    return web.Response(body=data[:HALF])


async def endless(request: web.Request, data: bytes) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(64):
        await response.write(bytes(1 << 16))
    return response


Scenario = Callable[[FakeRegistry, NativeImages], Awaitable[None]]


def play(tmp_path: Path, scenario: Scenario) -> None:
    """Pauses pass at once; connections are real."""

    async def main() -> None:
        clock = VirtualClock()
        async with FakeRegistry().serving() as fake, asyncio.TaskGroup() as group:

            async def ticking() -> None:
                while True:
                    await clock.advance(1, settle_turns=1)
                    await asyncio.to_thread(os.sched_yield)

            ticker = group.create_task(ticking())
            fake.push([LAYER])
            try:
                await scenario(fake, NativeImages(str(tmp_path), clock))
            finally:
                ticker.cancel()

    asyncio.run(main())


def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For who is silent: others may only seem so, on a busy machine."""
    monkeypatch.setattr(registry, "_TIMEOUT", aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=0.2))


BORNE = {
    "it breaks off and knows ranges": (Tape(half, rest), 2),
    "it breaks off and begins anew": (Tape(half, whole), 2),
    "it breaks off, and says what it sends instead of what was asked": (Tape(half, part_from_the_start), 2),
    "it breaks off again and again": (Tape(half, half, half, half, rest), 5),
    "it falls silent": (Tape(silent, rest), 2),
    "it is busy": (Tape(status(429), status(429, Retry_After="7"), whole), 3),
}


@pytest.mark.parametrize("name", BORNE)
def test_a_pull_gets_there(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tape, requests = BORNE[name]
    if is_silent := "silent" in name:
        _impatient(monkeypatch)

    async def scenario(fake: FakeRegistry, images: NativeImages) -> None:
        fake.answers[sha256(LAYER)] = tape
        await images.pull_image(fake.image)
        asked = [request for request in fake.requests if request.startswith("blobs")]
        wanted = requests + 1  # and the config
        assert len(asked) == wanted or (is_silent and len(asked) > wanted)

    play(tmp_path, scenario)


REFUSED: dict[str, tuple[Callable[[web.Request, bytes], Awaitable[web.StreamResponse]], str, str]] = {
    "it falls silent for good": (silent, "RegistryUnavailable", "blob sha256:.*: "),
    "it breaks off for good": (half, "RegistryUnavailable", "blob sha256:.*: "),
    "it is busy for good": (status(429), "RegistryUnavailable", "unexpected status 429 for blobs"),
    "it fails": (status(503), "RegistryUnavailable", "unexpected status 503 for blobs"),
    "it forbids": (status(403), "ErrImagePull", "pull access denied"),
    "it asks for credentials in a circle": (status(401, WWW_Authenticate='Basic realm="x"'), "ErrImagePull", "denied"),
    "it wants something unheard of": (status(401, WWW_Authenticate="Magic"), "ErrImagePull", "authorization failed"),
    "it leads in a circle": (status(302, Location="?"), "RegistryUnavailable", "127.0.0.1"),
    "it leads to a file": (status(302, Location="file:///etc/passwd"), "RegistryUnavailable", "127.0.0.1"),
    "it leads nowhere": (status(302, Location="http://127.0.0.1:1/"), "RegistryUnavailable", "cannot connect to 127.0.0.1:1"),
    "it sends something else": (something_else, "ErrImagePull", "has other content than its digest says"),
    "it sends something else after a break": (Tape(half, something_else), "ErrImagePull", "has other content"),
    "it sends another part": (Tape(half, part_further_on), "ErrImagePull", "another part than it was asked for"),
    "it sends less": (shorter, "ErrImagePull", "is shorter than its manifest says"),
    "it never ends": (endless, "ErrImagePull", "is longer than its manifest says"),
    "it cannot give the part": (Tape(half, status(416)), "ErrImagePull", "unexpected status 416"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_pull_is_given_up(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, reason, text = REFUSED[name]
    if "silent" in name:
        _impatient(monkeypatch)

    async def scenario(fake: FakeRegistry, images: NativeImages) -> None:
        fake.answers[sha256(LAYER)] = answer
        with pytest.raises(RuntimeFault, match=text) as caught:
            await images.pull_image(fake.image, RegistryAuth("me", "secret"))
        assert caught.value.reason == reason
        assert "\n" not in str(caught.value) and "secret" not in str(caught.value)
        assert await images.list_images() == []
        assert [path for place in ("layers", "downloads") for path in (tmp_path / place).iterdir()] == []

    play(tmp_path, scenario)


def test_what_arrived_is_not_fetched_again_when_the_rest_is_tried_later(tmp_path: Path) -> None:
    async def scenario(fake: FakeRegistry, images: NativeImages) -> None:
        fake.push([OTHER, LAYER])
        arrived = asyncio.Event()

        async def later(request: web.Request, data: bytes) -> web.StreamResponse:
            while not list((tmp_path / "layers").glob("*.size")):
                await asyncio.to_thread(os.sched_yield)
            arrived.set()
            return web.Response(status=503)

        fake.answers[sha256(LAYER)] = Tape(later, whole)
        with pytest.raises(RuntimeFault, match="503"):
            await images.pull_image(fake.image)
        assert arrived.is_set()
        fake.requests.clear()
        await images.pull_image(fake.image)
        assert [request for request in fake.requests if request.startswith("blobs")] == ["blobs"] * 2  # the config, and the layer

    play(tmp_path, scenario)


@pytest.mark.parametrize("lies", ["not JSON", "[]", '{"token": 7}', '{"token": "a\\r\\nb"}', " " * (2 << 20)])
def test_a_token_service_that_lies(tmp_path: Path, lies: str) -> None:
    async def scenario(fake: FakeRegistry, images: NativeImages) -> None:
        async def token(request: web.Request, data: bytes) -> web.StreamResponse:
            return web.Response(text=lies)

        fake.answers["token"] = token
        realm = f'Bearer realm="http://127.0.0.1:{fake.port}/token",service="x"'
        fake.answers["latest"] = status(401, WWW_Authenticate=realm)
        with pytest.raises(RuntimeFault) as caught:
            await images.pull_image(fake.image)
        assert caught.value.reason == "ErrImagePull" and "\n" not in str(caught.value) and len(str(caught.value)) < 500

    play(tmp_path, scenario)


def test_a_token_that_runs_out_during_the_pull_is_renewed(tmp_path: Path) -> None:
    tokens: list[str] = []

    async def scenario(fake: FakeRegistry, images: NativeImages) -> None:
        async def token(request: web.Request, data: bytes) -> web.StreamResponse:
            tokens.append(f"t{len(tokens)}")
            return web.Response(text=json.dumps({"token": tokens[-1]}))

        def wanting(number: int) -> Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]:
            async def answer(request: web.Request, data: bytes) -> web.StreamResponse:
                if request.headers.get("Authorization") == f"Bearer t{number}":
                    return web.Response(body=data)
                realm = f'Bearer realm="http://127.0.0.1:{fake.port}/token"'
                return web.Response(status=401, headers={"WWW-Authenticate": realm})

            return answer

        fake.answers |= {"token": token, "latest": wanting(0), sha256(LAYER): wanting(1)}
        await images.pull_image(fake.image)
        assert tokens == ["t0", "t1"]

    play(tmp_path, scenario)


def test_who_drips_is_given_up(tmp_path: Path) -> None:
    clock = VirtualClock()

    async def scenario() -> None:
        from steersman.cri.native.manifests import Descriptor

        with download.Download(Descriptor("sha256:" + "0" * 64, 1 << 30, ""), str(tmp_path / "file"), clock) as drip:
            for _ in range(299):
                drip.add(b"x")
                await clock.advance(1)
            await clock.advance(1)
            with pytest.raises(RuntimeFault, match="only 300 bytes in 300 seconds") as caught:
                drip.add(b"x")
            assert caught.value.reason == "RegistryUnavailable"

    asyncio.run(scenario())


def test_a_manifest_must_have_the_digest_it_was_asked_for_by_whatever_its_kind(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with FakeRegistry().serving() as fake:
            fake.push([LAYER])
            images = NativeImages(str(tmp_path), RealClock())
            for digest in ("sha512:" + "0" * 128, "sha256:" + "0" * 64):
                fake.contents[digest] = fake.contents["latest"]
                with pytest.raises(RuntimeFault, match="content does not have the digest"):
                    await images.pull_image(f"127.0.0.1:{fake.port}/app@{digest}")

    asyncio.run(scenario())
