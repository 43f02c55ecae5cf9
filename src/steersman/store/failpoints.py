"""Points in the SQLite store's writing at which a test may kill the process. Armed by an environment variable only.

    STEERSMAN_FAILPOINTS="beforeCommit=kill@3;duringCheckpoint=kill~1500"

kills at the third time the writer comes to beforeCommit, and 1,500 microseconds after it first comes to duringCheckpoint.
Unarmed there is nothing to call: `armed` gives None, and the writer asks for that alone. The idea is etcd's gofail.
"""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

VARIABLE = "STEERSMAN_FAILPOINTS"
POINTS = ("beforeBegin", "betweenRequests", "beforeCommit", "beforeAcknowledge", "duringCompaction", "duringCheckpoint")

_TERM = re.compile(r"(?P<point>\w+)=kill(?:~(?P<later_us>\d+))?(?:@(?P<hit>\d+))?")


@dataclass(slots=True)
class _Kill:
    """`left`: how many times the point is still passed unharmed, this time included."""

    left: int
    later_s: float

    def passed(self) -> None:
        self.left -= 1
        if self.left == 0:
            if self.later_s:
                threading.Thread(target=self._wait, daemon=True).start()
            else:
                _die()

    def _wait(self) -> None:
        threading.Event().wait(self.later_s)
        _die()


def armed(environ: Mapping[str, str]) -> Callable[[str], None] | None:
    """What to call with the name of each point that is passed; None if no point is armed. Raises ValueError."""
    terms = environ.get(VARIABLE, "")
    if not terms:
        return None
    kills: dict[str, _Kill] = {}
    for term in terms.split(";"):
        parsed = _TERM.fullmatch(term)
        if parsed is None or parsed["point"] not in POINTS:
            raise ValueError(f"{VARIABLE}: {term!r} is none of {', '.join(POINTS)} with =kill[~MICROSECONDS][@HIT]")
        kills[parsed["point"]] = _Kill(int(parsed["hit"] or 1), int(parsed["later_us"] or 0) / 1e6)

    def passed(point: str) -> None:
        kill = kills.get(point)
        if kill is not None:
            kill.passed()

    return passed


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
