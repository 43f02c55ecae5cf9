"""One turn of a stateful set: revisions, the plan's steps as actions, events, status."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from steersman.api.resources import CONTROLLER_REVISIONS, PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS
from steersman.controllers.statefulset import identity, retention, status
from steersman.controllers.statefulset.plan import Plan, Turn, by_ordinal, next_steps, revision_for
from steersman.loop import claims, revisions
from steersman.loop.failures import namespace_terminates
from steersman.loop.outcomes import error_of
from steersman.loop.pods import phase_of
from steersman.loop.spec import Action, Create, Decision, Delete, Emit, Result, Snapshot, Update
from steersman.machinery.meta import Key, Obj, dig, is_deleting, name_of, namespace_of, uid_of


def reconcile(snapshot: Snapshot, key: Key, now: datetime) -> Decision:
    owner = snapshot.get(STATEFUL_SETS, *key)
    if owner is None:
        return Decision()
    selector = claims.selector_of(owner)
    history, first = claims.claim(snapshot, CONTROLLER_REVISIONS, STATEFUL_SETS, owner, selector)
    if first is not None:
        return first
    fits = partial(identity.is_member, owner)
    pods, first = claims.claim(snapshot, PODS, STATEFUL_SETS, owner, selector, fits=fits)
    if first is not None:
        return first
    pods = [pod for pod in pods if identity.is_member(owner, pod)]
    known = revisions.look_up(owner, history, revisions.HASH, partial(_collided, owner))
    if known.first is not None and not is_deleting(owner):
        return known.first
    updated = name_of(known.current or {})
    by_name = {name_of(item): item for item in history}
    current = dig(owner, "status", "currentRevision", default="")
    turn = Turn(
        owner, by_ordinal(pods), current if current in by_name else updated, updated, now, partial(_blocked, snapshot, owner)
    )
    if is_deleting(owner):
        return _report(turn, ())
    in_use = {turn.current, updated, *map(identity.revision_of, pods)}
    tidy = revisions.surplus(owner, history, in_use)
    return _carry_out(snapshot, turn, next_steps(turn), by_name, tidy)


def _blocked(snapshot: Snapshot, owner: Obj, ordinal: int) -> bool:
    """Whether a claim of that ordinal is on its way out: its pod is made when it is gone."""
    name = f"{name_of(owner)}-{ordinal}"
    for claim_name in identity.claim_names(owner, ordinal).values():
        claim = snapshot.get(PERSISTENT_VOLUME_CLAIMS, namespace_of(owner), claim_name)
        if claim is not None and (is_deleting(claim) or (retention.deletes(owner) and retention.is_stale(claim, None, name))):
            return True
    return False


def _carry_out(snapshot: Snapshot, turn: Turn, plan: Plan, templates: dict[str, Obj], tidy: Sequence[Delete]) -> Decision:
    """Claims first: a pod is made only when its claims are there."""
    owner = turn.owner
    missing: dict[int, list[Obj]] = {}
    pending = [identity.ordinal_of(name_of(pod))[1] for pod in plan.attend if phase_of(pod) == "Pending" and not is_deleting(pod)]
    for ordinal in (*plan.create, *pending):
        made = identity.make_claims(owner, ordinal)
        missing[ordinal] = [
            item for item in made if snapshot.get(PERSISTENT_VOLUME_CLAIMS, namespace_of(item), name_of(item)) is None
        ]
    creations = [(ordinal, Create(PERSISTENT_VOLUME_CLAIMS, item)) for ordinal, items in missing.items() for item in items]
    events: list[Action] = [_recreating(owner, pod) for pod in plan.recreate]
    before: list[Action] = [*events, *_repairs(snapshot, turn, plan), *tidy]

    def claims_made(results: Sequence[Result]) -> Decision:
        done = results[len(before) :]
        failed = {ordinal for (ordinal, _), result in zip(creations, done) if result.error is not None}
        told = [event for (ordinal, _), result in zip(creations, done) if (event := _claim_event(owner, ordinal, result))]
        told += [event for result in results[: len(before)] if (event := _pod_event(owner, result))]
        actions: list[Action] = []
        for ordinal in plan.create:
            if ordinal not in failed:
                name = revision_for(turn, ordinal)
                pod = identity.make_pod(owner, revisions.template_of(templates[name]), name, ordinal)
                actions.append(Create(PODS, pod, batch="create"))
        for pod in (*plan.recreate, *plan.delete):
            actions.append(Delete(PODS, namespace_of(pod), name_of(pod), uid_of(pod), batch="delete"))
        return Decision([*told, *actions], then=lambda acted: _report(turn, acted[len(told) :]))

    return Decision([*before, *(action for _, action in creations)], then=claims_made)


def _repairs(snapshot: Snapshot, turn: Turn, plan: Plan) -> list[Action]:
    """Labels of adopted pods, owners of claims. Terminating pods keep theirs."""
    actions: list[Action] = []
    for pod in plan.attend:
        fixed = None if is_deleting(pod) else identity.with_identity(pod)
        if fixed is not None:
            actions.append(Update(PODS, fixed))
        for claim_name in identity.claim_names(turn.owner, identity.ordinal_of(name_of(pod))[1]).values():
            claim = snapshot.get(PERSISTENT_VOLUME_CLAIMS, namespace_of(pod), claim_name)
            changed = None if claim is None else retention.corrected(turn.owner, pod, claim)
            if changed is not None:
                actions.append(Update(PERSISTENT_VOLUME_CLAIMS, changed))
    return actions


def _report(turn: Turn, results: Sequence[Result]) -> Decision:
    """Events, and the status with what the turn just did."""
    owner = turn.owner
    pods = {name_of(pod): pod for pod in turn.pods.values()}
    for result in results:
        if isinstance(result.action, Create) and result.obj is not None:
            pods[name_of(result.obj)] = result.obj
        elif isinstance(result.action, Delete) and not result.skipped and error_of(result) is None:
            gone = pods[result.action.name]
            pods[result.action.name] = {**gone, "metadata": {**gone["metadata"], "deletionTimestamp": "now"}}
    found, wait_s = status.counted(owner, pods.values(), turn.current, turn.updated, turn.now)
    actions: list[Action] = [event for result in results if (event := _pod_event(owner, result))]
    if found != owner.get("status"):
        actions.append(Update(STATEFUL_SETS, {**owner, "status": found}, "status"))
    return Decision(actions, again_after_s=wait_s)


# --- events -------------------------------------------------------------------------------------------------------------

_VERBS: dict[type, str] = {Create: "create", Update: "update", Delete: "delete"}


def _pod_event(owner: Obj, result: Result) -> Emit | None:
    action, error = result.action, error_of(result)
    verb = _VERBS.get(type(action), "")
    if result.skipped or not verb or getattr(action, "resource", None) != PODS or namespace_terminates(error):
        return None
    name = name_of(action.obj) if isinstance(action, Create | Update) else getattr(action, "name", "")
    about = f"{verb} Pod {name} in StatefulSet {name_of(owner)}"
    if error is not None:
        return Emit(owner, "Warning", f"Failed{verb.title()}", f"{about} failed error: {error}")
    return Emit(owner, "Normal", f"Successful{verb.title()}", f"{about} successful")


def _claim_event(owner: Obj, ordinal: int, result: Result) -> Emit | None:
    assert isinstance(result.action, Create)
    if namespace_terminates(result.error):
        return None
    claim, pod, name = name_of(result.action.obj), f"{name_of(owner)}-{ordinal}", name_of(owner)
    if result.error is not None:
        text = f"create Claim {claim} for Pod {pod} in StatefulSet {name} failed error: {result.error}"
        return Emit(owner, "Warning", "FailedCreate", text)
    return Emit(owner, "Normal", "SuccessfulCreate", f"create Claim {claim} Pod {pod} in StatefulSet {name} success")


def _recreating(owner: Obj, pod: Obj) -> Emit:
    set_name = f"StatefulSet {namespace_of(owner)}/{name_of(owner)}"
    if phase_of(pod) == "Failed":
        return Emit(owner, "Warning", "RecreatingFailedPod", f"{set_name} is recreating failed Pod {name_of(pod)}")
    return Emit(owner, "Normal", "RecreatingTerminatedPod", f"{set_name} is recreating terminated Pod {name_of(pod)}")


def _collided(owner: Obj, count: int) -> Action:
    return Update(STATEFUL_SETS, {**owner, "status": {**(owner.get("status") or {}), "collisionCount": count}}, "status")
