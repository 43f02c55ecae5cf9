"""Reading CRI log files: parsing, tail, since, limit, follow through rotation.

A line is `<RFC3339Nano> <stdout|stderr> <P|F[:tags]> <content>`; P lines are joined with what follows.
Source: upstream kubelet/pkg/cri/client/... logs.go (ReadLogs).
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from steersman.machinery.clock import Clock
from steersman.machinery.meta import parse_time

_BLOCK = 64 * 1024
FOLLOW_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class LogOptions:
    """tail: -1 = all. limit_bytes: 0 = none. stream: `stdout`, `stderr` or '' for both."""

    follow: bool = False
    tail: int = -1
    since: datetime | None = None
    timestamps: bool = False
    limit_bytes: int = 0
    stream: str = ""


def tail_offset(file: BinaryIO, lines: int) -> int:
    """Where the last `lines` lines begin."""
    if lines < 0:
        return 0
    position = file.seek(0, os.SEEK_END)
    if lines == 0:
        return position
    wanted, seen = lines, 0
    # A line that is still being written counts like a finished one.
    if position:
        file.seek(position - 1)
        if file.read(1) == b"\n":
            wanted += 1
    while position > 0:
        start = max(0, position - _BLOCK)
        file.seek(start)
        block = file.read(position - start)
        index = len(block)
        while (index := block.rfind(b"\n", 0, index)) >= 0:
            seen += 1
            if seen == wanted:
                return start + index + 1
        position = start
    return 0


def _nine_digits(stamp: bytes) -> bytes:
    """RFC3339Nano with the fraction filled up to nine digits, UTC as Z (conmon writes +00:00)."""
    stamp = stamp.removesuffix(b"+00:00") + b"Z" if stamp.endswith(b"+00:00") else stamp
    head, dot, rest = stamp.partition(b".")
    if not dot:
        zone = head[19:]
        return head[:19] + b".000000000" + zone
    digits = rest[: len(rest) - len(rest.lstrip(b"0123456789"))]
    return head + b"." + digits.ljust(9, b"0")[:9] + rest[len(digits) :]


class Formatter:
    """Turns raw log lines into what the client sees."""

    def __init__(self, options: LogOptions) -> None:
        self._options = options
        self._fresh = True
        self._left = options.limit_bytes
        self.full = False

    def lines(self, raw: list[bytes]) -> bytes:
        """The output for whole raw lines (without their newlines)."""
        parts = []
        for line in raw:
            fields = line.split(b" ", 3)
            if len(fields) < 4:
                continue
            stamp, stream, tags, content = fields
            if self._options.stream and stream.decode() != self._options.stream:
                continue
            if self._options.since is not None:
                written = parse_time(stamp.decode("ascii", "replace"))
                if written is not None and written < self._options.since:
                    continue
            if self._options.timestamps and self._fresh:
                parts.append(_nine_digits(stamp) + b" ")
            self._fresh = tags.split(b":", 1)[0] != b"P"
            parts.append(content + b"\n" if self._fresh else content)
        return self._limited(b"".join(parts))

    def _limited(self, data: bytes) -> bytes:
        if not self._options.limit_bytes:
            return data
        data = data[: self._left]
        self._left -= len(data)
        self.full = self._left == 0
        return data


async def read(path: str, options: LogOptions, clock: Clock, alive: Callable[[], bool]) -> AsyncIterator[bytes]:
    """The log's content in pieces. alive: whether the container may still write. Raises OSError."""
    formatter = Formatter(options)
    file: BinaryIO = open(path, "rb")  # noqa: SIM115 - no `with`: another file takes its place on rotation
    newer: BinaryIO | None = None
    try:
        file.seek(tail_offset(file, options.tail))
        # A container may write faster than anybody can read: without `follow` there is an end, where it is now.
        end = sys.maxsize if options.follow else os.fstat(file.fileno()).st_size
        rest = b""
        while True:
            # Asked before reading: what was written until then is read before the end is believed.
            last = not options.follow or not alive()
            while block := file.read(max(min(_BLOCK, end - file.tell()), 0)):
                lines = (rest + block).split(b"\n")
                rest = lines.pop()
                if piece := formatter.lines(lines):
                    yield piece
                else:
                    # All of it left out: others must come to their turn all the same.
                    await clock.sleep(0)
                if formatter.full:
                    return
            if not options.follow:
                break
            if newer is not None:
                file.close()
                file, rest, newer = newer, b"", None
                continue
            newer = _rotated(path, file)
            if newer is not None:
                # The old one once more: there may have been written between its end and the rotation.
                continue
            if last:
                break
            await clock.sleep(FOLLOW_POLL_S)
        if rest and (piece := formatter.lines([rest])):
            yield piece
    finally:
        file.close()
        if newer is not None:
            newer.close()


def _rotated(path: str, file: BinaryIO) -> BinaryIO | None:
    """The new file, if another is at that path by now."""
    try:
        now = os.stat(path)
    except FileNotFoundError:
        return None
    then = os.fstat(file.fileno())
    return open(path, "rb") if (now.st_ino, now.st_dev) != (then.st_ino, then.st_dev) else None
