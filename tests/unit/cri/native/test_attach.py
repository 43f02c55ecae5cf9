"""The two readers of one attached container: each gets all of its stream, however slow it is."""

from __future__ import annotations

import asyncio
import socket

from steersman.cri.native.attach import AttachTerminal
from steersman.machinery.clock import RealClock

STDOUT, STDERR = b"\x02", b"\x03"


def attached(ours: socket.socket) -> AttachTerminal:
    async def ended() -> int:
        return 0

    ours.setblocking(False)
    return AttachTerminal(ours, ended, lambda width, height: None, stdin=False, stdin_once=False, clock=RealClock())


def test_a_reader_that_is_slower_than_the_other_misses_nothing() -> None:
    """Whoever waits for one stream receives for both: what the other had not come to yet was thrown away, oldest first."""

    async def scenario() -> None:
        theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        theirs.setblocking(False)
        terminal, loop, clock = attached(ours), asyncio.get_running_loop(), RealClock()
        sent = [f"{number}\n".encode() for number in range(500)]
        seen: list[bytes] = []

        async def write() -> None:
            for each in sent:
                await loop.sock_sendall(theirs, STDERR + each)
            await loop.sock_sendall(theirs, STDOUT + b"done")
            theirs.close()

        async def read_slowly() -> None:
            while (piece := await terminal.read_stderr()) is not None:
                seen.append(piece)
                for _ in range(5):
                    await clock.sleep(0)

        async with asyncio.TaskGroup() as group:
            group.create_task(read_slowly())
            other = group.create_task(terminal.read_stdout())
            group.create_task(write())
        assert (seen, other.result()) == (sent, b"done")
        await terminal.close()

    asyncio.run(scenario())


def test_a_stream_that_nobody_reads_does_not_hold_up_the_other() -> None:
    async def scenario() -> None:
        theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        theirs.setblocking(False)
        terminal, loop = attached(ours), asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(terminal.read_stdout())
            for _ in range(500):
                await loop.sock_sendall(theirs, STDERR + b"x")
            await loop.sock_sendall(theirs, STDOUT + b"done")
        assert reading.result() == b"done"
        theirs.close()
        await terminal.close()

    asyncio.run(scenario())
