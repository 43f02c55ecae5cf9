"""Validation of jobs' status. Most rules bind only the update that changes the fields they are about, so old states may stay."""

from __future__ import annotations

from steersman.api.equality import same
from steersman.api.validation.common import Errors, not_negatives
from steersman.api.validation.job import INDEXED
from steersman.api.validation.job_policies import parse_indexes, without_value
from steersman.machinery.fielderrors import FieldError, duplicate, invalid, required
from steersman.machinery.meta import Obj, is_condition_true, parse_time

_COUNTERS = ("active", "succeeded", "failed", "ready", "terminating")
_PAIRS = (
    ("Complete", "Failed"), ("Complete", "FailureTarget"), ("SuccessCriteriaMet", "Failed"),
    ("SuccessCriteriaMet", "FailureTarget"),
)  # fmt: skip
_NEEDED = (("Failed", "FailureTarget"), ("Complete", "SuccessCriteriaMet"))
_TERMINAL = ("Complete", "Failed", "FailureTarget")


class _Change:
    """An update of a job's status: both states, and what differs between them."""

    def __init__(self, new: Obj, old: Obj) -> None:
        self.new, self.old = new, old
        self.spec: Obj = new.get("spec") or {}
        self.status: Obj = new.get("status") or {}
        self.stored: Obj = old.get("status") or {}

    def has(self, kind: str) -> bool:
        return is_condition_true(self.new, kind)

    def had(self, kind: str) -> bool:
        return is_condition_true(self.old, kind)

    def flipped(self, *kinds: str) -> bool:
        return any(self.has(kind) != self.had(kind) for kind in kinds)

    def differs(self, *keys: str) -> bool:
        return any((self.status.get(key) or 0) != (self.stored.get(key) or 0) for key in keys)

    @property
    def finished(self) -> bool:
        return self.has("Complete") or self.has("Failed")


def validate_job_status(new: Obj, old: Obj) -> list[FieldError]:
    errors: Errors = []
    change = _Change(new, old)
    not_negatives(errors, "status", change.status, _COUNTERS)
    _uncounted(errors, change.status.get("uncountedTerminatedPods") or {})
    _conditions(errors, change)
    _times(errors, change)
    _finished(errors, change)
    _counters(errors, change)
    _indexes(errors, change)
    return errors


def _uncounted(errors: Errors, uncounted: Obj) -> None:
    seen: set[str] = set()
    for kind in ("succeeded", "failed"):
        for index, uid in enumerate(uncounted.get(kind) or ()):
            path = f"status.uncountedTerminatedPods.{kind}[{index}]"
            if not uid:
                errors.append(invalid(path, uid, "must not be empty"))
            elif uid in seen:
                errors.append(duplicate(path, uid))
            seen.add(uid)


def _conditions(errors: Errors, change: _Change) -> None:
    path = "status.conditions"
    for one, other in _PAIRS:
        if change.flipped(one, other) and change.has(one) and change.has(other):
            errors.append(without_value(path, f"cannot set {one}=True and {other}=true conditions"))
    for result, before in _NEEDED:
        if change.flipped(result, before) and change.has(result) and not change.has(before):
            errors.append(without_value(path, f"cannot set {result}=True condition without the {before}=true condition"))
    for kind in _TERMINAL:
        if change.had(kind) and not change.has(kind):
            errors.append(without_value(path, f"cannot disable the terminal {kind}=True condition"))


def _times(errors: Errors, change: _Change) -> None:
    path, complete = "status.completionTime", change.has("Complete")
    end, start = change.status.get("completionTime"), change.status.get("startTime")
    if change.flipped("Complete") or change.differs("completionTime"):
        if end and not complete:
            errors.append(invalid(path, end, "cannot set completionTime when there is no Complete=True condition"))
        elif complete and not end:
            errors.append(required(path, "completionTime is required for Complete jobs"))
    if change.differs("startTime", "completionTime") and end and start:
        ended, started = parse_time(end), parse_time(start)
        if ended is not None and started is not None and ended < started:
            errors.append(invalid(path, end, "must be equal to or after `startTime`"))
    before = change.stored.get("completionTime")
    if before and end != before:
        errors.append(invalid(path, end, "field is immutable"))
    # A job that resumes starts anew: only then, or while it is suspended, may its start change.
    running = not change.spec.get("suspend") and not change.had("Suspended")
    if change.stored.get("startTime") and change.differs("startTime") and running:
        errors.append(invalid("status.startTime", start, "field is immutable for unsuspended job once set"))


