"""The TTL-after-finished controller: finished Jobs go when their ttlSecondsAfterFinished has passed (KEP-592)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from steersman.api.resources import JOBS
from steersman.loop.spec import ControllerSpec, Decision, Delete, Fetch, Result, Snapshot, Watch
from steersman.machinery.meta import Key, Obj, condition, dig, is_deleting, key_of, parse_time, uid_of


def seconds_left(job: Obj, now: datetime) -> float | None:
    """None for one that never goes by itself, or isn't finished."""
    ttl_s = dig(job, "spec", "ttlSecondsAfterFinished")
    if ttl_s is None or is_deleting(job):
        return None
    ends = [found for kind in ("Complete", "Failed") if (found := condition(job, kind)) and found.get("status") == "True"]
    finished = parse_time(ends[0].get("lastTransitionTime")) if ends else None
    return None if finished is None else (finished + timedelta(seconds=ttl_s) - now).total_seconds()


def _reconcile(snapshot: Snapshot, key: Key, now: datetime) -> Decision:
    job = snapshot.get(JOBS, *key)
    left_s = None if job is None else seconds_left(job, now)
    if job is None or left_s is None:
        return Decision()
    if left_s > 0:
        return Decision(again_after_s=left_s)

    def after(results: Sequence[Result]) -> Decision:
        """The cache may be old, and somebody may have given the job more time."""
        fresh = results[0].obj
        left_s = None if fresh is None or uid_of(fresh) != uid_of(job) else seconds_left(fresh, now)
        if left_s is None or left_s > 0:
            return Decision(again_after_s=left_s)
        return Decision((Delete(JOBS, *key, uid_of(job), propagation="Foreground"),))

    return Decision((Fetch(JOBS, *key),), then=after)


SPEC = ControllerSpec(
    name="ttl-after-finished-controller", watches=(Watch(JOBS, keys=lambda obj: (key_of(obj),)),), reconcile=_reconcile
)
