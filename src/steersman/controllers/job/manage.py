"""Which pods a running job makes or removes now. One turn does one of the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from steersman.controllers.job.pods import (
    FAILURES,
    IGNORED_FAILURES,
    completions_of,
    count_in,
    finished_at,
    index_of,
    is_failed,
    is_indexed,
    is_tracked,
    make,
    replaces_failed_only,
    to_remove,
)
from steersman.controllers.job.policies import outcome
from steersman.controllers.job.tally import Tally
from steersman.controllers.job.verdict import is_suspended
from steersman.loop.pods import phase_of
from steersman.machinery.meta import Obj, dig

BURST = 500
_BACKOFF_S, _BACKOFF_LIMIT_S = 10.0, 600.0


@dataclass(slots=True)
class Changes:
    create: list[Obj] = field(default_factory=list)
    remove: list[Obj] = field(default_factory=list)
    again_after_s: float | None = None


def changes(tally: Tally, now: datetime) -> Changes:
    job, active = tally.job, tally.active
    if is_suspended(job):
        return Changes(remove=to_remove(job, active, len(active), now)[:BURST])
    wanted = _wanted(tally)
    surplus = to_remove(job, active, max(0, len(active) - wanted), now)
    if surplus:
        return Changes(remove=surplus[:BURST])
    held = len(tally.terminating) if replaces_failed_only(job) else 0
    missing = min(wanted - held - len(active), BURST)
    if missing <= 0:
        return Changes()
    if tally.per_index:
        return _per_index(tally, missing, now)
    wait_s = _pause_s(tally, now)
    if wait_s > 0:
        return Changes(again_after_s=wait_s)
    if is_indexed(job):
        return Changes([make(job, index, {}) for index in _pending(tally)[:missing]])
    return Changes([make(job, None, {})] * missing)


def _wanted(tally: Tally) -> int:
    parallelism, completions = int(dig(tally.job, "spec", "parallelism", default=1)), completions_of(tally.job)
    if completions is None:
        return min(parallelism, len(tally.active)) if tally.succeeded else parallelism
    return max(0, min(parallelism, completions - tally.succeeded - len(tally.failed_indexes)))


def _pending(tally: Tally) -> list[int]:
    """Indexes without a pod and without an end."""
    busy = [*tally.active, *(tally.terminating if replaces_failed_only(tally.job) else ())]
    taken = {index_of(tally.job, pod) for pod in busy} | tally.succeeded_indexes | tally.failed_indexes
    return [index for index in range(completions_of(tally.job) or 0) if index not in taken]


def _per_index(tally: Tally, missing: int, now: datetime) -> Changes:
    """Each index waits for its own back-off."""
    found = Changes()
    waits: list[float] = []
    for index in _pending(tally)[:missing]:
        last = tally.last_failed.get(index)
        counts = _counts_after(tally.job, last)
        wait_s = 0.0 if last is None else _left_s(sum(counts.values()), finished_at(last), now)
        if wait_s > 0:
            waits.append(wait_s)
        else:
            found.create.append(make(tally.job, index, counts))
    found.again_after_s = min(waits, default=None)
    return found


def _counts_after(job: Obj, last: Obj | None) -> dict[str, int]:
    """How often the index has failed, with that pod."""
    if last is None:
        return {FAILURES: 0}
    failures, ignored = count_in(last, FAILURES), count_in(last, IGNORED_FAILURES)
    if outcome(job, last).counts:
        failures += 1
    else:
        ignored += 1
    return {FAILURES: failures, **({IGNORED_FAILURES: ignored} if ignored else {})}


def _pause_s(tally: Tally, now: datetime) -> float:
    """By the failures since the last success, among the pods that are still there to tell."""
    ended = [pod for pod in tally.pods if phase_of(pod) == "Succeeded" or _failed_by_itself(tally.job, pod)]
    in_order: Sequence[Obj] = sorted(ended, key=lambda pod: finished_at(pod) or now)
    failures, last = 0, None
    for pod in reversed(in_order):
        if phase_of(pod) == "Succeeded":
            break
        failures, last = failures + 1, last or finished_at(pod)
    return _left_s(failures, last, now)


def _failed_by_itself(job: Obj, pod: Obj) -> bool:
    """Pods that the job removed have lost their finalizer first."""
    return phase_of(pod) == "Failed" or (is_tracked(pod) and is_failed(job, pod))


def _left_s(failures: int, since: datetime | None, now: datetime) -> float:
    if not failures or since is None:
        return 0.0
    # The exponent is bounded, for a thousand failures make a number no float can hold.
    pause_s = min(_BACKOFF_S * 2 ** min(failures - 1, 10), _BACKOFF_LIMIT_S)
    return (since + timedelta(seconds=pause_s) - now).total_seconds()