def _finished(errors: Errors, change: _Change) -> None:
    if not change.finished:
        return
    ended, status = change.flipped("Complete", "Failed"), change.status
    never_ran = change.spec.get("suspend") and change.spec.get("completions") == 0
    if (ended or change.differs("startTime")) and not status.get("startTime") and not never_ran:
        errors.append(required("status.startTime", "startTime is required for finished job"))
    for key in ("active", "terminating"):
        if (ended or change.differs(key)) and (status.get(key) or 0) > 0:
            errors.append(invalid(f"status.{key}", status[key], f"{key}>0 is invalid for finished job"))
    uncounted = status.get("uncountedTerminatedPods") or {}
    changed = ended or not same(uncounted, change.stored.get("uncountedTerminatedPods") or {})
    if changed and (uncounted.get("succeeded") or uncounted.get("failed")):
        errors.append(invalid("status.uncountedTerminatedPods", uncounted, "must be empty for finished job"))


def _counters(errors: Errors, change: _Change) -> None:
    status, stored, spec = change.status, change.stored, change.spec
    ready = status.get("ready")
    if ready is not None and change.differs("ready", "active") and ready > (status.get("active") or 0):
        errors.append(invalid("status.ready", ready, "cannot set more ready pods than active"))
    elastic = spec.get("completionMode") == INDEXED and spec.get("completions") == spec.get("parallelism")
    for key in ("failed", "succeeded"):
        if (status.get(key) or 0) < (stored.get(key) or 0) and not (key == "succeeded" and elastic):
            errors.append(invalid(f"status.{key}", status.get(key) or 0, f"cannot decrease the {key} counter"))


def _indexes(errors: Errors, change: _Change) -> None:
    completed, failed = change.status.get("completedIndexes") or "", change.status.get("failedIndexes")
    new_completed, new_failed = change.differs("completedIndexes"), change.differs("failedIndexes")
    if new_completed and completed and change.spec.get("completionMode") != INDEXED:
        text = "cannot set non-empty completedIndexes when non-indexed completion mode"
        errors.append(invalid("status.completedIndexes", completed, text))
        return
    if new_failed and failed is not None and change.spec.get("backoffLimitPerIndex") is None:
        text = "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
        errors.append(invalid("status.failedIndexes", failed, text))
        return
    done = _parsed(errors if new_completed else [], "completedIndexes", completed, change.spec)
    lost = _parsed(errors if new_failed else [], "failedIndexes", failed or "", change.spec)
    if (new_completed or new_failed) and done is not None and lost is not None:
        common = _overlap(done, lost)
        if common is not None:
            text = f"failedIndexes and completedIndexes overlap at index: {common}"
            errors.append(invalid("status.failedIndexes", failed, text))


def _parsed(errors: Errors, key: str, text: str, spec: Obj) -> list[range] | None:
    try:
        return list(parse_indexes(text, spec.get("completions") or 0))
    except ValueError as error:
        errors.append(invalid(f"status.{key}", text, f"error parsing {key}: {error}"))
        return None


def _overlap(some: list[range], others: list[range]) -> int | None:
    """The first index in both; intervals ascend."""
    left, right = iter(some), iter(others)
    a, b = next(left, None), next(right, None)
    while a is not None and b is not None:
        if a[-1] < b[0]:
            a = next(left, None)
        elif b[-1] < a[0]:
            b = next(right, None)
        else:
            return max(a[0], b[0])
    return None
