"""The parent of the parts: forks them, each imports what it needs, and forks them again when they die.

The parent stays small on purpose. Importing everything in it before forking shares little: reference counts are written into
every object that is looked at, so a part copies those pages anyway, and the parent holds on to them all (measured: 27 MB more
in total, and a slower start, since parts that import by themselves do it at the same time). A part that dies is brought back
with a back-off that grows only while it keeps dying early. Parts get SIGTERM when the parent is gone; containers are not
children of any part (conmon holds them), so nothing here disturbs them. What is not here: what the parts do
(apiserving.py, controlling.py, nodeparts.py).
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from steersman.cluster import procs
from steersman.cluster.settings import Paths
from steersman.machinery.clock import Clock, RealClock

log = logging.getLogger(__name__)

_PR_SET_NAME, _PR_SET_PDEATHSIG = 15, 1
_FIRST_DELAY_S, _MAX_DELAY_S, _STABLE_S = 0.05, 10.0, 30.0
_TERM_PATIENCE_S = 20.0
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Part:
    """A child process: `load` imports what it needs, then `main` runs until SIGTERM."""

    name: str
    load: Callable[[], None]
    main: Callable[[], None]


@dataclass(slots=True)
class _Child:
    part: Part
    pid: int = 0
    started: float = 0.0
    delay_s: float = _FIRST_DELAY_S
    due: float = 0.0
    restarts: int = field(default=0)


def running(paths: Paths) -> int:
    """The pid of this cluster's supervisor, 0 if none runs. The lock tells, so stale pid files do no harm."""
    try:
        with open(paths.pid_file("supervisor")) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read() or 0)
    except (FileNotFoundError, ValueError):
        pass
    return 0


def start(paths: Paths, parts: Sequence[Part]) -> int:
    """Fork the supervisor away from the terminal; its pid. The caller must not have threads."""
    paths.run.mkdir(parents=True, exist_ok=True, mode=0o700)
    paths.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
    read_end, write_end = os.pipe()
    first = os.fork()
    if first == 0:
        os.close(read_end)
        os.setsid()
        second = os.fork()
        if second:
            os.write(write_end, str(second).encode())
            os._exit(0)
        os.close(write_end)
        _detach_stdio(paths.log_file("supervisor"))
        os.chdir("/")
        code = 1
        try:
            code = Supervisor(paths, parts, RealClock()).run()
        except BaseException:
            log.exception("supervisor failed")
        finally:
            os._exit(code)
    os.close(write_end)
    os.waitpid(first, 0)
    with os.fdopen(read_end) as pipe:
        return int(pipe.read() or 0)


