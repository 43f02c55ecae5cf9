"""What to do for a pod that shall run: compare its spec with what the runtime holds, and name the differences.

Pure. workers.py calls it with a fresh view and performs the plan; status.py words the result. Stopping a pod is not decided
here: terminating.py does that when the worker's state says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from steersman.cri.messages import Container, ContainerState, NamespaceMode, Sandbox, SandboxState
from steersman.kubelet import pods
from steersman.kubelet.backoff import Backoff
from steersman.kubelet.probes.results import ProbeResults, Result
from steersman.kubelet.view import HASH_ANNOTATION, PodView, has_network
from steersman.machinery import duration
from steersman.machinery.meta import Obj, is_deleting, uid_of

CRASH_LOOP = "CrashLoopBackOff"


@dataclass(frozen=True, slots=True)
class Kill:
    """Stop one container. `why` goes after `Container <name> `; empty for a silent clean-up. `cause` names a probe, or ''."""

    container: Container
    why: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Start:
    """Make and start a container. `blocking`: a failure ends this round (plain init containers).

    `ended`: when the last dead instance ended; counts towards the crash-loop back-off.
    """

    spec: Obj
    attempt: int
    kind: str
    blocking: bool = False
    ended: datetime | None = None


@dataclass(slots=True)
class Plan:
    """kill_pod: stop everything, the sandbox too. create_sandbox carries the attempt number; None when the sandbox is fine.

    waiting: container -> (reason, message) of those held back; again_after_s: when the first of them is due.
    doomed: to be killed and removed, in this order, so that all of the pod begins anew; `causes` are those that ask for it.
    over: its sandbox has gone and it may not begin again, though not all of it has run: it can only fail.
    """

    kill_pod: bool = False
    over: bool = False
    sandbox_changed: bool = False
    create_sandbox: int | None = None
    kills: list[Kill] = field(default_factory=list)
    doomed: list[Container] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    causes: list[Start] = field(default_factory=list)
    waiting: dict[str, tuple[str, str]] = field(default_factory=dict)
    again_after_s: float | None = None

    @property
    def empty(self) -> bool:
        return not (self.kill_pod or self.kills or self.doomed or self.starts or self.create_sandbox is not None)

    def later(self, seconds: float) -> None:
        self.again_after_s = seconds if self.again_after_s is None else min(self.again_after_s, seconds)


def backoff_key(pod: Obj, spec: Obj) -> str:
    return f"{uid_of(pod)}/{spec['name']}/{pods.container_hash(spec)}"


def decide(
    pod: Obj, view: PodView, now: datetime, backoff: Backoff, results: ProbeResults, resized: Collection[str] = ()
) -> Plan:
    """The plan for this pod at this moment. resized: containers that must be restarted to have other resources."""
    if is_deleting(pod):
        return Plan()
    change, attempt = _sandbox_change(pod, view)
    if change:
        return _with_new_sandbox(pod, view, attempt, now, backoff)
    plan = Plan()
    if _restarts_all(pod, view, now, backoff, plan):
        return plan
    plan.starts += _ephemeral(pod, view)
    judge = _Judge(results, resized)
    if _init_containers(pod, view, now, backoff, judge, plan):
        keep = _regular_containers(pod, view, now, backoff, judge, plan)
        if not keep and not plan.starts and not plan.waiting:
            plan.kill_pod = view.may_run
    return plan


def _restarts_all(pod: Obj, view: PodView, now: datetime, backoff: Backoff, plan: Plan) -> bool:
    """Whether one of them has ended so that all have to begin anew, and its crash-loop back-off is over."""
    specs = [*pods.init_containers(pod), *pods.containers(pod)]
    asking = [
        spec
        for spec in specs
        if (found := view.current(spec["name"])) is not None
        and found.state is ContainerState.EXITED
        and pods.restarts_all(spec, found.exit_code)
    ]
    due = Plan()
    for spec in asking:
        _start(pod, view, spec, now, backoff, due)
    if due.starts:
        names, last = {spec["name"] for spec in specs}, {start.spec["name"] for start in due.starts}
        plan.causes = due.starts
        plan.doomed = sorted((item for item in view.containers if item.name in names), key=lambda item: item.name in last)
    return bool(due.starts)


def _sandbox_change(pod: Obj, view: PodView) -> tuple[bool, int]:
    """(whether a new sandbox is needed, its attempt)."""
    newest: Sandbox | None = view.sandbox
    if newest is None:
        return True, 0
    ready = [item for item in view.sandboxes if item.state is SandboxState.READY]
    mode = NamespaceMode.NODE if pods.is_host_network(pod) else NamespaceMode.POD
    usable = newest.state is SandboxState.READY and len(ready) == 1 and newest.network is mode and has_network(newest)
    return not usable, newest.attempt + 1


def _with_new_sandbox(pod: Obj, view: PodView, attempt: int, now: datetime, backoff: Backoff) -> Plan:
    """A fresh sandbox means a fresh run of the init containers; not when nothing would start in it."""
    plan = Plan(sandbox_changed=attempt > 0)
    plan.kill_pod = view.may_run
    if pods.restart_policy(pod) == "Never" and attempt > 0 and _has_run(view) and not _restarts(pod, view):
        # Upstream leaves such a pod Pending for ever (kubernetes/kubernetes#118321).
        plan.over = not view.may_run
        return plan
    wanted = [spec for spec in pods.containers(pod) if _wanted_again(pod, view, spec)]
    if not wanted:
        return plan
    plan.create_sandbox = attempt
    first = pods.init_containers(pod)[:1]
    for spec in first or wanted:
        _start(pod, view, spec, now, backoff, plan, init=bool(first))
    return plan


def _has_run(view: PodView) -> bool:
    return any(item.state is not ContainerState.CREATED for item in view.containers)


def _restarts(pod: Obj, view: PodView) -> bool:
    """Whether a regular container has ended that may run again by a rule or policy of its own."""
    ended = ((spec, view.newest(spec["name"])) for spec in pods.containers(pod))
    return any(
        found is not None and found.state is ContainerState.EXITED and pods.may_restart(pod, spec, found.exit_code)
        for spec, found in ended
    )


def _wanted_again(pod: Obj, view: PodView, spec: Obj) -> bool:
    found = view.newest(spec["name"])
    return found is None or found.state is not ContainerState.EXITED or pods.may_restart(pod, spec, found.exit_code)


def _ephemeral(pod: Obj, view: PodView) -> Iterator[Start]:
    """Ephemeral containers run once each."""
    for spec in pods.ephemeral_containers(pod):
        if view.newest(spec["name"]) is None:
            yield Start(spec, 0, "ephemeral")


def _start(pod: Obj, view: PodView, spec: Obj, now: datetime, backoff: Backoff, plan: Plan, *, init: bool = False) -> None:
    """Plan a start, unless the container's crash-loop back-off says to wait."""
    last = view.newest(spec["name"])
    dead = next((item for item in view.history(spec["name"]) if item.state is ContainerState.EXITED), None)
    ended = None
    if dead is not None:
        key = backoff_key(pod, spec)
        ended = dead.finished_at or dead.created_at
        left = backoff.remaining(key, ended, now)
        if left > 0:
            text = f"back-off {duration.format_go(backoff.delay(key))} restarting failed"
            plan.waiting[spec["name"]] = (CRASH_LOOP, f"{text} container={spec['name']} pod={pods.full_name(pod)}")
            plan.later(left)
            return
    attempt = last.attempt + 1 if last is not None else 0
    blocking = init and not pods.is_sidecar(spec)
    plan.starts.append(Start(spec, attempt, "init" if init else "regular", blocking, ended))


