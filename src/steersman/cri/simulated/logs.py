"""The log of a simulated container: lines in CRI's format, in a file if there is one, and to whoever is attached.

No file stays open: thousands of containers share one process's descriptors.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from steersman.machinery.clock import Clock


class LogFile:
    """`path` empty: nothing is written."""

    __slots__ = ("_clock", "_path", "listeners")

    def __init__(self, path: str, clock: Clock) -> None:
        self._path, self._clock = path, clock
        self.listeners: list[Callable[[str, bytes | None], None]] = []
        """Get (stream, data) as it is written, (stream, None) at the end of each stream."""

    def open(self) -> None:
        """Have the file there, empty if it is new."""
        if self._path:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640))

    def write(self, text: str, stream: str) -> None:
        """Whole lines are F, what has no line end is P."""
        for listener in self.listeners:
            listener(stream, text.encode())
        if not self._path or not text:
            return
        at = f"{self._clock.now():%Y-%m-%dT%H:%M:%S.%f}000Z"
        lines = text.splitlines(keepends=True)
        entries = (f"{at} {stream} {'F' if line.endswith(chr(10)) else 'P'} {line.rstrip(chr(10))}\n" for line in lines)
        with open(self._path, "a", encoding="utf-8") as file:
            file.write("".join(entries))

    def end(self) -> None:
        """The container is over."""
        for listener in self.listeners:
            listener("stdout", None)
            listener("stderr", None)
        self.listeners.clear()
