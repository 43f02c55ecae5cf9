"""The cron job controller and the TTL of finished jobs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.controllers.world import START, World

from steersman.api.resources import CRON_JOBS, JOBS
from steersman.controllers import cronjob, ttlafterfinished
from steersman.controllers.cronjob.times import due
from steersman.loop.spec import Action, Create, Delete, Update
from steersman.machinery.cron import parse
from steersman.machinery.errors import Conflict, InternalError
from steersman.machinery.meta import Obj, annotations_of, format_time, labels_of, name_of

MINUTE = timedelta(minutes=1)


def cron_job(schedule: str = "*/5 * * * *", **spec: Any) -> Obj:
    template = {"metadata": {"labels": {"app": "backup"}}, "spec": {"template": {"spec": {}}}}
    defaults = {"concurrencyPolicy": "Allow", "suspend": False, "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1}
    return {"metadata": {"name": "backup"}, "spec": {"schedule": schedule, "jobTemplate": template, **defaults, **spec}}


def world(schedule: str = "*/5 * * * *", **spec: Any) -> World:
    w = World(cronjob.SPEC)
    w.put(CRON_JOBS, cron_job(schedule, **spec))
    w.settle()
    return w


def pass_time(w: World, seconds: float) -> None:
    end = w.now + timedelta(seconds=seconds)
    while w.now < end:
        w.advance(min(60.0, (end - w.now).total_seconds()))
        w.settle()


def names(w: World) -> list[str]:
    return sorted(name_of(job) for job in w.list(JOBS))


def status(w: World) -> Obj:
    found = w.get(CRON_JOBS, "default", "backup")
    assert found is not None
    return found.get("status") or {}


def active(w: World) -> list[str]:
    return [ref["name"] for ref in status(w).get("active", ())]


def finish(w: World, name: str, kind: str = "Complete") -> None:
    moment = format_time(w.now)
    conditions = [{"type": kind, "status": "True", "lastTransitionTime": moment}]
    w.edit(JOBS, name, lambda job: job.update(status={"startTime": moment, "completionTime": moment, "conditions": conditions}))
    w.settle()


def minute(offset: int) -> str:
    """The name of the job scheduled that many minutes after the start."""
    return f"backup-{int(START.timestamp()) // 60 + offset}"


def test_a_job_starts_at_each_scheduled_time_and_is_named_after_it() -> None:
    w = world()
    assert names(w) == []
    pass_time(w, 301)
    (job,) = w.list(JOBS)
    assert name_of(job) == minute(5) and labels_of(job) == {"app": "backup"}
    assert annotations_of(job)["batch.kubernetes.io/cronjob-scheduled-timestamp"] == "2026-01-01T00:05:00Z"
    assert job["metadata"]["ownerReferences"][0]["kind"] == "CronJob"
    assert active(w) == [minute(5)] and status(w)["lastScheduleTime"] == "2026-01-01T00:05:00Z"
    assert w.events("SuccessfulCreate") == [f"Created job {minute(5)}"]
    pass_time(w, 300)
    assert names(w) == [minute(5), minute(10)] == active(w)


def test_the_time_zone_decides_and_is_told() -> None:
    w = world("30 4 * * *", timeZone="Asia/Kolkata")
    w.now = datetime(2026, 1, 1, 22, 59, 30, tzinfo=UTC)
    pass_time(w, 60)
    (job,) = w.list(JOBS)
    assert annotations_of(job)["batch.kubernetes.io/cronjob-scheduled-timestamp"] == "2026-01-02T04:30:00+05:30"


def test_finished_jobs_leave_the_active_ones_and_the_last_success_is_noted() -> None:
    w = world()
    pass_time(w, 301)
    finish(w, minute(5))
    assert active(w) == [] and status(w)["lastSuccessfulTime"] == format_time(w.now)
    assert w.events("SawCompletedJob") == [f"Saw completed job: {minute(5)}, condition: Complete"]


POLICIES = [("Allow", [5, 10], [5, 10]), ("Forbid", [5], [5]), ("Replace", [10], [10])]


@pytest.mark.parametrize(("policy", "jobs", "running"), POLICIES)
def test_concurrency_policies(policy: str, jobs: list[int], running: list[int]) -> None:
    w = world(concurrencyPolicy=policy)
    pass_time(w, 602)
    assert names(w) == [minute(offset) for offset in jobs] and active(w) == [minute(offset) for offset in running]
    assert bool(w.events("JobAlreadyActive")) == (policy == "Forbid")


def test_a_forbidden_time_is_made_up_for_when_the_job_ends() -> None:
    w = world(concurrencyPolicy="Forbid")
    pass_time(w, 660)
    finish(w, minute(5))
    assert names(w) == [minute(5), minute(10)]


def test_after_a_long_pause_only_the_latest_missed_time_runs() -> None:
    w = world()
    w.now = START + timedelta(days=3, seconds=30)
    w.tick()
    w.settle()
    assert names(w) == [minute(3 * 24 * 60)] and w.events("TooManyMissedTimes")


def test_what_is_later_than_the_deadline_is_not_started() -> None:
    w = world("0 * * * *", startingDeadlineSeconds=10)
    w.now = START + timedelta(hours=1, seconds=11)
    w.tick()
    w.settle()
    assert names(w) == []


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"schedule": "nonsense"}, "UnparseableSchedule"),
        ({"timeZone": "Mars/Olympus"}, "UnknownTimeZone"),
        ({"suspend": True}, ""),
    ],
)
def test_nothing_starts_when_suspended_or_not_understood(spec: Obj, reason: str) -> None:
    w = World(cronjob.SPEC)
    w.put(CRON_JOBS, cron_job(**spec))
    w.settle()
    pass_time(w, 900)
    assert names(w) == [] and (not reason or w.events(reason))


def test_histories_are_cut_to_their_limits_oldest_first() -> None:
    w = world(successfulJobsHistoryLimit=2, failedJobsHistoryLimit=1)
    for offset in range(5, 45, 5):
        w.now = START + timedelta(minutes=offset)
        pass_time(w, 30)
        finish(w, minute(offset), "Failed" if offset in (10, 20) else "Complete")
    assert names(w) == [minute(20), minute(35), minute(40)]
    assert all(action.propagation == "Background" for action in w.writes if isinstance(action, Delete))


def test_a_job_that_vanished_is_no_longer_active() -> None:
    w = world()
    pass_time(w, 301)
    w.remove(JOBS, minute(5))
    w.settle()
    assert active(w) == [] and w.events("MissingJob") == [f"Active job went missing: {minute(5)}"]


def test_a_job_made_before_the_status_write_failed_is_found_again() -> None:
    w = world()
    lost = [True]

    def fault(action: Action) -> Exception | None:
        return Conflict.of("batch", "cronjobs", "backup") if isinstance(action, Update) and lost and lost.pop() else None

    w.fault = fault
    pass_time(w, 310)
    assert names(w) == [minute(5)] == active(w)


def test_a_failed_creation_is_told_and_tried_again() -> None:
    w = world()
    w.fault = lambda action: InternalError.of("no") if isinstance(action, Create) else None
    pass_time(w, 301)
    assert w.events("FailedCreate")[0].startswith("Error creating job: ")
    w.fault = lambda _: None
    pass_time(w, 2)
    assert names(w) == [minute(5)]


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 20_000), st.sampled_from(["* * * * *", "*/7 * * * *", "5 3,9 * * *", "0 0 1 * 1"]))
def test_the_time_that_is_due_is_the_latest_that_has_come(began: int, waited: int, text: str) -> None:
    schedule, created = parse(text), START + began * MINUTE
    now = created + waited * MINUTE + timedelta(seconds=20)
    expected, moment = None, schedule.next(created)
    while moment is not None and moment <= now:
        expected, moment = moment, schedule.next(moment)
    found = due({"metadata": {"creationTimestamp": format_time(created)}, "spec": {}}, schedule, now)
    assert found.at == expected


def test_finished_jobs_go_when_their_time_has_passed() -> None:
    w = World(ttlafterfinished.SPEC)
    for name, ttl_s in (("soon", 60), ("later", 3600), ("never", None)):
        w.put(JOBS, {"metadata": {"name": name}, "spec": {"ttlSecondsAfterFinished": ttl_s}})
        finish(w, name, "Failed" if name == "soon" else "Complete")
    w.put(JOBS, {"metadata": {"name": "running"}, "spec": {"ttlSecondsAfterFinished": 0}})
    pass_time(w, 61)
    assert [action.name for action in w.writes if isinstance(action, Delete) and action.propagation == "Foreground"] == ["soon"]
    pass_time(w, 3600)
    assert w.get(JOBS, "default", "never") and w.get(JOBS, "default", "running")
    assert [action.name for action in w.writes if isinstance(action, Delete)][-1] == "later"
