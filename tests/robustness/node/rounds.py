"""Rounds of killing: pods start, something of the node is killed, they get there all the same; then they are deleted, likewise.

A round is made of its seed alone: which pods, who is killed, when. When is a step in the node's own work (failpoints.py), or a
while after the pods were asked for. What must hold in the end is in `_check_alive` and `_check_gone`.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.conformance.api import Api
from tests.e2e.harness import Stopwatch, eventually
from tests.e2e.machine import ContainerdCluster
from tests.robustness.node import drawn, failpoints, shown
from tests.robustness.node.breakable import place_of
from tests.robustness.node.surroundings import Place, Process, told
from tools.throwaway import Cluster

from steersman.api.resources import PODS
from steersman.machinery.errors import NotFound
from steersman.machinery.meta import Obj, dig, name_of

SPACE = "default"
_PATIENCE_S = 180.0
"""Only so that nothing hangs."""
_LATEST_S = {"start": 0.5, "stop": 0.15}
"""The longest time after a request at which somebody is killed: starting pods takes them longer than ending."""
_TO_COME_S = 0.5
"""How long a victim that is not there yet is waited for, and a failpoint while pods that are to be cut short start."""
_AGAIN, _LATEST_AGAIN_S = 0.3, 1.0
_VICTIMS = ("node", "node", "node", "conmon", "container", "pause")
_CONTAINERD_VICTIMS = ("node", "node", "daemon", "daemon", "shim", "container", "pause")


class Broken(AssertionError):
    """A promise was not kept; says which, and in the round of which seed."""


@dataclass(slots=True)
class Kill:
    """Who was killed, and when: for who must find out what happened. `point`: a failpoint, or '' for a time."""

    phase: str
    victim: str
    point: str
    later_s: float
    done: str = ""
    again_s: float = 0.0
    """How long after its return the node was killed once more, as it was taking up what it found; 0: it was not."""

    def __str__(self) -> str:
        again = f", again after {self.again_s:.2f} s" if self.again_s else ""
        return f"{self.phase} {self.victim} {self.point or f'{self.later_s:.2f} s'} {self.done}{again}"


@dataclass(slots=True)
class Rounds:
    """A cluster and its rounds."""

    cluster: Cluster
    api: Api
    place: Place = field(init=False)
    starts: int = 0
    kills: list[Kill] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    """What containerd lost itself, and no kubelet can give back: told, and not held against us."""

    def __post_init__(self) -> None:
        self.place = place_of(self.cluster)
        (self.cluster.state / "ledger").mkdir(exist_ok=True)
        held = self.place.held()
        if held:
            raise Broken(f"before the first pod there is: {told(held)}")

    def run(self, seed: int) -> list[Kill]:
        """One round. Raises Broken."""
        rng = random.Random(seed)
        self.kills = []
        try:
            pods = [drawn.pod(rng, f"p{seed}-{index}", self.cluster.state, index) for index in range(rng.choice((1, 2, 2, 3)))]
            phases = rng.choice((("start",), ("stop",), ("start", "stop"), ("cut short",)))
            self._start(rng, pods, phases)
            begun = self._ledger(pods)
            self._stop(rng, pods, phases)
            if "cut short" not in phases and self._ledger(pods) != begun:
                raise Broken(f"started again after their deletion: {begun} became {self._ledger(pods)}")
            self._check_gone()
        except AssertionError as fault:
            killed = "; ".join(map(str, self.kills))
            raise Broken(f"seed {seed}: {fault}\nkilled: {killed}") from fault
        return self.kills

    # --- the two halves ---

    def _start(self, rng: random.Random, pods: list[Obj], phases: Iterable[str]) -> None:
        cut_short = "cut short" in phases

        def over() -> bool:
            return not cut_short and all(self._arrived(name_of(pod)) for pod in pods)

        with self._killing(rng, "start", "start" in phases or cut_short, over, 2 * _TO_COME_S if cut_short else _PATIENCE_S):
            for pod in pods:
                self.api.create(PODS, pod, SPACE)
        if not cut_short:
            self._until(lambda: all(self._arrived(name_of(pod)) for pod in pods), "the pods to arrive")
            self._until_right(lambda: self._check_alive(pods))

    def _stop(self, rng: random.Random, pods: list[Obj], phases: Iterable[str]) -> None:
        forced = rng.random() < 0.15
        names = {name_of(pod) for pod in pods}

        def gone() -> bool:
            return not names & {name_of(pod) for pod in self.api.list(PODS, SPACE)["items"]}

        with self._killing(rng, "stop", "stop" in phases, gone, _PATIENCE_S):
            for pod in pods:
                with contextlib.suppress(NotFound):
                    self.api.delete(PODS, name_of(pod), SPACE, **({"grace_period_s": 0} if forced else {}))
        self._until(gone, "the pods to go")

    # --- killing ---

    @contextlib.contextmanager
    def _killing(self, rng: random.Random, phase: str, wanted: bool, over: Callable[[], bool], patience_s: float) -> Any:
        """Around the requests that set something going: arms before, kills after.

        over(): what was set going is over, so that a failpoint that was not passed will not be.
        """
        if not wanted:
            yield
            return
        victim = rng.choice(_CONTAINERD_VICTIMS if self.place.daemon else _VICTIMS)
        kill = Kill(phase, victim, "", rng.uniform(0, _LATEST_S[phase]))
        by_point = victim in ("node", "daemon") and rng.random() < 0.7
        if by_point:
            kill.point = f"{rng.choice(self._points(phase))}@{rng.choice((1, 1, 2, 3, 4))}"
        self.kills.append(kill)
        before = self.cluster.pid("node")
        if by_point:
            pid = 0 if victim == "node" else self._daemon_pid()
            later_us = 0 if victim == "node" else rng.choice((0, 500, 3000, 20000))
            (self.cluster.state / failpoints.FILE).write_text(f"{kill.point} {pid} {later_us}")
        yield
        if by_point:
            armed = self.cluster.state / failpoints.FILE
            self._watch(lambda: not armed.exists() or over(), patience_s)
            try:
                armed.unlink()
            except FileNotFoundError:
                kill.done = "yes"
        else:
            _pause(kill.later_s)
            self._kill_outside(rng, kill)
        self._see_back(kill, before)
        if victim == "node" and kill.done and rng.random() < _AGAIN:
            kill.again_s = rng.uniform(0.1, _LATEST_AGAIN_S)
            _pause(kill.again_s)
            before = self.cluster.kill("node")
            self._watch(lambda: self.cluster.pid("node") not in (0, before), _PATIENCE_S)

    def _points(self, phase: str) -> list[str]:
        remote, starting = self.place.daemon is not None, phase == "start"
        if remote:
            return failpoints.points(failpoints.REMOTE_STARTING if starting else failpoints.REMOTE_STOPPING)
        return failpoints.points(failpoints.STARTING if starting else failpoints.STOPPING)

    def _kill_outside(self, rng: random.Random, kill: Kill) -> None:
        if kill.victim in ("node", "daemon"):
            if kill.victim == "node":
                self.cluster.kill("node")
            else:
                os.kill(self._daemon_pid(), signal.SIGKILL)
            kill.done = "yes"
            return
        found: list[Process] = []

        def there() -> bool:
            found[:] = [each for each in self.place.processes() if each.kind == kill.victim]
            return bool(found)

        if self._watch(there, _TO_COME_S if kill.phase == "start" else 0.0):
            chosen = rng.choice(found)
            with contextlib.suppress(ProcessLookupError):
                os.kill(chosen.pid, signal.SIGKILL)
                # A moment passes until it is dead, in which all would look as it should.
                self._watch(lambda: not _alive(chosen.pid), _PATIENCE_S)
                kill.done = f"{chosen.pid} {chosen.who}".strip()

    def _daemon_pid(self) -> int:
        assert self.place.daemon is not None
        return self.place.daemon.pid

    def _see_back(self, kill: Kill, before: int) -> None:
        """Wait for the supervisor, or be it for containerd."""
        if kill.victim == "node":
            if kill.done and not self._watch(lambda: self.cluster.pid("node") not in (0, before), _PATIENCE_S):
                raise Broken("the node was killed, and does not come back")
        elif kill.victim == "daemon" and kill.done and isinstance(self.cluster, ContainerdCluster):
            if not self._watch(lambda: not _alive(self._daemon_pid()), _PATIENCE_S):
                raise Broken("containerd was killed, and lives")
            self.cluster.kill_containerd()
            self.cluster.daemon = self.cluster.start_containerd()
            self.place.daemon = self.cluster.daemon

    # --- what must hold ---

    def _arrived(self, name: str) -> bool:
        return shown.arrived(self.api.get(PODS, name, SPACE))

    def _check_alive(self, pods: list[Obj]) -> str:
        """What is wrong while they run, or ''."""
        found = {name_of(pod): self.api.get(PODS, name_of(pod), SPACE) for pod in pods}
        for name, pod in found.items():
            for status in shown.statuses(pod):
                lines = self._lines(f"{name}.{status['name']}")
                if lines > status["restartCount"] + 1:
                    return f"{name}.{status['name']} began {lines} times, restartCount is {status['restartCount']}"
        live = [pod for pod in found.values() if dig(pod, "status", "phase") == "Running"]
        if len(live) < len(pods):
            live_wired = None
        else:
            live_wired = sum(not dig(pod, "spec", "hostNetwork", default=False) for pod in live)
        held = self.place.held()
        if live_wired is not None and self.place.daemon is None:
            for sort in ("address", "interface", "network namespace"):
                if len(held.get(sort, [])) != live_wired:
                    return f"{live_wired} pods run with a network of their own, and there is: {sort}: {held.get(sort)}"
        said = shown.running(found)
        there = {each.who for each in self.place.processes() if each.kind == "container" and each.who}
        if said != there:
            return f"there run {sorted(there)}, and shown as running are {sorted(said)}"
        running = len(said)
        conmons = [each for each in held.get("process", []) if each.startswith("conmon")]
        if self.place.daemon is None and len(conmons) != running:
            return f"{running} containers run under {len(conmons)} conmons"
        if len([each for each in held.get("process", []) if each.startswith("pause")]) != len(live):
            return f"{len(live)} pods run with: {told(held)}"
        return ""

    def _check_gone(self) -> None:
        try:
            self._until_right(lambda: told(self.place.held()))
        except Broken:
            let_go = self.place.let_go()
            self.forgotten += let_go
            if not let_go or not self._watch(lambda: not self.place.held(), _PATIENCE_S):
                raise

    def _ledger(self, pods: list[Obj]) -> dict[str, int]:
        names = [f"{name_of(pod)}.{each['name']}" for pod in pods for each in shown.containers(pod)]
        return {name: self._lines(name) for name in names}

    def _lines(self, name: str) -> int:
        try:
            return len((self.cluster.state / "ledger" / name).read_text().splitlines())
        except FileNotFoundError:
            return 0

    # --- waiting ---

    def _until(self, holds: Callable[[], Any], what: str) -> None:
        def looking() -> Any:
            if doubled := self.place.doubled():
                raise Broken(f"two instances run at once: {doubled}")
            return holds()

        eventually(looking, within_s=_PATIENCE_S, what=what)

    def _until_right(self, wrong: Callable[[], str]) -> None:
        """Wait until nothing is wrong; what still is when the time is up is told."""
        said = ""

        def right() -> bool:
            nonlocal said
            said = wrong()
            return not said

        try:
            eventually(right, within_s=_PATIENCE_S)
        except AssertionError:
            raise Broken(said or "what was wrong changed too late") from None

    def _watch(self, holds: Callable[[], bool], within_s: float) -> bool:
        watch = Stopwatch()
        while not holds():
            if watch.seconds > within_s:
                return False
            _pause(0.005)
        return True


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
