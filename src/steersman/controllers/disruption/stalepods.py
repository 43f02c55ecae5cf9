"""A pod marked for disruption that isn't deleted within two minutes is unmarked: whoever wanted that gave it up."""

from __future__ import annotations

from datetime import datetime, timedelta

from steersman.api.resources import PODS
from steersman.loop.pods import is_finished
from steersman.loop.spec import Decision, Patch, Snapshot
from steersman.machinery.meta import Key, Obj, condition, format_time, is_deleting, name_of, namespace_of, parse_time, uid_of

MARK = "DisruptionTarget"
PATIENCE = timedelta(minutes=2)


def mark_of(pod: Obj) -> Obj | None:
    """The mark, if it may grow stale. The kubelet's own ends with the pod's phase."""
    found = condition(pod, MARK)
    if found is None or found.get("status") != "True" or found.get("reason") == "TerminationByKubelet":
        return None
    return None if is_deleting(pod) or is_finished(pod) else found


def reconcile(snapshot: Snapshot, key: Key, now: datetime) -> Decision:
    pod = snapshot.get(PODS, *key)
    mark = mark_of(pod) if pod is not None else None
    if pod is None or mark is None:
        return Decision()
    since = parse_time(mark.get("lastTransitionTime")) or now
    left_s = (since + PATIENCE - now).total_seconds()
    if left_s > 0:
        return Decision(again_after_s=left_s)
    cleared = {"type": MARK, "status": "False", "lastTransitionTime": format_time(now), "reason": None, "message": None}
    patch = {"metadata": {"uid": uid_of(pod)}, "status": {"conditions": [cleared]}}
    return Decision((Patch(PODS, namespace_of(pod), name_of(pod), patch, "strategic", "status"),))