class Supervisor:
    """Runs the parts until SIGTERM or SIGINT."""

    def __init__(self, paths: Paths, parts: Sequence[Part], clock: Clock) -> None:
        self._paths = paths
        self._clock = clock
        self._children = [_Child(part) for part in parts]
        self._lock: IO[str]

    def run(self) -> int:
        """The body of the parent process; 0 after a clean end, 1 if another supervisor holds the lock."""
        signals = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        _name_process("steersman")
        with open(self._paths.pid_file("supervisor"), "a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                log.error("another supervisor runs pid_file=%s", lock.name)
                return 1
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            self._lock = lock
            self._see_off_predecessors()
            for child in self._children:
                self._fork(child)
            self._watch(signals)
            lock.truncate(0)
        return 0

    def _see_off_predecessors(self) -> None:
        """Parts of a supervisor that was killed get SIGTERM by that, but may still be at it, and hold ports."""
        deadline = self._clock.monotonic() + _TERM_PATIENCE_S
        for child in self._children:
            while (found := procs.find(self._paths.pid_file(child.part.name))) is not None:
                late = self._clock.monotonic() > deadline
                with contextlib.suppress(ProcessLookupError):
                    os.kill(found.pid, signal.SIGKILL if late else signal.SIGTERM)
                signal.sigtimedwait({signal.SIGCHLD}, _POLL_S)

    def _watch(self, signals: set[signal.Signals]) -> None:
        while True:
            due = [child.due for child in self._children if not child.pid]
            wait_s = max(0.0, min(due) - self._clock.monotonic()) if due else 3600.0
            received = signal.sigtimedwait(signals, wait_s)
            if received is not None and received.si_signo in (signal.SIGTERM, signal.SIGINT):
                self._stop()
                return
            self._reap()
            for child in self._children:
                if not child.pid and child.due <= self._clock.monotonic():
                    child.restarts += 1
                    self._fork(child)

    def _fork(self, child: _Child) -> None:
        parent = os.getpid()
        child.started = self._clock.monotonic()
        try:
            child.pid = os.fork()
        except OSError as error:
            # Too many processes, or too little memory, at this moment. Without a supervisor the other parts would end as well.
            self._put_off(child)
            log.error("part not started name=%s again_in_s=%.2f error=%s", child.part.name, child.delay_s, error)
            return
        if child.pid == 0:
            # The lock must go with the supervisor: a part that outlives it for a moment must not keep others out.
            self._lock.close()
            _run_child(child.part, self._paths, parent)
        try:
            self._paths.pid_file(child.part.name).write_text(str(child.pid))
        except OSError as error:
            # A full disk: whoever looks for the part by its file does not find it, but it runs.
            log.error("pid not written name=%s pid=%d error=%s", child.part.name, child.pid, error)
        log.info("part started name=%s pid=%d restarts=%d", child.part.name, child.pid, child.restarts)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self._children:
                if child.pid == pid:
                    self._note_end(child, status)

    def _note_end(self, child: _Child, status: int) -> None:
        self._put_off(child)
        log.warning("part ended name=%s status=%d again_in_s=%.2f", child.part.name, status, child.delay_s)

    def _put_off(self, child: _Child) -> None:
        now = self._clock.monotonic()
        stable = now - child.started > _STABLE_S
        child.delay_s = _FIRST_DELAY_S if stable else min(child.delay_s * 2, _MAX_DELAY_S)
        child.due, child.pid = now + child.delay_s, 0

    def _stop(self) -> None:
        """End the parts in reverse order of starting, so that the API server serves the others' last writes."""
        for child in reversed(self._children):
            if not child.pid:
                continue
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGTERM)
            if not self._gone_within(child.pid, _TERM_PATIENCE_S):
                log.warning("part killed name=%s pid=%d", child.part.name, child.pid)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGKILL)
                os.waitpid(child.pid, 0)
            self._paths.pid_file(child.part.name).unlink(missing_ok=True)

    def _gone_within(self, pid: int, patience_s: float) -> bool:
        deadline = self._clock.monotonic() + patience_s
        while True:
            found, _ = os.waitpid(pid, os.WNOHANG)
            if found == pid:
                return True
            left = deadline - self._clock.monotonic()
            if left <= 0:
                return False
            signal.sigtimedwait({signal.SIGCHLD}, left)


def _run_child(part: Part, paths: Paths, parent: int) -> None:
    """The child's life; never returns."""
    code = 1
    try:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(0)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.chdir(paths.run)
        _detach_stdio(paths.log_file(part.name))
        _name_process(f"steersman-{part.name}")
        part.load()
        # What was imported lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        # Nor is what comes then cyclic, most of it: API objects. With the interpreter's thresholds a part with many of them
        # spends a tenth of its time on looking (measured: 10,000 pods on simulated nodes).
        gc.set_threshold(2_000, 25, 50)
        part.main()
        code = 0
    except BaseException:
        log.exception("part failed name=%s", part.name)
    finally:
        logging.shutdown()
        sys.stderr.flush()
        os._exit(code)


def _detach_stdio(log_path: Path) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    out = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(null, 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.close(null)
    os.close(out)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True, stream=sys.stderr
    )


def _name_process(name: str) -> None:
    _prctl(_PR_SET_NAME, name.encode()[:15])


def _prctl(option: int, value: int | bytes) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
