"""The supervisor when the system refuses: its parts must not end because one could not be started, or its pid not be noted."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from steersman.cluster import supervisor
from steersman.cluster.settings import Paths
from steersman.cluster.supervisor import Part, Supervisor
from steersman.machinery.clock import VirtualClock


def _nothing() -> None: ...


class Machine:
    """Forks and signals as the supervisor sees them: nothing is really started."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, clock: VirtualClock, *, refusals: int) -> None:
        self._clock, self._refusals = clock, refusals
        self.started: list[float] = []
        self.waits = 0
        monkeypatch.setattr(os, "fork", self._fork)
        monkeypatch.setattr(os, "waitpid", lambda pid, options: (max(pid, 0), 0))
        monkeypatch.setattr(os, "kill", lambda pid, number: None)
        monkeypatch.setattr(signal, "pthread_sigmask", lambda how, signals: None)
        monkeypatch.setattr(signal, "sigtimedwait", self._wait)
        monkeypatch.setattr(supervisor, "_name_process", lambda name: None)

    def _fork(self) -> int:
        if self._refusals:
            self._refusals -= 1
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
        self.started.append(self._clock.monotonic())
        return 4_000_000 + len(self.started)

    def _wait(self, signals: set[signal.Signals], seconds: float) -> object:
        """Time passes until the supervisor would wait for good; then it is told to end."""
        self.waits += 1
        if seconds >= 3600 or self.waits > 50:
            return SimpleNamespace(si_signo=signal.SIGTERM)
        asyncio.run(self._clock.advance(seconds))
        return None


def supervised(tmp_path: Path, clock: VirtualClock) -> Supervisor:
    paths = Paths(tmp_path)
    paths.run.mkdir(parents=True)
    return Supervisor(paths, [Part(name, _nothing, _nothing) for name in ("apiserver", "control")], clock)


def test_a_part_that_cannot_be_forked_is_forked_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = VirtualClock()
    made = supervised(tmp_path, clock)
    machine = Machine(monkeypatch, clock, refusals=3)
    with caplog.at_level(logging.ERROR):
        assert made.run() == 0
    assert len(machine.started) == 2
    assert caplog.text.count("part not started name=") == 3


def test_a_part_whose_pid_cannot_be_noted_runs_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = VirtualClock()
    made = supervised(tmp_path, clock)
    machine = Machine(monkeypatch, clock, refusals=0)

    def full(path: Path, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with caplog.at_level(logging.ERROR):
        assert made.run() == 0
    assert len(machine.started) == 2
    assert "pid not written name=apiserver" in caplog.text
