"""Whether a job is over: by a rule, a limit, a deadline or enough successes. The first condition of a pair says so at once
(FailureTarget, SuccessCriteriaMet); the final one (Failed, Complete) follows when no pod is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from steersman.controllers.job.pods import completions_of, is_failed, is_indexed, is_tracked
from steersman.controllers.job.policies import outcome, succeeded_by_policy
from steersman.controllers.job.tally import Tally
from steersman.loop.pods import phase_of
from steersman.machinery.meta import Obj, condition, dig, is_condition_true, parse_time

FAILURE_TARGET, FAILED = "FailureTarget", "Failed"
CRITERIA_MET, COMPLETE = "SuccessCriteriaMet", "Complete"
FINAL = {FAILURE_TARGET: FAILED, CRITERIA_MET: COMPLETE}


@dataclass(frozen=True, slots=True)
class Verdict:
    kind: str
    reason: str
    message: str


REACHED = Verdict(CRITERIA_MET, "CompletionsReached", "Reached expected number of succeeded pods")


def is_finished(job: Obj) -> bool:
    return is_condition_true(job, COMPLETE) or is_condition_true(job, FAILED)


def is_suspended(job: Obj) -> bool:
    return bool(dig(job, "spec", "suspend"))


def judge(tally: Tally, now: datetime) -> Verdict | None:
    """None: it goes on. Success by number of completions is seen later, when the pods have been dealt with."""
    job, spec = tally.job, tally.job["spec"]
    for kind in (FAILURE_TARGET, CRITERIA_MET):
        if is_condition_true(job, kind):
            given = condition(job, kind) or {}
            return Verdict(kind, given.get("reason", ""), given.get("message", ""))
    for pod in tally.pods:
        if is_tracked(pod) and is_failed(job, pod):
            found = outcome(job, pod)
            if found.action == "FailJob":
                return Verdict(FAILURE_TARGET, "PodFailurePolicy", found.message)
    if tally.failed > spec.get("backoffLimit", 6) or _restarts_exhausted(job, tally.pods):
        return Verdict(FAILURE_TARGET, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    left_s = seconds_left(job, now)
    if left_s is not None and left_s <= 0:
        return Verdict(FAILURE_TARGET, "DeadlineExceeded", "Job was active longer than specified deadline")
    return _by_index(tally) if is_indexed(job) else None


def _by_index(tally: Tally) -> Verdict | None:
    job, completions = tally.job, completions_of(tally.job) or 0
    if tally.per_index and tally.failed_indexes:
        most = dig(job, "spec", "maxFailedIndexes")
        if most is not None and len(tally.failed_indexes) > most:
            text = "Job has exceeded the specified maximal number of failed indexes"
            return Verdict(FAILURE_TARGET, "MaxFailedIndexesExceeded", text)
        if len(tally.failed_indexes) + len(tally.succeeded_indexes) >= completions:
            return Verdict(FAILURE_TARGET, "FailedIndexes", "Job has failed indexes")
    met = succeeded_by_policy(job, tally.succeeded_indexes, completions)
    return Verdict(CRITERIA_MET, "SuccessPolicy", met) if met else None


def is_complete(tally: Tally, active: int) -> bool:
    """Without completions one success is enough, once the others have ended as well."""
    wanted = completions_of(tally.job)
    done = tally.succeeded > 0 if wanted is None else tally.succeeded >= wanted
    return done and not active


def seconds_left(job: Obj, now: datetime) -> float | None:
    """Until activeDeadlineSeconds; None if no clock is running."""
    limit, started = dig(job, "spec", "activeDeadlineSeconds"), parse_time(dig(job, "status", "startTime"))
    if limit is None or started is None or is_suspended(job):
        return None
    return (started + timedelta(seconds=limit) - now).total_seconds()


def _restarts_exhausted(job: Obj, pods: Sequence[Obj]) -> bool:
    """With OnFailure the kubelet restarts containers, and the restarts are what is limited."""
    if dig(job, "spec", "template", "spec", "restartPolicy") != "OnFailure":
        return False
    limit, restarts = int(dig(job, "spec", "backoffLimit", default=6)), 0
    for pod in pods:
        if phase_of(pod) in ("Pending", "Running"):
            for key in ("initContainerStatuses", "containerStatuses"):
                restarts += sum(item.get("restartCount", 0) for item in dig(pod, "status", key, default=()))
    return restarts > 0 if limit == 0 else restarts >= limit
