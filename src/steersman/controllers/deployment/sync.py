"""One turn of a deployment: scale, create the new ReplicaSet, move replicas from old to new, tidy up, report.

Each turn takes one step and reports; the ReplicaSets' own events bring the next. Source: upstream deployment/sync.go,
rolling.go, recreate.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from steersman.api.resources import DEPLOYMENTS, PODS, REPLICA_SETS
from steersman.controllers.deployment import arithmetic, progress, replicasets
from steersman.controllers.deployment.replicasets import REVISION, is_recreate, limits_of, replicas_of, size_of
from steersman.loop import claims
from steersman.loop.failures import namespace_terminates
from steersman.loop.pods import is_finished
from steersman.loop.spec import Action, Create, Decision, Delete, Emit, Fetch, Result, Snapshot, Update
from steersman.machinery.errors import AlreadyExists
from steersman.machinery.meta import (
    Key,
    Obj,
    annotations_of,
    condition,
    controller_of,
    dig,
    is_deleting,
    name_of,
    namespace_of,
    uid_of,
)


@dataclass(frozen=True, slots=True)
class Turn:
    """A deployment and its ReplicaSets as seen at the turn's start."""

    snapshot: Snapshot
    deployment: Obj
    new: Obj | None
    old: tuple[Obj, ...]
    now: datetime

    @property
    def sets(self) -> list[Obj]:
        return [*self.old, *([self.new] if self.new else [])]


def reconcile(snapshot: Snapshot, key: Key, now: datetime) -> Decision:
    deployment = snapshot.get(DEPLOYMENTS, *key)
    if deployment is None:
        return Decision()
    selector = claims.selector_of(deployment)
    if selector.empty:
        return _refuse(deployment)
    sets, first = claims.claim(snapshot, REPLICA_SETS, DEPLOYMENTS, deployment, selector)
    if first is not None:
        return first
    new = replicasets.find_new(deployment, sets)
    turn = Turn(snapshot, deployment, new, tuple(replicasets.by_age(rs for rs in sets if rs is not new)), now)
    if is_deleting(deployment):
        return _report(turn, judge=False)
    if new is not None:
        changed = replicasets.refreshed(deployment, new, turn.old)
        if changed is not None:
            return Decision((Update(REPLICA_SETS, changed),))
    if dig(deployment, "spec", "paused") or replicasets.is_scaling(deployment, turn.sets):
        return _scale(turn)
    return _recreate(turn) if is_recreate(deployment) else _roll(turn)


def _refuse(deployment: Obj) -> Decision:
    message = "This deployment is selecting all pods. A non-empty selector is required."
    actions: list[Action] = [Emit(deployment, "Warning", "SelectingAll", message)]
    generation = dig(deployment, "metadata", "generation", default=0)
    status = {**(deployment.get("status") or {}), "observedGeneration": generation}
    if status != deployment.get("status"):
        actions.append(Update(DEPLOYMENTS, {**deployment, "status": status}, "status"))
    return Decision(actions)


# --- the steps ---------------------------------------------------------------------------------------------------------


def _scale(turn: Turn) -> Decision:
    """Follow a changed number of replicas without moving the rollout on; all that happens while paused."""
    active = [rs for rs in turn.sets if replicas_of(rs) > 0]
    wanted = replicas_of(turn.deployment)
    if len(active) <= 1:
        latest = active[0] if active else (turn.new or (turn.old[-1] if turn.old else None))
        sizes = {name_of(latest): wanted} if latest else {}
    elif turn.new is not None and _is_saturated(turn.deployment, turn.new):
        sizes = {name_of(rs): 0 for rs in active if rs is not turn.new}
    elif is_recreate(turn.deployment):
        if not dig(turn.deployment, "spec", "paused"):
            # The strategy was changed in the middle of a rollout: its own first step ends that.
            return _recreate(turn)
        sizes = {}
    else:
        status_replicas = int(dig(turn.deployment, "status", "replicas", default=0))
        sizes = arithmetic.proportional(limits_of(turn.deployment), [size_of(rs) for rs in active], status_replicas)
    tidy = replicasets.superfluous(turn.deployment, turn.old) if dig(turn.deployment, "spec", "paused") else []
    return _resize(turn, sizes, judge=False, tidy=tidy)


