"""One turn of a daemon set: its revision, a pod where one should be and none where not, one step of an update, status."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from steersman.api.resources import CONTROLLER_REVISIONS, DAEMON_SETS, NODES, PODS
from steersman.controllers.daemonset import nodes as eligibility
from steersman.controllers.daemonset import pods as making
from steersman.controllers.daemonset import status, update
from steersman.controllers.daemonset.backoff import FailedPods
from steersman.loop import claims, revisions
from steersman.loop.outcomes import pod_events
from steersman.loop.pods import is_available, is_ready, phase_of
from steersman.loop.revisions import POD_HASH
from steersman.loop.spec import Action, Create, Decision, Delete, Emit, Result, Snapshot, Update
from steersman.machinery.meta import Key, Obj, dig, is_deleting, labels_of, name_of, namespace_of, uid_of

BURST = 250


@dataclass(slots=True)
class _Plan:
    """What a turn is about to do."""

    start: list[str]
    delete: list[Obj]
    events: list[Action]
    again_after_s: float | None = None

    def wait(self, seconds: float | None) -> None:
        if seconds is not None:
            self.again_after_s = seconds if self.again_after_s is None else min(seconds, self.again_after_s)


@dataclass(frozen=True, slots=True)
class _Turn:
    owner: Obj
    pods: Sequence[Obj]
    by_node: Mapping[str, Sequence[Obj]]
    verdicts: Mapping[str, eligibility.Verdict]
    digest: str
    now: datetime

    @property
    def should_run(self) -> dict[str, bool]:
        return {node: verdict.run for node, verdict in self.verdicts.items()}


class Keeper:
    """Remembers how often pods failed on each node."""

    def __init__(self) -> None:
        self._failed = FailedPods()

    def reconcile(self, snapshot: Snapshot, key: Key, now: datetime) -> Decision:
        owner = snapshot.get(DAEMON_SETS, *key)
        if owner is None:
            return Decision()
        selector = claims.selector_of(owner)
        if selector.empty:
            message = "This daemon set is selecting all pods. A non-empty selector is required."
            return Decision((Emit(owner, "Warning", "SelectingAll", message),))
        pods, first = claims.claim(snapshot, PODS, DAEMON_SETS, owner, selector)
        history, earlier = claims.claim(snapshot, CONTROLLER_REVISIONS, DAEMON_SETS, owner, selector)
        if is_deleting(owner):
            return Decision()
        if first is not None or earlier is not None:
            return first or earlier or Decision()
        known = revisions.look_up(owner, history, POD_HASH, lambda count: _collided(owner, count))
        if known.first is not None:
            return known.first
        assert known.current is not None
        digest = revisions.hash_of(known.current, POD_HASH)
        turn = _seen(snapshot, owner, pods, digest, now)
        plan = self._manage(turn)
        if not plan.start and not plan.delete and dig(owner, "spec", "updateStrategy", "type") == "RollingUpdate":
            moved = update.step(owner, turn.by_node, turn.should_run, digest, now)
            plan.start, plan.delete = list(moved.start), list(moved.delete)
        in_use = {labels_of(pod).get(POD_HASH) for pod in pods} | {digest}
        live = {name_of(item) for item in history if revisions.hash_of(item, POD_HASH) in in_use}
        return _carry_out(turn, plan, revisions.surplus(owner, history, live))

    def _manage(self, turn: _Turn) -> _Plan:
        """A pod for each node that should have one; none where none may stay, and no second one."""
        plan = _Plan([], [], [])
        for node, verdict in turn.verdicts.items():
            pods = turn.by_node.get(node) or ()
            if verdict.run and not pods:
                plan.start.append(node)
            elif pods and not verdict.stay:
                plan.delete += [pod for pod in pods if not is_deleting(pod)]
            elif pods:
                self._settle(turn, node, pods, plan)
        known = turn.verdicts.keys()
        plan.delete += [pod for pod in turn.pods if not dig(pod, "spec", "nodeName") and _strayed(pod, known)]
        return plan

    def _settle(self, turn: _Turn, node: str, pods: Sequence[Obj], plan: _Plan) -> None:
        running: list[Obj] = []
        for pod in pods:
            phase = phase_of(pod)
            if is_deleting(pod):
                continue
            if phase == "Failed":
                wait_s = self._failed.wait_s((uid_of(turn.owner), dig(turn.owner, "metadata", "generation"), node), turn.now)
                plan.wait(wait_s or None)
                if not wait_s:
                    _finish_off(turn.owner, node, pod, plan)
            elif phase == "Succeeded":
                _finish_off(turn.owner, node, pod, plan)
            else:
                running.append(pod)
        running.sort(key=lambda pod: (dig(pod, "metadata", "creationTimestamp", default=""), name_of(pod)))
        if not update.surges(turn.owner):
            plan.delete += running[1:]
            return
        plan.delete += _surplus_of_two(turn, running)


def _surplus_of_two(turn: _Turn, running: Sequence[Obj]) -> list[Obj]:
    """While surging a node keeps the oldest new and the oldest old pod; the old one goes when the new one can do its work."""
    new = [pod for pod in running if making.is_updated(turn.owner, pod, turn.digest)]
    old = [pod for pod in running if not making.is_updated(turn.owner, pod, turn.digest)]
    surplus = new[1:] + old[1:]
    if new and old:
        min_ready_s = int(dig(turn.owner, "spec", "minReadySeconds", default=0))
        if not is_ready(old[0]) or is_available(new[0], min_ready_s, turn.now):
            surplus.append(old[0])
    return surplus


def _strayed(pod: Obj, known: Collection[str]) -> bool:
    """Meant for a node that is gone: it would never be scheduled."""
    target = eligibility.target_of(pod)
    return bool(target) and not is_deleting(pod) and target not in known


def _finish_off(owner: Obj, node: str, pod: Obj, plan: _Plan) -> None:
    where = f"daemon pod {namespace_of(pod)}/{name_of(pod)} on node {node}"
    if phase_of(pod) == "Failed":
        event = Emit(owner, "Warning", "FailedDaemonPod", f"Found failed {where}, will try to kill it")
    else:
        event = Emit(owner, "Normal", "SucceededDaemonPod", f"Found succeeded {where}, will try to delete it")
    plan.events.append(event)
    plan.delete.append(pod)


def _seen(snapshot: Snapshot, owner: Obj, pods: Sequence[Obj], digest: str, now: datetime) -> _Turn:
    by_node: dict[str, list[Obj]] = defaultdict(list)
    for pod in pods:
        target = eligibility.target_of(pod)
        if target:
            by_node[target].append(pod)
    pod_spec = eligibility.with_tolerations(owner["spec"]["template"]["spec"])
    verdicts = {name_of(node): eligibility.judge(pod_spec, node) for node in snapshot.list(NODES)}
    return _Turn(owner, pods, by_node, verdicts, digest, now)


def _carry_out(turn: _Turn, plan: _Plan, tidy: Sequence[Delete]) -> Decision:
    owner = turn.owner
    deletions = [Delete(PODS, namespace_of(pod), name_of(pod), uid_of(pod), batch="delete") for pod in plan.delete[:BURST]]
    creations = [Create(PODS, making.make(owner, node, turn.digest), batch="create") for node in plan.start[:BURST]]
    actions: list[Action] = [*plan.events, *creations, *deletions, *tidy]
    written = range(len(plan.events), len(plan.events) + len(creations) + len(deletions))
    found, wait_s = status.counted(owner, turn.by_node, turn.should_run, turn.digest, turn.now)
    plan.wait(wait_s)
    report: list[Action] = []
    if found != owner.get("status"):
        report.append(Update(DAEMON_SETS, {**owner, "status": found}, "status"))

    def after(results: Sequence[Result]) -> Decision:
        return Decision([*pod_events(owner, [results[place] for place in written]), *report], again_after_s=plan.again_after_s)

    return Decision(actions, then=after)


def _collided(owner: Obj, count: int) -> Action:
    return Update(DAEMON_SETS, {**owner, "status": {**(owner.get("status") or {}), "collisionCount": count}}, "status")
