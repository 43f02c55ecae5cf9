"""Attaching to a container's own stdio through conmon's socket.

Source: conmon conn_sock.c: SOCK_SEQPACKET at <bundle>/attach; each packet out is one byte (2 stdout, 3 stderr) and data; what
is sent goes to
stdin, shutting down the writing side ends it. conmon closes the socket when the container has ended.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable

from steersman.cri.interface import RuntimeFault
from steersman.machinery import programs
from steersman.machinery.clock import Clock

_STDOUT, _STDERR = 2, 3
_PACKET = 8192 + 1
_SEND = 8192
_QUEUED = 64
"""Packets waiting per stream; then conmon, and with it the container, waits for the reader."""
_LAST_WORDS_S = 0.5
"""How long one who has said all, and is to be let go, is shown what the container answers. Upstream's runtimes cut it off."""


class AttachTerminal:
    """interface.Terminal of a running container. `wait_exit` gives its exit code, `resize` sets its window."""

    def __init__(
        self,
        connection: socket.socket,
        wait_exit: Callable[[], Awaitable[int]],
        resize: Callable[[int, int], None],
        *,
        stdin: bool,
        stdin_once: bool,
        clock: Clock,
    ) -> None:
        self._socket, self._clock = connection, clock
        self._wait_exit, self._resize, self._stdin, self._stdin_once = wait_exit, resize, stdin, stdin_once
        self._queued: dict[int, list[bytes]] = {_STDOUT: [], _STDERR: []}
        self._ended = self._detached = False
        self._reading = asyncio.Lock()
        self._asked_for: set[int] = set()
        self._room = asyncio.Event()

    async def read_stdout(self) -> bytes | None:
        return await self._read(_STDOUT)

    async def read_stderr(self) -> bytes | None:
        return await self._read(_STDERR)

    async def _read(self, stream: int) -> bytes | None:
        # Whichever of the two readers comes first receives for both.
        self._asked_for.add(stream)
        queue = self._queued[stream]
        while not queue and not self._ended:
            async with self._reading:
                if queue or self._ended:
                    break
                await self._receive(stream)
        self._room.set()
        return queue.pop(0) if queue else None

    async def _receive(self, wanted: int) -> None:
        other = _STDERR if wanted == _STDOUT else _STDOUT
        while len(self._queued[other]) >= _QUEUED and not self._ended:
            if other in self._asked_for:
                self._room.clear()
                await self._room.wait()
            else:
                del self._queued[other][0]  # nobody reads that stream; a live session is worth more than its oldest output
        try:
            await programs.readable(self._socket.fileno())
            packet = self._socket.recv(_PACKET)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if not packet:
            self._ended = True
        elif packet[0] in self._queued:
            self._queued[packet[0]].append(packet[1:])

    async def write_stdin(self, data: bytes) -> None:
        if not self._stdin:
            return
        loop = asyncio.get_running_loop()
        for start in range(0, len(data), _SEND):
            try:
                await loop.sock_sendall(self._socket, data[start : start + _SEND])
            except OSError:  # the container has ended
                return

    async def close_stdin(self) -> None:
        if not self._stdin:
            return
        if not self._stdin_once:
            # What stays open for the next who attaches has no end to pass on: this client is let go.
            await self._clock.sleep(_LAST_WORDS_S)
            self._detached = True
        try:
            self._socket.shutdown(socket.SHUT_RDWR if self._detached else socket.SHUT_WR)
        except OSError:
            pass

    async def resize(self, width: int, height: int) -> None:
        self._resize(width, height)

    async def wait(self) -> int:
        return 0 if self._detached else await self._wait_exit()

    async def close(self) -> None:
        self._ended = True
        self._socket.close()


def connect(bundle: str) -> socket.socket:
    """A connection to the container's conmon. Raises RuntimeFault."""
    # The address of a unix socket has 108 bytes at most: the directory is named by a descriptor.
    directory = os.open(bundle, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.connect(f"/proc/self/fd/{directory}/attach")
        connection.setblocking(False)
    except OSError as error:
        connection.close()
        raise RuntimeFault(f"cannot attach to the container: {error.strerror}") from error
    finally:
        os.close(directory)
    return connection
