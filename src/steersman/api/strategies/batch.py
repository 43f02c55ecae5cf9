"""Strategies of batch/v1."""

from __future__ import annotations

from steersman.api.kinds import Strategy
from steersman.api.strategies.common import create_with_status, only_status, update_with_status
from steersman.api.strategies.later import Later
from steersman.api.strategies.pod_warnings import template_warnings
from steersman.api.validation import job, workloads
from steersman.machinery.meta import Obj, labels_of, metadata, uid_of

_UNTRACKABLE = (
    "In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be "
    "able to track completedIndexes when a big number of indexes fail"
)
_DELETE_WARNING = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set "
    "propagationPolicy=Orphan to suppress this warning"
)


def _create_job(obj: Obj) -> None:
    create_with_status(obj)
    spec = obj.setdefault("spec", {})
    if spec.get("manualSelector"):
        return
    found = _template_labels(spec)
    for key, value in job.generated_labels(obj).items():
        # What is there already stays, and is refused by validation if it is something else.
        found.setdefault(key, value)
    selector = spec.setdefault("selector", {})
    selector.setdefault("matchLabels", {}).setdefault(job.UID, uid_of(obj))
    if not labels_of(obj):
        metadata(obj)["labels"] = dict(found)


def _template_labels(spec: Obj) -> dict[str, str]:
    meta = metadata(spec.setdefault("template", {}))
    if not meta.get("labels"):
        meta["labels"] = {}
    found: dict[str, str] = meta["labels"]
    return found


def _job_spec_warnings(path: str, spec: Obj, before: Obj | None) -> list[str]:
    found = []
    many = (spec.get("completions") or 0) > 100_000 and (spec.get("parallelism") or 0) > 10_000
    if spec.get("completionMode") == job.INDEXED and many:
        found.append(f"{path}: {_UNTRACKABLE}")
    old = None if before is None else before.get("template") or {}
    return found + template_warnings(f"{path}.template", spec.get("template") or {}, old)


def _job_warnings(new: Obj, old: Obj | None) -> list[str]:
    named = workloads.name_warnings(new) if old is None else []
    return named + _job_spec_warnings("spec", new.get("spec") or {}, None if old is None else old.get("spec") or {})


def _job_of(obj: Obj) -> Obj:
    found: Obj = ((obj.get("spec") or {}).get("jobTemplate") or {}).get("spec") or {}
    return found


def _cron_job_warnings(new: Obj, old: Obj | None) -> list[str]:
    named = workloads.name_warnings(new) if old is None else []
    return named + _job_spec_warnings("spec.jobTemplate.spec", _job_of(new), None if old is None else _job_of(old))


JOB = Strategy(
    prepare_create=_create_job,
    prepare_update=update_with_status,
    prepare_status_update=only_status,
    validate_create=job.validate_job,
    validate_update=job.validate_job_update,
    validate_status_update=Later("job_status", "validate_job_status"),
    warnings=_job_warnings,
    default_orphan=True,
    delete_warning=_DELETE_WARNING,
)
CRON_JOB = Strategy(
    prepare_create=create_with_status,
    prepare_update=update_with_status,
    prepare_status_update=only_status,
    validate_create=Later("cronjob", "validate_cron_job"),
    validate_update=Later("cronjob", "validate_cron_job_update"),
    warnings=_cron_job_warnings,
)
