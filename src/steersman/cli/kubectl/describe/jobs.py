"""Job and CronJob."""

from __future__ import annotations

from steersman.cli.kubectl.describe.golang import rfc1123, verb_v
from steersman.cli.kubectl.describe.subject import (
    Subject,
    boolean,
    head,
    or_unset,
    write_annotations,
    write_controller,
    write_labels,
)
from steersman.cli.kubectl.describe.templates import write_template
from steersman.cli.kubectl.describe.writer import Writer
from steersman.machinery import labels
from steersman.machinery.duration import human
from steersman.machinery.meta import Obj, annotations_of, labels_of, name_of, namespace_of, parse_time

_MOST_INDEXES = 50


async def describe_job(subject: Subject, w: Writer) -> None:
    job, spec, status = subject.obj, subject.spec, subject.status
    w.field("Name", name_of(job))
    w.field("Namespace", namespace_of(job))
    w.field("Selector", _selector(spec.get("selector")))
    write_labels(w, "Labels", labels_of(job))
    write_annotations(w, annotations_of(job))
    write_controller(w, job)
    if spec.get("parallelism") is not None:
        w.field("Parallelism", spec["parallelism"])
    w.field("Completions", or_unset(spec.get("completions")))
    for title, key in (
        ("Completion Mode", "completionMode"),
        ("Suspend", "suspend"),
        ("Backoff Limit", "backoffLimit"),
        ("TTL Seconds After Finished", "ttlSecondsAfterFinished"),
    ):
        if spec.get(key) is not None:
            w.field(title, verb_v(spec[key]))
    _write_times(w, status)
    if spec.get("activeDeadlineSeconds") is not None:
        w.field("Active Deadline Seconds", f"{spec['activeDeadlineSeconds']}s")
    ready = f" ({status['ready']} Ready)" if status.get("ready") is not None else ""
    counts = (
        f"{status.get('active', 0)} Active{ready} / {status.get('succeeded', 0)} Succeeded / {status.get('failed', 0)} Failed"
    )
    w.field("Pods Statuses", counts)
    if spec.get("completionMode") == "Indexed":
        w.field("Completed Indexes", capped_indexes(status.get("completedIndexes") or ""))
    write_template(w, spec.get("template") or {})
    await subject.write_events(w)


def _write_times(w: Writer, status: Obj) -> None:
    if status.get("startTime"):
        w.field("Start Time", rfc1123(status["startTime"]))
    if status.get("completionTime"):
        w.field("Completed At", rfc1123(status["completionTime"]))
    start, end = parse_time(status.get("startTime")), parse_time(status.get("completionTime"))
    if start and end:
        w.field("Duration", human((end - start).total_seconds()))


def _selector(selector: Obj | None) -> str:
    try:
        return str(labels.from_label_selector(selector))
    except ValueError as error:
        return f"Failed to get selector: {error}"


def capped_indexes(indexes: str) -> str:
    """`0-3,7`, cut at the first comma after so many characters."""
    comma = indexes.find(",", _MOST_INDEXES)
    return f"{indexes[: comma + 1]}..." if comma >= 0 else indexes or "<none>"


async def describe_cron_job(subject: Subject, w: Writer) -> None:
    spec, status = subject.spec, subject.status
    head(w, subject.obj)
    w.field("Schedule", spec.get("schedule", ""))
    w.field("Concurrency Policy", spec.get("concurrencyPolicy", ""))
    w.field("Suspend", boolean(spec.get("suspend")))
    w.field("Successful Job History Limit", or_unset(spec.get("successfulJobsHistoryLimit")))
    w.field("Failed Job History Limit", or_unset(spec.get("failedJobsHistoryLimit")))
    deadline = spec.get("startingDeadlineSeconds")
    w.field("Starting Deadline Seconds", "<unset>" if deadline is None else f"{deadline}s")
    _write_job_template(w, (spec.get("jobTemplate") or {}).get("spec") or {})
    last = status.get("lastScheduleTime")
    w.field("Last Schedule Time", rfc1123(last) if last else "<unset>")
    w.field("Active Jobs", ", ".join(job.get("name", "") for job in status.get("active") or ()) or "<none>")
    await subject.write_events(w)


def _write_job_template(w: Writer, spec: Obj) -> None:
    w.field("Selector", _selector(spec["selector"]) if spec.get("selector") is not None else "<unset>")
    w.field("Parallelism", or_unset(spec.get("parallelism")))
    w.field("Completions", or_unset(spec.get("completions")))
    if spec.get("activeDeadlineSeconds") is not None:
        w.field("Active Deadline Seconds", f"{spec['activeDeadlineSeconds']}s")
    write_template(w, spec.get("template") or {})


DESCRIBERS = {"Job": describe_job, "CronJob": describe_cron_job}
