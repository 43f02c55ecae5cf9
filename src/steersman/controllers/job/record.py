"""A job's status: outcomes on their way from pod to counter, conditions, and the end.

Pure steps on a draft of the status, between which sync.py writes it and removes finalizers.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from steersman.api.resources import JOBS
from steersman.controllers.job import indexes
from steersman.controllers.job.pods import index_of, is_failed, is_indexed, is_tracked
from steersman.controllers.job.policies import outcome
from steersman.controllers.job.tally import Tally
from steersman.controllers.job.verdict import COMPLETE, CRITERIA_MET, FINAL, Verdict, is_suspended
from steersman.loop.pods import phase_of
from steersman.loop.spec import Action, Emit, Update
from steersman.machinery.meta import Obj, dig, format_time, is_condition_true, is_deleting, set_condition, uid_of

UNCOUNTED_LIMIT = 500
"""Outcomes in one write: the list of uids must not make the object too large."""


@dataclass(slots=True)
class Draft:
    """The status to be. `events` go out with it."""

    job: Obj
    status: Obj
    events: list[Action] = field(default_factory=list)
    done: list[Obj] = field(default_factory=list)
    """Pods whose outcome this status holds, so that their finalizer may go."""

    @property
    def uncounted(self) -> Obj:
        found: Obj = self.status["uncountedTerminatedPods"]
        return found

    def update(self) -> Update | None:
        """None if nothing differs."""
        if self.status == (self.job.get("status") or {}):
            return None
        return Update(JOBS, {**self.job, "status": self.status}, "status")


def begin(job: Obj, now: datetime) -> Draft:
    """A copy of the status, with the start of a job that isn't suspended."""
    status: Obj = dict(job.get("status") or {})
    status["conditions"] = [dict(item) for item in status.get("conditions") or ()]
    kept = status.get("uncountedTerminatedPods") or {}
    status["uncountedTerminatedPods"] = {key: list(kept[key]) for key in ("succeeded", "failed") if kept.get(key)}
    if not status.get("startTime") and not is_suspended(job):
        status["startTime"] = format_time(now)
    return Draft(job, status)


def note_suspension(draft: Draft, now: datetime) -> None:
    """A job that resumes starts anew."""
    status, conditions = draft.status, draft.status["conditions"]
    was = is_condition_true(conditions, "Suspended")
    if is_suspended(draft.job) and not was:
        set_condition(conditions, "Suspended", "True", now, reason="JobSuspended", message="Job suspended")
        draft.events.append(Emit(draft.job, "Normal", "Suspended", "Job suspended"))
        status.pop("startTime", None)
    elif not is_suspended(draft.job) and was:
        set_condition(conditions, "Suspended", "False", now, reason="JobResumed", message="Job resumed")
        draft.events.append(Emit(draft.job, "Normal", "Resumed", "Job resumed"))
        status["startTime"] = format_time(now)


def set_numbers(draft: Draft, *, active: int, ready: int, terminating: int) -> None:
    draft.status.pop("active", None)
    draft.status |= {"ready": min(ready, active), "terminating": terminating, **({"active": active} if active else {})}


def count(draft: Draft, still_tracked: Collection[str]) -> None:
    """What has lost its finalizer becomes a number."""
    for key in ("succeeded", "failed"):
        uids = draft.uncounted.get(key) or []
        left = [uid for uid in uids if uid in still_tracked]
        if len(left) < len(uids):
            draft.status[key] = int(draft.status.get(key) or 0) + len(uids) - len(left)
        draft.uncounted.pop(key, None)
        if left:
            draft.uncounted[key] = left


