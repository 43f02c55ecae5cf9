"""The job controller: pods until enough of them have succeeded, each counted exactly once.

A pod carries a finalizer until its outcome is in the job's status: first its uid goes into status.uncountedTerminatedPods,
then the finalizer goes, then the uid becomes a count. So no crash between two writes loses a pod or counts it twice (KEP-2307).

tally.py reads pods and status; verdict.py says whether the job is over, policies.py by which rules; manage.py which pods to make
and remove; record.py writes it down; sync.py is the order of these. Source: upstream pkg/controller/job.
"""

from __future__ import annotations

from collections.abc import Iterable

from steersman.api.resources import JOBS, PODS
from steersman.controllers.job.pods import is_tracked
from steersman.controllers.job.sync import ORPHANED, TRACKED, reconcile
from steersman.loop import claims
from steersman.loop.spec import ControllerSpec, Snapshot, Watch
from steersman.machinery.meta import Key, Obj, controller_of, key_of, namespace_of

_OWNERS = claims.owner_keys(JOBS, claims.matches_label_selector)


def _jobs_of(pod: Obj, snapshot: Snapshot) -> Iterable[Key]:
    keys = list(_OWNERS(pod, snapshot))
    return [*keys, (namespace_of(pod), "")] if _orphaned(pod) else keys


def _tracked(pod: Obj) -> Iterable[str]:
    ref = controller_of(pod)
    owned = ref is not None and ref.get("kind") == JOBS.kind and is_tracked(pod)
    return (f"{namespace_of(pod)}/{ref['name']}",) if owned and ref is not None else ()


def _orphaned(pod: Obj) -> Iterable[str]:
    return (namespace_of(pod),) if controller_of(pod) is None and is_tracked(pod) else ()


SPEC = ControllerSpec(
    name="job-controller",
    watches=(
        Watch(JOBS, keys=lambda obj: (key_of(obj),)),
        Watch(PODS, keys_with=_jobs_of, indexes={**claims.ORPHANS, TRACKED: _tracked, ORPHANED: _orphaned}),
    ),
    reconcile=reconcile,
)
