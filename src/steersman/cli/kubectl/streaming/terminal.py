"""The person's side: bytes from stdin and to stdout as they come, a terminal in raw mode, its size."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import TextIO

_CHUNK = 1 << 15


class Sink:
    """Writes bytes to a text stream at once; as text where the stream has no bytes below it (tests)."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, data: bytes) -> None:
        buffer = getattr(self._stream, "buffer", None)
        if buffer is None:
            self._stream.write(data.decode(errors="replace"))
            return
        self._stream.flush()
        buffer.write(data)
        buffer.flush()


def is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:
        return False


async def read_input(stream: TextIO) -> AsyncIterator[bytes]:
    """Everything that comes. Waits in the event loop, not in a thread: nobody could end that when the other side is done."""
    try:
        fd = stream.fileno()
    except (OSError, ValueError):
        yield stream.read().encode()
        return
    loop = asyncio.get_running_loop()
    while True:
        ready: asyncio.Future[None] = loop.create_future()
        try:
            # Anew for each piece: a wake-up left over from the last one would make the read below block everything.
            loop.add_reader(fd, _wake, ready)
        except PermissionError:
            # A regular file, or /dev/null: there is never anything to wait for.
            while data := os.read(fd, _CHUNK):
                yield data
            return
        try:
            await ready
        finally:
            loop.remove_reader(fd)
        data = os.read(fd, _CHUNK)
        if not data:
            return
        yield data


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


@contextmanager
def raw_mode(stream: TextIO) -> Iterator[None]:
    """Keys go to the other side as they are typed, Ctrl-C too; the terminal is put back in any case."""
    import termios
    import tty

    fd = stream.fileno()
    before = termios.tcgetattr(fd)
    try:
        tty.setraw(fd)
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


async def sizes(stream: TextIO) -> AsyncIterator[tuple[int, int]]:
    """Columns and rows now, and whenever the window changes."""
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()
    loop.add_signal_handler(signal.SIGWINCH, changed.set)
    try:
        while True:
            found = os.get_terminal_size(stream.fileno())
            yield found.columns, found.lines
            await changed.wait()
            changed.clear()
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)