def collect(draft: Draft, tally: Tally, verdict: Verdict | None, removed: Collection[str]) -> None:
    """Outcomes of tracked pods into the status. `removed`: names of pods this turn took away, whose outcome nobody asks for."""
    job, indexed = draft.job, is_indexed(draft.job)
    new_indexes: set[int] = set()
    waiting = {uid for key in ("succeeded", "failed") for uid in draft.uncounted.get(key) or ()}
    number = len(waiting)
    for pod in sorted(tally.pods, key=lambda item: index_of(job, item) or 0) if indexed else tally.pods:
        if not is_tracked(pod) or uid_of(pod) in removed or not _ended(tally, pod, verdict):
            continue
        index = index_of(job, pod) if indexed else None
        if phase_of(pod) == "Succeeded" and uid_of(pod) not in (draft.uncounted.get("failed") or ()):
            if not indexed and uid_of(pod) not in waiting:
                draft.uncounted.setdefault("succeeded", []).append(uid_of(pod))
                number += 1
            elif index is not None and index not in tally.succeeded_before:
                # The index itself says that it was counted.
                new_indexes.add(index)
                number += 1
        elif uid_of(pod) not in waiting and (not indexed or index is not None) and outcome(job, pod).counts:
            draft.uncounted.setdefault("failed", []).append(uid_of(pod))
            number += 1
        draft.done.append(pod)
        if number >= UNCOUNTED_LIMIT:
            break
    if indexed:
        _note_indexes(draft, tally, tally.succeeded_before | new_indexes)


def _ended(tally: Tally, pod: Obj, verdict: Verdict | None) -> bool:
    """Whether the pod's outcome is to be written down now. When a job has failed, so have all its pods."""
    if phase_of(pod) == "Succeeded":
        return True
    failed = is_failed(tally.job, pod)
    if verdict is not None:
        return failed or verdict.kind != CRITERIA_MET
    if not failed:
        return False
    index = index_of(tally.job, pod)
    kept = tally.last_failed.get(index) if index is not None else None
    return is_deleting(tally.job) or kept is None or uid_of(kept) != uid_of(pod)


def _note_indexes(draft: Draft, tally: Tally, succeeded: Collection[int]) -> None:
    draft.status.pop("succeeded", None)
    draft.status.pop("completedIndexes", None)
    if succeeded:
        draft.status |= {"succeeded": len(succeeded), "completedIndexes": indexes.render(succeeded)}
    if tally.per_index:
        draft.status["failedIndexes"] = indexes.render(tally.failed_indexes)


def announce(draft: Draft, verdict: Verdict, now: datetime) -> None:
    """The first condition of the pair."""
    if not is_condition_true(draft.status["conditions"], verdict.kind):
        set_condition(draft.status["conditions"], verdict.kind, "True", now, reason=verdict.reason, message=verdict.message)


def finish(draft: Draft, verdict: Verdict, now: datetime) -> bool:
    """The final condition, if no pod runs and none is uncounted. Gives whether the job is over now."""
    status = draft.status
    if status.get("active") or status.get("terminating") or draft.uncounted:
        return False
    final = FINAL[verdict.kind]
    if is_condition_true(status["conditions"], final):
        return True
    set_condition(status["conditions"], final, "True", now, reason=verdict.reason, message=verdict.message)
    status["ready"] = 0
    if final == COMPLETE:
        status["completionTime"] = format_time(now)
        draft.events.append(Emit(draft.job, "Normal", "Completed", "Job completed"))
        wanted = dig(draft.job, "spec", "completions")
        if wanted is not None and int(status.get("succeeded") or 0) > wanted:
            text = "Too many succeeded pods running after completion count reached"
            draft.events.append(Emit(draft.job, "Warning", "TooManySucceededPods", text))
    else:
        draft.events.append(Emit(draft.job, "Warning", verdict.reason, verdict.message))
    return True


def close(draft: Draft) -> Draft:
    """Without what Go leaves out when it is empty."""
    if not draft.status["conditions"]:
        del draft.status["conditions"]
    return draft


def tracked_uids(pods: Sequence[Obj]) -> set[str]:
    return {uid_of(pod) for pod in pods if is_tracked(pod)}
