"""Hooks by HTTP, against a server that speaks no TLS."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from tests.unit.kubelet.conftest import FakeRuntime

from steersman.kubelet.httpcheck import NetworkReach
from steersman.kubelet.lifecycle import HookFailed, run_hook
from steersman.machinery.clock import VirtualClock
from steersman.machinery.meta import Obj

POD: Obj = {"metadata": {"name": "web", "namespace": "default"}}


class Told:
    """A Recorder that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def event(self, about: Obj, type: str, reason: str, message: str, *, field_path: str = "") -> None:
        self.events.append(f"{type} {reason}: {message}")


async def hooked(port: int, told: Told, headers: list[Obj]) -> None:
    clock = VirtualClock()
    hook = {"httpGet": {"scheme": "HTTPS", "path": "/bye?what=a%3Fb", "port": port, "httpHeaders": headers}}
    await run_hook(FakeRuntime(clock), NetworkReach(), clock, told, POD, {"name": "app"}, hook, "c1", "127.0.0.1")


def test_a_hook_over_https_is_tried_again_by_http_where_that_is_what_answers() -> None:
    asked: list[tuple[str, str | None, str | None]] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        asked.append((request.query["what"], request.headers.get("Authorization"), request.headers.get("X-Who")))
        return web.Response(status=500)

    async def scenario() -> None:
        runner = web.ServerRunner(web.Server(answer))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port, told = runner.addresses[0][1], Told()
        try:
            await hooked(port, told, [{"name": "Authorization", "value": "Basic x"}, {"name": "X-Who", "value": "me"}])
        finally:
            await runner.cleanup()
        text = f"request to HTTPS lifecycle hook 127.0.0.1:{port} got HTTP response, retry with HTTP succeeded"
        assert told.events == [f"Warning LifecycleHTTPFallback: {text}"]
        assert asked == [("a?b", None, "me")]
        with pytest.raises(HookFailed, match="HTTP lifecycle hook"):
            await hooked(port, told, [])
        assert len(told.events) == 1

    asyncio.run(scenario())