def _init_containers(pod: Obj, view: PodView, now: datetime, backoff: Backoff, judge: _Judge, plan: Plan) -> bool:
    """Move the init sequence on; True once the regular containers may run."""
    specs = pods.init_containers(pod)
    initialized = any(view.current(spec["name"]) is not None for spec in pods.containers(pod))
    for index, spec in enumerate(specs):
        found = view.current(spec["name"])
        if pods.is_sidecar(spec):
            begun = initialized or any(view.current(later["name"]) for later in specs[index + 1 :])
            if not _sidecar(pod, view, spec, now, backoff, judge, plan) and not begun:
                return False
            continue
        if initialized:
            continue
        if found is not None and found.state is ContainerState.EXITED and found.exit_code == 0:
            continue
        if found is not None and found.state is ContainerState.RUNNING:
            return False
        if (
            found is not None
            and found.state is ContainerState.EXITED
            and not pods.may_restart(pod, spec, found.exit_code, init=True)
        ):
            plan.kill_pod = view.may_run
            return False
        if found is not None and found.state is not ContainerState.EXITED:
            plan.kills.append(Kill(found))
        _start(pod, view, spec, now, backoff, plan, init=True)
        return False
    return True


def _sidecar(pod: Obj, view: PodView, spec: Obj, now: datetime, backoff: Backoff, judge: _Judge, plan: Plan) -> bool:
    """Keep a sidecar running; True if the next init container may start."""
    found = view.current(spec["name"])
    if found is not None and found.state is ContainerState.RUNNING:
        kill = judge.must_die(spec, found)
        if kill is None:
            return judge.results.started(spec, found)
        plan.kills.append(kill)
    elif found is not None and found.state is not ContainerState.EXITED:
        plan.kills.append(Kill(found))
    _start(pod, view, spec, now, backoff, plan, init=True)
    return False


def _regular_containers(pod: Obj, view: PodView, now: datetime, backoff: Backoff, judge: _Judge, plan: Plan) -> int:
    """Plan the regular containers; how many are left running."""
    keep = 0
    for spec in pods.containers(pod):
        found = view.current(spec["name"])
        if found is not None and found.state is ContainerState.RUNNING:
            kill = judge.must_die(spec, found)
            if kill is None:
                keep += 1
                continue
            plan.kills.append(kill)
            if pods.may_restart(pod, spec, 137):
                _start(pod, view, spec, now, backoff, plan)
            continue
        if found is not None and found.state is not ContainerState.EXITED:
            plan.kills.append(Kill(found))
        elif not _wanted_again(pod, view, spec):
            continue
        _start(pod, view, spec, now, backoff, plan)
    return keep


@dataclass(frozen=True, slots=True)
class _Judge:
    """Says of what runs whether it may."""

    results: ProbeResults
    resized: Collection[str]

    def must_die(self, spec: Obj, container: Container) -> Kill | None:
        """Why a running container must be replaced, if it must."""
        wanted = container.annotations.get(HASH_ANNOTATION)
        if wanted and wanted != pods.container_hash(spec):
            return Kill(container, f"Container {spec['name']} definition changed, will be restarted")
        if self.results.liveness.get(container.id) is Result.FAILURE:
            return Kill(container, f"Container {spec['name']} failed liveness probe, will be restarted", "livenessProbe")
        if self.results.startup.get(container.id) is Result.FAILURE:
            return Kill(container, f"Container {spec['name']} failed startup probe, will be restarted", "startupProbe")
        if spec["name"] in self.resized:
            return Kill(container, f"Container {spec['name']} resize requires restart")
        return None
