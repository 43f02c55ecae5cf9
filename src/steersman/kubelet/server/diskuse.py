"""How much directories hold, as `du` counts it: in a thread, and remembered for a while, since volumes may be large."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

from steersman.machinery.clock import Clock

KEEP_S = 60.0
"""Upstream's volumeStatsAggPeriod."""


class DiskUse:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[Path, tuple[float, tuple[int, int]]] = {}

    async def of(self, path: Path) -> tuple[int, int]:
        """(bytes, inodes) below the path, on its own filesystem; (0, 0) if it is not there."""
        found = self._known.get(path)
        now_s = self._clock.monotonic()
        if found is not None and now_s - found[0] < KEEP_S:
            return found[1]
        counted = await asyncio.to_thread(count, path)
        self._known[path] = (now_s, counted)
        return counted

    def forget_old(self) -> None:
        """What nobody has asked for in a while is no longer there."""
        limit_s = self._clock.monotonic() - 2 * KEEP_S
        for path in [path for path, (at_s, _) in self._known.items() if at_s < limit_s]:
            del self._known[path]


def count(path: Path) -> tuple[int, int]:
    """(bytes, inodes). A file with several names counts once; what vanishes meanwhile does not count."""
    seen: set[int] = set()
    total = 0
    try:
        top = os.lstat(path)
    except OSError:
        return 0, 0
    waiting = [(str(path), top)]
    while waiting:
        where, found = waiting.pop()
        if found.st_dev != top.st_dev or found.st_ino in seen:
            continue
        seen.add(found.st_ino)
        total += found.st_blocks * 512
        if stat.S_ISDIR(found.st_mode):
            try:
                with os.scandir(where) as entries:
                    waiting += [(entry.path, entry.stat(follow_symlinks=False)) for entry in entries]
            except OSError:
                continue
    return total, len(seen)
