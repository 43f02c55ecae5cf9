"""One turn of a job: judge it, make or remove pods, write outcomes down, let those pods go, count them.

The writes are in an order in which each may be the last one that happens: see the package's docstring.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from steersman.api.resources import JOBS, PODS
from steersman.controllers.job import manage, record
from steersman.controllers.job.pods import FINALIZER, is_tracked, untrack
from steersman.controllers.job.tally import Tally, take
from steersman.controllers.job.verdict import REACHED, Verdict, is_complete, is_finished, judge, seconds_left
from steersman.loop import claims
from steersman.loop.outcomes import error_of, pod_events
from steersman.loop.pods import is_ready
from steersman.loop.spec import Action, Create, Decision, Delete, Patch, Result, Snapshot
from steersman.machinery.errors import NotFound
from steersman.machinery.meta import Key, Obj, controller_of, dig, is_deleting, labels_of, name_of, namespace_of, uid_of

TRACKED, ORPHANED = "tracked-by-job", "tracked-orphans-by-namespace"
CONTROLLER = "kubernetes.io/job-controller"


def reconcile(snapshot: Snapshot, key: Key, now: datetime) -> Decision:
    """A key without a name stands for the namespace's pods that no job has any more."""
    if not key[1]:
        return _release_orphans(snapshot, key[0])
    job = snapshot.get(JOBS, *key)
    strangers = _strangers(snapshot, key, job)
    if strangers:
        return Decision([untrack(pod) for pod in strangers])
    if job is None or dig(job, "spec", "managedBy", default=CONTROLLER) != CONTROLLER:
        return Decision()
    pods, first = claims.claim(snapshot, PODS, JOBS, job, claims.selector_of(job), finalizer=FINALIZER)
    if first is not None:
        return first
    if is_finished(job):
        return Decision([untrack(pod) for pod in pods if is_tracked(pod)])
    return _sync(job, pods, now)


def _strangers(snapshot: Snapshot, key: Key, job: Obj | None) -> list[Obj]:
    """Pods of an earlier job of that name: nobody will count them."""
    tracked = snapshot.indexed(PODS, TRACKED, f"{key[0]}/{key[1]}")
    return [pod for pod in tracked if job is None or (controller_of(pod) or {}).get("uid") != uid_of(job)]


def _release_orphans(snapshot: Snapshot, namespace: str) -> Decision:
    """A job that is left may adopt them; else their finalizer would stay for ever."""
    selectors = [
        claims.selector_of(job) for job in snapshot.list(JOBS, namespace) if not is_deleting(job) and not is_finished(job)
    ]
    pods = snapshot.indexed(PODS, ORPHANED, namespace)
    return Decision([untrack(pod) for pod in pods if not any(selector.matches(labels_of(pod)) for selector in selectors)])


@dataclass(frozen=True, slots=True)
class _Turn:
    tally: Tally
    verdict: Verdict | None
    now: datetime
    again_after_s: float | None = None


def _sync(job: Obj, pods: Sequence[Obj], now: datetime) -> Decision:
    tally = take(job, pods)
    verdict = judge(tally, now)
    waits = [seconds_left(job, now)] if verdict is None else []
    untracked: list[Patch] = []
    changes: list[Create | Delete] = []
    if verdict is not None:
        changes += [_delete(pod) for pod in tally.active]
    elif not is_deleting(job):
        found = manage.changes(tally, now)
        # Pods that the job itself takes away are no failures: their outcome isn't waited for.
        untracked = [untrack(pod) for pod in found.remove if is_tracked(pod)]
        changes += [_delete(pod) for pod in found.remove]
        changes += [Create(PODS, pod, batch="create") for pod in found.create]
        waits.append(found.again_after_s)
    turn = _Turn(tally, verdict, now, min((wait for wait in waits if wait is not None), default=None))
    return Decision([*untracked, *changes], then=lambda results: _write(turn, results, {item.name for item in untracked}))


def _delete(pod: Obj) -> Delete:
    return Delete(PODS, namespace_of(pod), name_of(pod), uid_of(pod), batch="delete")


def _write(turn: _Turn, results: Sequence[Result], untracked: set[str]) -> Decision:
    """The status as it is after what was just done, with new outcomes still uncounted."""
    tally, now, job = turn.tally, turn.now, turn.tally.job
    acted = [result for result in results if not isinstance(result.action, Patch)]
    done = [result for result in acted if not result.skipped and error_of(result) is None]
    gone = {result.action.name for result in done if isinstance(result.action, Delete)}
    made = sum(isinstance(result.action, Create) for result in done)
    left = [pod for pod in tally.active if name_of(pod) not in gone]
    going = [result for result in done if isinstance(result.action, Delete) and _lingers(result.obj)]
    draft = record.begin(job, now)
    verdict = turn.verdict
    if verdict is None and is_complete(tally, len(left) + made):
        verdict = REACHED
    if verdict is None:
        record.note_suspension(draft, now)
    ready = sum(is_ready(pod) for pod in left)
    record.set_numbers(draft, active=len(left) + made, ready=ready, terminating=len(tally.terminating) + len(going))
    record.count(draft, record.tracked_uids(tally.pods))
    record.collect(draft, tally, verdict, {uid_of(pod) for pod in tally.active if name_of(pod) in untracked & gone})
    if verdict is not None:
        record.announce(draft, verdict, now)
        record.finish(draft, verdict, now)
    record.close(draft)
    update = draft.update()
    if update is None and not draft.done:
        return Decision(pod_events(job, acted), again_after_s=turn.again_after_s)
    actions: list[Action] = [*pod_events(job, acted), *([update] if update else [])]
    return Decision(actions, then=lambda written: _release(turn, draft, verdict, written if update else ()))


def _lingers(pod: Obj | None) -> bool:
    """Whether a deleted pod is still there: it has time left, or something that holds it."""
    meta = (pod or {}).get("metadata") or {}
    return bool(meta.get("deletionTimestamp") and (meta.get("deletionGracePeriodSeconds") or meta.get("finalizers")))


def _release(turn: _Turn, draft: record.Draft, verdict: Verdict | None, written: Sequence[Result]) -> Decision:
    """Finalizers go only when the status that holds their pods is stored."""
    if written and written[-1].error is not None:
        return Decision(again_after_s=turn.again_after_s)
    job = written[-1].obj if written and written[-1].obj is not None else turn.tally.job
    if not draft.done:
        return Decision(draft.events, again_after_s=turn.again_after_s)
    patches = [untrack(pod) for pod in draft.done]
    return Decision(
        [*draft.events, *patches], then=lambda results: _count(turn, job, verdict, draft.done, results[len(draft.events) :])
    )


def _count(turn: _Turn, job: Obj, verdict: Verdict | None, pods: Sequence[Obj], results: Sequence[Result]) -> Decision:
    """Outcomes whose pod is let go become numbers; if that was the last, the job is over."""
    freed = {uid_of(pod) for pod, result in zip(pods, results) if result.error is None or isinstance(result.error, NotFound)}
    draft = record.begin(job, turn.now)
    record.count(draft, record.tracked_uids(turn.tally.pods) - freed)
    if verdict is not None:
        record.finish(draft, verdict, turn.now)
    update = record.close(draft).update()
    if update is None:
        return Decision(again_after_s=turn.again_after_s)

    def told(written: Sequence[Result]) -> Decision:
        return Decision(draft.events if written[0].error is None else (), again_after_s=turn.again_after_s)

    return Decision((update,), then=told)
