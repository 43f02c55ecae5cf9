"""One turn of a cron job: what became of its jobs, the job that is due now, histories, status."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime

from steersman.api.resources import CRON_JOBS, JOBS
from steersman.controllers.cronjob.times import due
from steersman.loop.failures import namespace_terminates
from steersman.loop.spec import Action, Create, Decision, Delete, Emit, Fetch, Result, Snapshot, Update
from steersman.machinery.cron import Schedule, load_zone, parse
from steersman.machinery.errors import AlreadyExists, NotFound
from steersman.machinery.meta import (
    Key,
    Obj,
    annotations_of,
    controller_of,
    dig,
    format_time,
    is_condition_true,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    parse_time,
    uid_of,
)

SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
_SLACK_S = 0.1
"""Wake up a little after the minute, so that it has surely come."""


@dataclass(slots=True)
class _Turn:
    """A cron job and the status it is to have."""

    owner: Obj
    jobs: Sequence[Obj]
    now: datetime
    status: Obj
    events: list[Action] = field(default_factory=list)
    again_after_s: float | None = None

    @property
    def active(self) -> list[Obj]:
        found: list[Obj] = self.status["active"]
        return found

    def drop(self, uid: str) -> None:
        self.status["active"] = [ref for ref in self.active if ref["uid"] != uid]

    def tell(self, kind: str, reason: str, message: str) -> None:
        self.events.append(Emit(self.owner, kind, reason, message))


def reconcile(snapshot: Snapshot, key: Key, now: datetime) -> Decision:
    owner = snapshot.get(CRON_JOBS, *key)
    if owner is None:
        return Decision()
    jobs = snapshot.owned_by(JOBS, uid_of(owner))
    status = dict(owner.get("status") or {})
    turn = _Turn(owner, jobs, now, {**status, "active": list(status.get("active") or ())})
    _look_at(turn)
    known = {uid_of(job) for job in jobs}
    missing = [ref for ref in turn.active if ref["uid"] not in known]
    if not missing:
        return _act(turn)

    def after(results: Sequence[Result]) -> Decision:
        for ref, result in zip(missing, results):
            if isinstance(result.error, NotFound) or (result.obj is not None and uid_of(result.obj) != ref["uid"]):
                turn.tell("Normal", "MissingJob", f"Active job went missing: {ref['name']}")
                turn.drop(ref["uid"])
        return _act(turn)

    return Decision([Fetch(JOBS, namespace_of(owner), ref["name"]) for ref in missing], then=after)


def _ending(job: Obj) -> str:
    """Complete, Failed, or empty while it runs."""
    return next((kind for kind in ("Complete", "Failed") if is_condition_true(job, kind)), "")


def _look_at(turn: _Turn) -> None:
    """Finished jobs leave the active ones; the last success is noted."""
    listed = {ref["uid"] for ref in turn.active}
    for job in turn.jobs:
        ending, uid = _ending(job), uid_of(job)
        if uid not in listed and not ending:
            text = f"Saw a job that the controller did not create or forgot: {name_of(job)}"
            turn.tell("Warning", "UnexpectedJob", text)
        elif uid in listed and ending:
            turn.drop(uid)
            turn.tell("Normal", "SawCompletedJob", f"Saw completed job: {name_of(job)}, condition: {ending}")
        if ending == "Complete":
            ended = dig(job, "status", "completionTime", default="")
            if ended > turn.status.get("lastSuccessfulTime", ""):
                turn.status["lastSuccessfulTime"] = ended


def _act(turn: _Turn) -> Decision:
    owner, now = turn.owner, turn.now
    schedule = None if is_deleting(owner) else _schedule(turn)
    if schedule is None:
        return _close(turn)
    coming = schedule.next(now)
    turn.again_after_s = None if coming is None else (coming - now).total_seconds() + _SLACK_S
    found = due(owner, schedule, now)
    if found.many:
        text = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
        turn.tell("Warning", "TooManyMissedTimes", text)
    if found.at is None or not _may_start(turn, found.at):
        return _close(turn)
    actions: list[Action] = []
    if owner["spec"].get("concurrencyPolicy") == "Replace":
        actions = [_delete(turn.owner, ref["name"], ref["uid"]) for ref in turn.active]
    made = _job(owner, found.at, schedule)
    at = found.at
    return Decision([*actions, Create(JOBS, made)], then=lambda results: _started(turn, made, at, results))


def _schedule(turn: _Turn) -> Schedule | None:
    """None while nothing is to be started: suspended, or not to be understood."""
    spec = turn.owner["spec"]
    text, zone = spec["schedule"], spec.get("timeZone") or ""
    try:
        if zone:
            load_zone(zone)
    except ValueError as error:
        turn.tell("Warning", "UnknownTimeZone", f'invalid timeZone: "{zone}": {error}')
        return None
    if spec.get("suspend"):
        return None
    if "TZ" in text:
        see = "see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
        turn.tell("Warning", "UnsupportedSchedule", f'CRON_TZ or TZ used in schedule "{text}" is not officially supported, {see}')
    try:
        return parse(text, zone)
    except ValueError as error:
        turn.tell("Warning", "UnparseableSchedule", f'unparseable schedule: "{text}" : {error}')
        return None


def _may_start(turn: _Turn, at: datetime) -> bool:
    spec = turn.owner["spec"]
    deadline_s = spec.get("startingDeadlineSeconds")
    if deadline_s is not None and at + timedelta(seconds=deadline_s) < turn.now:
        turn.tell("Warning", "MissSchedule", f"Missed scheduled time to start a job: {format_datetime(at)}")
        return False
    started = parse_time(turn.status.get("lastScheduleTime"))
    if started == at or any(ref["name"] == _name(turn.owner, at) for ref in turn.active):
        return False
    if spec.get("concurrencyPolicy") == "Forbid" and turn.active:
        text = "Not starting job because prior execution is running and concurrency policy is Forbid"
        turn.tell("Normal", "JobAlreadyActive", text)
        return False
    return True


def _name(owner: Obj, at: datetime) -> str:
    return f"{name_of(owner)}-{int(at.timestamp()) // 60}"


def _job(owner: Obj, at: datetime, schedule: Schedule) -> Obj:
    template = owner["spec"]["jobTemplate"]
    local = at.astimezone(schedule.zone).isoformat(timespec="seconds")
    metadata: Obj = {
        "name": _name(owner, at),
        "namespace": namespace_of(owner),
        "annotations": {**annotations_of(template), SCHEDULED: local.replace("+00:00", "Z")},
        "ownerReferences": [owner_reference({"apiVersion": CRON_JOBS.api_version, "kind": CRON_JOBS.kind, **owner})],
    }
    if labels_of(template):
        metadata["labels"] = labels_of(template)
    return {"apiVersion": JOBS.api_version, "kind": JOBS.kind, "metadata": metadata, "spec": template["spec"]}


def _delete(owner: Obj, name: str, uid: str) -> Delete:
    return Delete(JOBS, namespace_of(owner), name, uid, propagation="Background")


def _started(turn: _Turn, made: Obj, at: datetime, results: Sequence[Result]) -> Decision:
    for result in results[:-1]:
        if isinstance(result.action, Delete):
            _note_deletion(turn, result)
    created = results[-1]
    if isinstance(created.error, AlreadyExists):
        # Ours, if the status write after its creation failed.
        fetch = Fetch(JOBS, namespace_of(made), name_of(made))
        return Decision((fetch,), then=lambda found: _enlist(turn, at, found[0].obj))
    if created.error is not None:
        if not namespace_terminates(created.error):
            turn.tell("Warning", "FailedCreate", f"Error creating job: {created.error}")
        return _close(turn)
    turn.tell("Normal", "SuccessfulCreate", f"Created job {name_of(made)}")
    return _enlist(turn, at, created.obj)


def _note_deletion(turn: _Turn, result: Result) -> None:
    assert isinstance(result.action, Delete)
    name = result.action.name
    if result.error is None or isinstance(result.error, NotFound):
        turn.drop(result.action.uid)
        turn.tell("Normal", "SuccessfulDelete", f"Deleted job {name}")
    else:
        turn.tell("Warning", "FailedDelete", f"Deleted job: {result.error}")


def _enlist(turn: _Turn, at: datetime, job: Obj | None) -> Decision:
    if job is not None and (controller_of(job) or {}).get("uid") == uid_of(turn.owner):
        ref = {
            "apiVersion": JOBS.api_version,
            "kind": JOBS.kind,
            "name": name_of(job),
            "namespace": namespace_of(job),
            "uid": uid_of(job),
            "resourceVersion": job["metadata"].get("resourceVersion", ""),
        }
        if not _ending(job):
            turn.drop(ref["uid"])
            turn.active.append(ref)
        turn.status["lastScheduleTime"] = format_time(at)
    return _close(turn)


def _close(turn: _Turn) -> Decision:
    """Events, the status, and histories cut to their limits."""
    actions = list(turn.events)
    status = {key: value for key, value in turn.status.items() if key != "active" or value}
    if status != (turn.owner.get("status") or {}):
        actions.append(Update(CRON_JOBS, {**turn.owner, "status": status}, "status"))
    told = len(actions)
    actions += _surplus(turn, "Complete", "successfulJobsHistoryLimit") + _surplus(turn, "Failed", "failedJobsHistoryLimit")
    if len(actions) == told:
        return Decision(actions, again_after_s=turn.again_after_s)

    def after(results: Sequence[Result]) -> Decision:
        turn.events.clear()
        for result in results[told:]:
            _note_deletion(turn, result)
        return Decision(turn.events, again_after_s=turn.again_after_s)

    return Decision(actions, then=after)


def _surplus(turn: _Turn, ending: str, limit: str) -> list[Delete]:
    """Finished jobs beyond the limit, the oldest start first."""
    kept = turn.owner["spec"].get(limit)
    if kept is None:
        return []
    jobs = [job for job in turn.jobs if _ending(job) == ending and not is_deleting(job)]
    jobs.sort(key=lambda job: (dig(job, "status", "startTime", default="~"), name_of(job)))
    return [_delete(turn.owner, name_of(job), uid_of(job)) for job in jobs[: max(0, len(jobs) - kept)]]
