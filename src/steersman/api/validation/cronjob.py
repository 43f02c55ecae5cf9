"""Validation of cron jobs."""

from __future__ import annotations

from steersman.api.validation.common import Errors, not_negatives, one_of
from steersman.api.validation.job import job_spec
from steersman.machinery import cron
from steersman.machinery.fielderrors import FieldError, invalid, not_supported, required
from steersman.machinery.meta import Obj, name_of

_NAME_LIMIT = 52
"""Jobs are named after their cron job, with eleven more characters."""
_POLICIES = ("Allow", "Forbid", "Replace")


def validate_cron_job(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    _spec(errors, obj.get("spec") or {}, None)
    name = name_of(obj)
    if len(name) > _NAME_LIMIT:
        errors.append(invalid("metadata.name", name, f"must be no more than {_NAME_LIMIT} characters"))
    return errors


def validate_cron_job_update(new: Obj, old: Obj) -> list[FieldError]:
    errors: Errors = []
    _spec(errors, new.get("spec") or {}, old.get("spec") or {})
    return errors


def _spec(errors: Errors, spec: Obj, stored: Obj | None) -> None:
    schedule, zone = spec.get("schedule") or "", spec.get("timeZone")
    if not schedule:
        errors.append(required("spec.schedule"))
    else:
        _schedule(errors, schedule, zone, stored is not None and "TZ" in (stored.get("schedule") or ""))
    not_negatives(errors, "spec", spec, ("startingDeadlineSeconds",))
    if zone is not None and (stored is None or stored.get("timeZone") != zone):
        _time_zone(errors, zone)
    one_of(errors, "spec.concurrencyPolicy", spec.get("concurrencyPolicy"), _POLICIES, optional=False)
    _job_template(errors, (spec.get("jobTemplate") or {}).get("spec") or {})
    not_negatives(errors, "spec", spec, ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"))


def _schedule(errors: Errors, schedule: str, zone: str | None, zone_allowed: bool) -> None:
    try:
        cron.parse(schedule)
    except ValueError as error:
        errors.append(invalid("spec.schedule", schedule, str(error)))
    if "TZ" not in schedule:
        return
    if not zone_allowed:
        text = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        errors.append(invalid("spec.schedule", schedule, text))
    elif zone is not None:
        errors.append(invalid("spec.schedule", schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule"))


def _time_zone(errors: Errors, zone: str) -> None:
    path = "spec.timeZone"
    if not zone:
        errors.append(invalid(path, zone, "timeZone must be nil or non-empty string"))
        return
    if zone.lower() == "local":
        text = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        errors.append(invalid(path, zone, text))
        return
    try:
        cron.load_zone(zone)
    except ValueError as error:
        errors.append(invalid(path, zone, str(error)))


def _job_template(errors: Errors, spec: Obj) -> None:
    path = "spec.jobTemplate.spec"
    job_spec(errors, path, spec)
    if spec.get("selector") is not None:
        errors.append(invalid(f"{path}.selector", spec["selector"], "`selector` will be auto-generated"))
    if spec.get("manualSelector"):
        errors.append(not_supported(f"{path}.manualSelector", True, ("nil", "false")))
