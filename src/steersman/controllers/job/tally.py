"""What is known of a job at the start of a turn: its pods sorted by what they are, and outcomes that were or will be counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from steersman.controllers.job import indexes
from steersman.controllers.job.pods import (
    FAILURES,
    IGNORED_FAILURES,
    completions_of,
    count_in,
    index_of,
    is_failed,
    is_indexed,
    is_tracked,
)
from steersman.controllers.job.policies import outcome
from steersman.loop.pods import is_active, is_terminating, phase_of
from steersman.machinery.meta import Obj, dig, uid_of


@dataclass(slots=True)
class Tally:
    """`succeeded` and `failed` are totals: counted, waiting to be counted, and just seen."""

    job: Obj
    pods: Sequence[Obj]
    active: list[Obj] = field(default_factory=list)
    terminating: list[Obj] = field(default_factory=list)
    succeeded: int = 0
    failed: int = 0
    succeeded_before: set[int] = field(default_factory=set)
    succeeded_indexes: set[int] = field(default_factory=set)
    failed_indexes: set[int] = field(default_factory=set)
    last_failed: dict[int, Obj] = field(default_factory=dict)
    """With backoffLimitPerIndex: the newest failed pod of each index that has no successor yet. It stays tracked, because it
    remembers how often the index has failed."""

    @property
    def per_index(self) -> bool:
        return dig(self.job, "spec", "backoffLimitPerIndex") is not None


def take(job: Obj, pods: Sequence[Obj]) -> Tally:
    tally = Tally(job, pods)
    tally.active = [pod for pod in pods if is_active(pod)]
    tally.terminating = [pod for pod in pods if is_terminating(pod)]
    status = job.get("status") or {}
    uncounted = status.get("uncountedTerminatedPods") or {}
    waiting = {*(uncounted.get("succeeded") or ()), *(uncounted.get("failed") or ())}
    indexed, completions = is_indexed(job), completions_of(job) or 0
    fresh = [pod for pod in pods if is_tracked(pod) and uid_of(pod) not in waiting]
    if indexed:
        fresh = [pod for pod in fresh if index_of(job, pod) is not None]
    failed = [pod for pod in fresh if is_failed(job, pod) and outcome(job, pod).counts]
    tally.failed = int(status.get("failed") or 0) + len(uncounted.get("failed") or ()) + len(failed)
    if not indexed:
        new = sum(phase_of(pod) == "Succeeded" for pod in fresh)
        tally.succeeded = int(status.get("succeeded") or 0) + len(uncounted.get("succeeded") or ()) + new
        return tally
    tally.succeeded_before = indexes.parse(status.get("completedIndexes") or "", completions)
    tally.succeeded_indexes = set(tally.succeeded_before)
    for pod in pods:
        index = index_of(job, pod)
        if index is not None and is_tracked(pod) and phase_of(pod) == "Succeeded":
            tally.succeeded_indexes.add(index)
    tally.succeeded = len(tally.succeeded_indexes)
    if tally.per_index:
        _per_index(tally, completions)
    return tally


def _per_index(tally: Tally, completions: int) -> None:
    job = tally.job
    tally.failed_indexes = indexes.parse(dig(job, "status", "failedIndexes", default=""), completions)
    limit = int(job["spec"]["backoffLimitPerIndex"])
    newest: dict[int, tuple[int, Obj]] = {}
    for pod in tally.pods:
        index = index_of(job, pod)
        if index is None or index in tally.succeeded_indexes or not is_tracked(pod):
            continue
        failed = is_failed(job, pod)
        if failed:
            verdict = outcome(job, pod)
            exhausted = verdict.counts and count_in(pod, FAILURES) >= limit
            if exhausted or verdict.action == "FailIndex":
                tally.failed_indexes.add(index)
        # A successor of a failed pod has one failure more; of equal ones the failed pod is the one that was.
        rank = 2 * (count_in(pod, FAILURES) + count_in(pod, IGNORED_FAILURES)) + failed
        if index not in newest or rank > newest[index][0]:
            newest[index] = (rank, pod)
    tally.last_failed = {
        index: pod for index, (_, pod) in newest.items() if is_failed(job, pod) and index not in tally.failed_indexes
    }