def _is_saturated(deployment: Obj, new: Obj) -> bool:
    wanted = replicas_of(deployment)
    same = annotations_of(new).get(replicasets.DESIRED) == str(wanted)
    return same and replicas_of(new) == wanted and dig(new, "status", "availableReplicas", default=0) == wanted


def _roll(turn: Turn) -> Decision:
    if turn.new is None:
        return _create(turn)
    limits = limits_of(turn.deployment)
    size = arithmetic.new_size(limits, replicas_of(turn.new), replicasets.total_replicas(turn.sets))
    if size != replicas_of(turn.new):
        return _resize(turn, {name_of(turn.new): size})
    shrunk = arithmetic.shrink_old(limits, size_of(turn.new), [size_of(rs) for rs in turn.old])
    return _resize(turn, shrunk, tidy=() if shrunk else _leftovers(turn))


def _recreate(turn: Turn) -> Decision:
    zero = {name_of(rs): 0 for rs in turn.old if replicas_of(rs) > 0}
    if zero:
        return _resize(turn, zero)
    if any(_still_runs(turn.snapshot, rs) for rs in turn.old):
        return _report(turn)
    if turn.new is None:
        return _create(turn)
    return _resize(turn, {name_of(turn.new): replicas_of(turn.deployment)}, tidy=_leftovers(turn))


def _still_runs(snapshot: Snapshot, rs: Obj) -> bool:
    if dig(rs, "status", "replicas", default=0):
        return True
    return any(not is_finished(pod) for pod in snapshot.owned_by(PODS, uid_of(rs)))


def _leftovers(turn: Turn) -> list[Obj]:
    """History beyond its limit, once the rollout is complete."""
    if progress.is_complete(turn.deployment, turn.deployment.get("status") or {}):
        return replicasets.superfluous(turn.deployment, turn.old)
    return []


# --- writing ReplicaSets ------------------------------------------------------------------------------------------------


def _resize(turn: Turn, sizes: dict[str, int], *, judge: bool = True, tidy: Sequence[Obj] = ()) -> Decision:
    before = {name_of(rs): replicas_of(rs) for rs in turn.sets}
    changed = [replicasets.resized(turn.deployment, rs, sizes[name_of(rs)]) for rs in turn.sets if name_of(rs) in sizes]
    actions: list[Action] = [Update(REPLICA_SETS, rs) for rs in changed if rs is not None]
    actions += [Delete(REPLICA_SETS, namespace_of(rs), name_of(rs), uid=uid_of(rs)) for rs in tidy]
    if not actions:
        return _report(turn, judge=judge)

    def after(results: Sequence[Result]) -> Decision:
        written = {name_of(item.obj): item.obj for item in results if isinstance(item.action, Update) and item.obj is not None}
        events = [
            event
            for name, rs in written.items()
            if (event := _scaled(turn.deployment, name, before[name], replicas_of(rs))) is not None
        ]
        new = turn.new and written.get(name_of(turn.new), turn.new)
        now = replace(turn, new=new, old=tuple(written.get(name_of(rs), rs) for rs in turn.old))
        return _report(now, judge=judge, events=events)

    return Decision(actions, then=after)


def _scaled(deployment: Obj, name: str, before: int, after: int) -> Emit | None:
    if before == after:
        return None
    direction = "up" if after > before else "down"
    message = f"Scaled {direction} replica set {name} from {before} to {after}"
    return Emit(deployment, "Normal", "ScalingReplicaSet", message)


