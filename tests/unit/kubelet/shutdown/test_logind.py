"""Talking to systemd-logind: a real bus, on which a stand-in answers for it."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from steersman.kubelet.shutdown.logind import MANAGER, NAME, PATH, Logind
from steersman.kubelet.shutdown.manager import Unavailable

pytestmark = pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="needs Debian's dbus-daemon")

BUS = """<busconfig><type>session</type><listen>unix:path=%s</listen><auth>EXTERNAL</auth>
<policy context="default">
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
</policy></busconfig>"""


@asynccontextmanager
async def bus(folder: Path) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """(address, daemon)"""
    config = folder / "bus.conf"
    config.write_text(BUS % (folder / "bus"))
    daemon = await asyncio.create_subprocess_exec(  # noqa: TID251 asyncio's own loop
        "dbus-daemon", "--nofork", "--nopidfile", f"--config-file={config}", "--print-address=1", stdout=asyncio.subprocess.PIPE
    )
    assert daemon.stdout is not None
    try:
        yield (await daemon.stdout.readline()).decode().strip(), daemon
    finally:
        if daemon.returncode is None:
            daemon.terminate()
        await daemon.wait()


class StandIn:
    """Answers as systemd-logind; the lock is held while its pipe has a writer."""

    def __init__(self, patience_s: float) -> None:
        self.patience_s = patience_s
        self.asked: list[list[str]] = []
        self.pipes: list[int] = []
        self.writers: list[int] = []
        """Its own ends of what it has given away."""

    async def come(self, address: str) -> None:
        self.bus = await MessageBus(bus_address=address, negotiate_unix_fd=True).connect()
        self.bus.add_message_handler(self.answer)
        await self.bus.request_name(NAME)

    def answer(self, message: Message) -> Message | None:
        if message.message_type is not MessageType.METHOD_CALL or message.destination not in (NAME, self.bus.unique_name):
            return None
        if message.member == "Inhibit":
            self.asked.append(message.body)
            reader, writer = os.pipe()
            self.pipes.append(reader)
            self.writers.append(writer)
            return Message.new_method_return(message, "h", [0], [writer])
        if message.member == "Get":
            assert message.body == [MANAGER, "InhibitDelayMaxUSec"]
            return Message.new_method_return(message, "v", [Variant("t", int(self.patience_s * 1e6))])
        return None

    async def tell(self, going_down: bool) -> None:
        await self.bus.send(Message.new_signal(PATH, MANAGER, "PrepareForShutdown", "b", [going_down]))

    async def let_go(self) -> None:
        """When nobody holds the newest lock any more."""
        while self.writers:
            os.close(self.writers.pop())
        reader = self.pipes[-1]
        gone = asyncio.Event()
        asyncio.get_running_loop().add_reader(reader, gone.set)
        await gone.wait()
        asyncio.get_running_loop().remove_reader(reader)
        assert os.read(reader, 1) == b""

    def leave(self) -> None:
        for end in self.pipes + self.writers:
            os.close(end)
        self.bus.disconnect()


def test_logind_waits_until_it_is_let_go(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(120), bus(tmp_path) as (address, _):
            standing = StandIn(30)
            await standing.come(address)
            logind = Logind(address)
            await logind.hold(20)
            assert standing.asked == [["shutdown", "kubelet", "Kubelet needs time to handle node shutdown", "delay"]]
            heard = logind.shutdowns()
            await standing.tell(True)
            assert await anext(heard) is True
            logind.release()
            await standing.let_go()
            await standing.tell(False)
            assert await anext(heard) is False
            await logind.hold(20)
            assert len(standing.asked) == 2
            await logind.close()
            await standing.let_go()
            standing.leave()

    asyncio.run(scenario())


def test_a_logind_that_waits_for_less_long_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(120), bus(tmp_path) as (address, _):
            standing, logind = StandIn(5), Logind(address)
            await standing.come(address)
            await logind.hold(20)
            assert "set InhibitDelayMaxSec" in caplog.text and "seconds=5 pods=20" in caplog.text
            await logind.close()
            standing.leave()

    asyncio.run(scenario())


def test_without_a_bus_or_without_logind_there_is_nobody_to_tell(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(120):
            with pytest.raises(Unavailable, match="no systemd-logind"):
                await Logind(f"unix:path={tmp_path}/nothing").hold(1)
            async with bus(tmp_path) as (address, daemon):
                empty = Logind(address)
                with pytest.raises(Unavailable, match="org.freedesktop.login1"):
                    await empty.hold(1)
                await empty.close()
                standing, logind = StandIn(30), Logind(address)
                await standing.come(address)
                await logind.hold(20)
                daemon.terminate()
                with pytest.raises(Unavailable, match="connection to logind was lost"):
                    await anext(aiter(logind.shutdowns()))
                await logind.close()
                standing.leave()

    asyncio.run(scenario())
