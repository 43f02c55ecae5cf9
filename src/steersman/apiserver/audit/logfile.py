"""The log backend: one event a line, in a file that is put aside when it is full, or on standard out.

Old files are `<name>-<time><ext>` in UTC, as upstream's (lumberjack) are, so that what collects those collects these. A line is
there in whole or not at all. The server goes on when the disk is full: the log says so once, and once that it is over.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from steersman.apiserver.audit.event import HEAD
from steersman.apiserver.audit.queue import Queue
from steersman.apiserver.audit.settings import BATCH, AuditSettings
from steersman.apiserver.config import ConfigError
from steersman.machinery.clock import Clock

log = logging.getLogger(__name__)

PLUGIN = "log"
_STDOUT = "-"
_MEGABYTE = 1024 * 1024
_TIME = "%Y-%m-%dT%H-%M-%S"
_BATCH = 1000


class LogFile:
    """An open file. limit_bytes 0: it grows. Not thread-safe."""

    def __init__(self, path: Path, limit_bytes: int, keep: int, keep_days: int, clock: Clock) -> None:
        """Raises OSError."""
        self._path, self._limit, self._keep, self._days, self._clock = path, limit_bytes, keep, keep_days, clock
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = self._open()
        self._prune()

    def _open(self) -> int:
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(file).st_size
        return file

    def write(self, lines: bytes) -> None:
        """Append whole lines, all or none. Raises OSError."""
        if self._limit and self._size and self._size + len(lines) > self._limit:
            self._put_aside()
        written = 0
        try:
            while written < len(lines):
                written += os.write(self._file, lines[written:])
        except OSError:
            if written:
                os.ftruncate(self._file, self._size)
            raise
        self._size += len(lines)

    def close(self) -> None:
        os.close(self._file)

    def _put_aside(self) -> None:
        moment = self._clock.now()
        while (aside := self._aside(moment)).exists():
            moment += timedelta(milliseconds=1)
        self._path.rename(aside)
        before = self._file
        self._file = self._open()
        os.close(before)
        self._prune()

    def _aside(self, moment: datetime) -> Path:
        stamp = f"{moment.strftime(_TIME)}.{moment.microsecond // 1000:03d}"
        return self._path.with_name(f"{self._path.stem}-{stamp}{self._path.suffix}")

    def _prune(self) -> None:
        """Remove what is too old, or too much."""
        dated = ((self._put_aside_at(path), path) for path in self._path.parent.iterdir())
        found = sorted(((moment, path) for moment, path in dated if moment is not None), reverse=True)
        oldest = self._clock.now() - timedelta(days=self._days)
        for at, (moment, path) in enumerate(found):
            if (self._keep and at >= self._keep) or (self._days and moment < oldest):
                path.unlink(missing_ok=True)

    def _put_aside_at(self, path: Path) -> datetime | None:
        """When the file was put aside; None for one that is none of ours."""
        lead, tail = f"{self._path.stem}-", self._path.suffix
        if not (path.name.startswith(lead) and path.name.endswith(tail)):
            return None
        stamp, _, milliseconds = path.name[len(lead) : len(path.name) - len(tail)].rpartition(".")
        try:
            return datetime.strptime(stamp, _TIME).replace(tzinfo=UTC, microsecond=int(milliseconds) * 1000)
        except ValueError:
            return None


class _Stdout:
    def write(self, lines: bytes) -> None:
        view = memoryview(lines)
        while view:
            view = view[os.write(1, view) :]

    def close(self) -> None:
        return None


class LogSink:
    """Blocking: an event is written before the request goes on. Batch: by `run`, beside the requests."""

    def __init__(self, settings: AuditSettings, clock: Clock, failed: Callable[[str, int], None]) -> None:
        """failed(plugin, events) counts what was lost. Raises ConfigError."""
        self._failed = failed
        self._out: LogFile | _Stdout
        if settings.log_path == _STDOUT:
            self._out = _Stdout()
        else:
            limit = settings.log_maxsize * _MEGABYTE
            try:
                self._out = LogFile(Path(settings.log_path), limit, settings.log_maxbackup, settings.log_maxage, clock)
            except OSError as fault:
                raise ConfigError(f"--audit-log-path: {settings.log_path}: {fault.strerror}") from fault
        self._queue = Queue(settings.batch_buffer_size, clock) if settings.log_mode == BATCH else None
        self._ill = False

    def take(self, body: bytes) -> None:
        if self._queue is None:
            self._write([body])
        elif not self._queue.put(body):
            self._failed(PLUGIN, 1)

    async def run(self) -> None:
        """Until cancelled."""
        if self._queue is None:
            return
        loop = asyncio.get_running_loop()
        while True:
            batch = await self._queue.batch(_BATCH)
            writing = loop.run_in_executor(None, self._write, batch)
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:
                # The file has one writer: `close` comes after this one.
                await writing
                raise

    def close(self) -> None:
        """Write what waits, after `run` has ended."""
        while self._queue is not None and (batch := self._queue.take(_BATCH)):
            self._write(batch)
        self._out.close()

    def _write(self, batch: list[bytes]) -> None:
        try:
            self._out.write(b"".join([b"%b%b\n" % (HEAD, body[1:]) for body in batch]))
        except OSError as fault:
            self._failed(PLUGIN, len(batch))
            if not self._ill:
                self._ill = True
                log.error("audit events are lost: they cannot be written, requests go on: error=%s", fault)
            return
        if self._ill:
            self._ill = False
            log.warning("audit events are written again")