def _create(turn: Turn) -> Decision:
    made = replicasets.make_new(turn.deployment, turn.sets)
    name = name_of(made)

    def after(results: Sequence[Result]) -> Decision:
        result = results[-1]
        if isinstance(result.error, AlreadyExists):
            fetch = Fetch(REPLICA_SETS, namespace_of(made), name)
            return Decision((fetch,), then=lambda found: _collided(turn, found[-1].obj))
        if result.error is not None:
            return _create_failed(turn, name, result.error)
        new = result.obj or made
        event = _scaled(turn.deployment, name, 0, replicas_of(new))
        reason = ("True", "NewReplicaSetCreated", f'Created new replica set "{name}"')
        return _report(replace(turn, new=new), events=[event] if event else [], judge=False, progressing=reason)

    return Decision((Create(REPLICA_SETS, made),), then=after)


def _collided(turn: Turn, found: Obj | None) -> Decision:
    """The name is taken: by our own, not seen yet, or by another template, from which a higher collisionCount leads away."""
    if found is None:
        return Decision()
    template = dig(turn.deployment, "spec", "template", default={})
    owner = controller_of(found)
    if owner and owner["uid"] == uid_of(turn.deployment) and replicasets.same_template(found["spec"]["template"], template):
        return Decision()
    status = progress.status_of(turn.deployment)
    status["collisionCount"] = int(status.get("collisionCount") or 0) + 1
    return Decision((Update(DEPLOYMENTS, {**turn.deployment, "status": _trimmed(status)}, "status"),))


def _create_failed(turn: Turn, name: str, error: Exception) -> Decision:
    if namespace_terminates(error):
        return Decision()
    message = f'Failed to create new replica set "{name}": {error}'
    event = Emit(turn.deployment, "Warning", "ReplicaSetCreateError", message)
    reason = ("False", "ReplicaSetCreateError", message)
    return _report(turn, events=[event], judge=False, progressing=reason)


# --- status -------------------------------------------------------------------------------------------------------------


def _report(
    turn: Turn, *, judge: bool = True, events: Sequence[Action] = (), progressing: tuple[str, str, str] | None = None
) -> Decision:
    """Events, then the deployment's status and revision in one write, if either differs. `progressing`: the condition to set."""
    deployment, now = turn.deployment, turn.now
    status = progress.counted(deployment, turn.sets, turn.new, now)
    if progress.deadline_s(deployment) is not None:
        _note_pause(deployment, status, now)
        if progressing is not None:
            progress.put_condition(status, "Progressing", *progressing, now)
        elif turn.new is not None and condition(status["conditions"], "Progressing") is None:
            found = f'Found new replica set "{name_of(turn.new)}"'
            progress.put_condition(status, "Progressing", "True", "FoundNewReplicaSet", found, now)
    if judge:
        progress.judge_progress(deployment, status, turn.sets, turn.new, now)
    written = {**deployment, "status": _trimmed(status)}
    if turn.new is not None:
        revision = annotations_of(turn.new).get(REVISION, "")
        annotations = {**annotations_of(deployment), REVISION: revision}
        written["metadata"] = {**deployment["metadata"], "annotations": annotations}
    actions = list(events)
    if written != deployment:
        actions.append(Update(DEPLOYMENTS, written, "status"))
    return Decision(actions, again_after_s=progress.recheck_after_s(deployment, status, now))


def _note_pause(deployment: Obj, status: Obj, now: datetime) -> None:
    """A pause stops the deadline's clock, except after it has run out."""
    current = condition(status["conditions"], "Progressing")
    reason = current.get("reason") if current else None
    if reason == progress.TIMED_OUT:
        return
    paused = bool(dig(deployment, "spec", "paused"))
    if paused and reason != "DeploymentPaused":
        progress.put_condition(status, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused", now)
    elif not paused and reason == "DeploymentPaused":
        progress.put_condition(status, "Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed", now)


def _trimmed(status: Obj) -> Obj:
    return status if status["conditions"] else {key: value for key, value in status.items() if key != "conditions"}
