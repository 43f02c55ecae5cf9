"""Port-forward over WebSocket channels: how it ends when the client does not do as it should, or the server is stopped."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import WSMsgType

from steersman.cri.interface import Tunnel
from steersman.kubelet.server import portforward


class Pod:
    """A tunnel that says nothing."""

    closed = False

    async def read(self) -> bytes:
        await asyncio.Event().wait()
        return b""

    async def write(self, data: bytes) -> None: ...
    async def close_write(self) -> None: ...
    async def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("text", ["x", "²QQ==", "0Q", None])
def test_whatever_ends_it_its_connections_into_the_pod_are_closed(text: str | None) -> None:
    """They were left open when it did not end by itself: text that is no channel and no base64, a kubelet that stops."""

    async def scenario() -> None:
        pod, dialled = Pod(), asyncio.Event()

        async def dial(_: int) -> Tunnel:
            dialled.set()
            return pod

        async def receive() -> Any:
            await dialled.wait()
            if text is None:
                await asyncio.Event().wait()
            return SimpleNamespace(type=WSMsgType.TEXT, data=text)

        async def send_str(_: str) -> None: ...

        socket: Any = SimpleNamespace(
            ws_protocol=portforward.V4_BASE64, closed=False, receive=receive, send_str=send_str
        )  # fmt: skip
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(portforward.serve(socket, [80], dial))
            if text is None:
                await dialled.wait()
                serving.cancel()
        assert pod.closed

    asyncio.run(scenario())
