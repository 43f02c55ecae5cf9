"""Rows of batch/v1."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from steersman.api.kinds import TableSpec
from steersman.api.printers.cells import (
    AGE,
    CONTAINERS,
    IMAGES,
    NAME,
    SELECTOR,
    age,
    col,
    containers,
    count,
    flag,
    label_selector,
    since,
    spec,
    text,
)
from steersman.machinery import duration
from steersman.machinery.meta import Obj, dig, is_condition_true, is_deleting, name_of, parse_time


def _job_status(job: Obj) -> str:
    if is_condition_true(job, "Complete"):
        return "Complete"
    if is_condition_true(job, "Failed"):
        return "Failed"
    if is_deleting(job):
        return "Terminating"
    for kind in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if is_condition_true(job, kind):
            return kind
    return "Running"


def _completions(job: Obj) -> str:
    wanted = job.get("spec") or {}
    succeeded = count(dig(job, "status", "succeeded"))
    if wanted.get("completions") is not None:
        return f"{succeeded}/{wanted['completions']}"
    parallelism = count(wanted.get("parallelism"))
    return f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"


def _took(job: Obj, now: datetime) -> str:
    started = parse_time(dig(job, "status", "startTime"))
    if started is None:
        return ""
    ended = parse_time(dig(job, "status", "completionTime")) or now
    return duration.human((ended - started).total_seconds())


def _job(obj: Obj, now: datetime) -> list[Any]:
    wanted = obj.get("spec") or {}
    return [
        name_of(obj),
        _job_status(obj),
        _completions(obj),
        _took(obj, now),
        age(obj, now),
        *containers(dig(wanted, "template", "spec")),
        label_selector(wanted.get("selector")),
    ]


def _cron_job(obj: Obj, now: datetime) -> list[Any]:
    wanted, status = obj.get("spec") or {}, obj.get("status") or {}
    template = dig(wanted, "jobTemplate", "spec", default={})
    return [
        name_of(obj),
        str(wanted.get("schedule") or ""),
        text(wanted.get("timeZone")),
        flag(wanted.get("suspend")),
        len(status.get("active") or ()),
        since(status.get("lastScheduleTime"), now, missing="<none>"),
        age(obj, now),
        *containers(dig(template, "template", "spec")),
        label_selector(template.get("selector")),
    ]


TABLES: dict[str, TableSpec] = {
    "Job": spec(_job, NAME, col("Status"), col("Completions"), col("Duration"), AGE, CONTAINERS, IMAGES, SELECTOR),
    "CronJob": spec(
        _cron_job,
        NAME,
        col("Schedule"),
        col("Timezone"),
        col("Suspend", "boolean"),
        col("Active", "integer"),
        col("Last Schedule"),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
}
