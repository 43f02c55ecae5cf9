"""A job's pods: made with finalizer and index, told apart, and the order in which surplus ones go."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from datetime import datetime, timedelta

from steersman.api.resources import JOBS, PODS
from steersman.loop.pods import deletion_order, phase_of, pod_from_template
from steersman.loop.spec import Patch
from steersman.machinery.meta import Obj, annotations_of, dig, is_deleting, labels_of, name_of, namespace_of, parse_time, uid_of

FINALIZER = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"
FAILURES = "batch.kubernetes.io/job-index-failure-count"
IGNORED_FAILURES = "batch.kubernetes.io/job-index-ignored-failure-count"
_INDEX_VARIABLE = "JOB_COMPLETION_INDEX"
_PREFIX_CHARS = 58
"""What generateName may have so that five more characters fit a label."""


def is_indexed(job: Obj) -> bool:
    return bool(dig(job, "spec", "completionMode") == "Indexed")


def completions_of(job: Obj) -> int | None:
    count = dig(job, "spec", "completions")
    return None if count is None else int(count)


def replaces_failed_only(job: Obj) -> bool:
    """Whether a terminating pod holds its place until it has ended."""
    return bool(dig(job, "spec", "podReplacementPolicy") == "Failed" or dig(job, "spec", "podFailurePolicy"))


def is_tracked(pod: Obj) -> bool:
    return FINALIZER in (pod["metadata"].get("finalizers") or ())


def is_failed(job: Obj, pod: Obj) -> bool:
    """A deleted pod counts as failed at once, since one that never ran will never report; unless its end is to be awaited."""
    if phase_of(pod) == "Failed":
        return True
    return not replaces_failed_only(job) and is_deleting(pod) and phase_of(pod) != "Succeeded"


def index_of(job: Obj, pod: Obj) -> int | None:
    """The completion index, if it is one the job has."""
    text = annotations_of(pod).get(INDEX, "")
    if not text.isdigit() or int(text) >= (completions_of(job) or 0):
        return None
    return int(text)


def count_in(pod: Obj, annotation: str) -> int:
    text = annotations_of(pod).get(annotation, "0")
    return int(text) if text.isdigit() else 0


def untrack(pod: Obj) -> Patch:
    patch: Obj = {"metadata": {"uid": uid_of(pod), "$deleteFromPrimitiveList/finalizers": [FINALIZER]}}
    return Patch(PODS, namespace_of(pod), name_of(pod), patch, "strategic")


def finished_at(pod: Obj) -> datetime | None:
    """When its last container ended; for one that never told, when it was deleted or stopped being ready."""
    statuses = dig(pod, "status", "containerStatuses", default=())
    ends = [parse_time(dig(item, "state", "terminated", "finishedAt")) for item in statuses]
    known = [end for end in ends if end is not None]
    if known and len(known) == len(ends):
        return max(known)
    if is_deleting(pod):
        deleted = parse_time(dig(pod, "metadata", "deletionTimestamp"))
        grace = timedelta(seconds=dig(pod, "metadata", "deletionGracePeriodSeconds", default=0))
        return deleted - grace if deleted is not None else None
    moments = [parse_time(item.get("lastTransitionTime")) for item in dig(pod, "status", "conditions", default=())]
    return max(
        (moment for moment in moments if moment is not None), default=parse_time(dig(pod, "metadata", "creationTimestamp"))
    )


def make(job: Obj, index: int | None, counts: dict[str, int]) -> Obj:
    """`index` None for a job without; `counts`: annotations about earlier pods of the index."""
    pod = pod_from_template(job["spec"]["template"], {"apiVersion": JOBS.api_version, "kind": JOBS.kind, **job})
    meta = pod["metadata"]
    meta["finalizers"] = [*(meta.get("finalizers") or ()), FINALIZER]
    if index is None:
        return pod
    suffix = f"-{index}-"
    meta["generateName"] = name_of(job)[: _PREFIX_CHARS - len(suffix)] + suffix
    annotations = {INDEX: str(index), **{key: str(count) for key, count in counts.items()}}
    meta["annotations"] = {**annotations_of(pod), **annotations}
    meta["labels"] = {**labels_of(pod), INDEX: str(index)}
    spec = copy.deepcopy(pod["spec"])
    spec["hostname"] = f"{name_of(job)}-{index}"
    variable = {"name": _INDEX_VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}}}
    for container in (*(spec.get("initContainers") or ()), *spec["containers"]):
        own = container.setdefault("env", [])
        if not any(item["name"] == _INDEX_VARIABLE for item in own):
            own.append(variable)
    pod["spec"] = spec
    return pod


def to_remove(job: Obj, active: Sequence[Obj], surplus: int, now: datetime) -> list[Obj]:
    """At least that many active pods: those of no index or of one that another has come first, whatever their number."""
    wrong: list[Obj] = []
    right: list[Obj] = list(active)
    if is_indexed(job):
        right = []
        seen: set[int] = set()
        # The victims of an ordinary scale-down come first in that order, so the pod to keep is an index's last.
        for pod in reversed(deletion_order(active, now)):
            index = index_of(job, pod)
            if index is None or index in seen:
                wrong.append(pod)
            else:
                seen.add(index)
                right.append(pod)
    return wrong + deletion_order(right, now)[: max(0, surplus - len(wrong))]
