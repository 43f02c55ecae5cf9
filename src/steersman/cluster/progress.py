"""Progress on a terminal: one line a step, ticked when it is done, with the time it took. Plain lines when piped."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from steersman.machinery.clock import Clock


class Progress:
    """Prints steps. `note` given to a step's handle is shown behind its name."""

    def __init__(self, clock: Clock, out: TextIO = sys.stdout) -> None:
        self._clock, self._out = clock, out
        self._live = out.isatty()

    @contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """Runs a step; append a note to the yielded list. A failing step is crossed and its exception goes on."""
        notes: list[str] = []
        begin = self._clock.monotonic()
        if self._live:
            self._out.write(f"  … {name}")
            self._out.flush()
        mark = "✗"
        try:
            yield notes
            mark = "✓"
        finally:
            took = f"{self._clock.monotonic() - begin:.1f} s"
            lead = "\r\x1b[K" if self._live else ""
            self._out.write(f"{lead}  {mark} {name:<26}{' '.join(notes):<44}{took:>7}\n")
            self._out.flush()

    def say(self, text: str = "") -> None:
        self._out.write(text + "\n")
        self._out.flush()
