"""Learning of ends without polling: conmon's exit directory by inotify, single processes by pidfd."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from steersman.cri.native import procs
from steersman.machinery import inotify


class Watches:
    """The file descriptors a runtime watches on its event loop. `close` lets go of all."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._fds: set[int] = set()

    def exits(self, directory: str, ended: Callable[[str], None]) -> None:
        """Call back with the name of every file that appears in the directory."""
        fd = inotify.watch(directory, inotify.CLOSE_WRITE | inotify.MOVED_TO)
        self._fds.add(fd)

        def ready() -> None:
            for name in dict.fromkeys(inotify.names(fd)):
                ended(name)

        self._loop.add_reader(fd, ready)

    def end_of(self, process: procs.ProcessId, callback: Callable[[], None]) -> None:
        """Call back once when the process has ended, at once (from the loop) if it already has."""
        try:
            fd = os.pidfd_open(process.pid)
        except ProcessLookupError:
            self._loop.call_soon(callback)
            return
        if procs.identify(process.pid) != process:
            os.close(fd)
            self._loop.call_soon(callback)
            return
        self._fds.add(fd)

        def ready() -> None:
            self._drop(fd)
            procs.reap(process.pid)
            callback()

        self._loop.add_reader(fd, ready)

    def _drop(self, fd: int) -> None:
        self._loop.remove_reader(fd)
        self._fds.discard(fd)
        os.close(fd)

    def close(self) -> None:
        for fd in list(self._fds):
            self._drop(fd)
