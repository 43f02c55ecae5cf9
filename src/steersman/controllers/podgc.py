"""The pod garbage collector: pods that nobody else will ever finish off.

Those of nodes that are gone, of nodes out of service, deleted before they were scheduled, and finished ones beyond the
threshold. Source: upstream pkg/controller/podgc.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from steersman.api.resources import NODES, PODS
from steersman.loop.pods import is_finished, node_of
from steersman.loop.spec import Action, ControllerSpec, Decision, Delete, Fetch, Patch, Result, Snapshot, Watch
from steersman.machinery.errors import NotFound
from steersman.machinery.meta import Key, Obj, dig, format_time, is_condition_true, is_deleting, name_of, namespace_of, uid_of

PERIOD_S = 20.0
QUARANTINE = timedelta(seconds=40)
TERMINATED_THRESHOLD = 12500
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
_ALL: Key = ("", "")


class _Collector:
    """Remembers since when it misses a node: a node may only be late in coming back."""

    def __init__(self, threshold: int) -> None:
        self._threshold = threshold
        self._missing_since: dict[str, datetime] = {}

    def reconcile(self, snapshot: Snapshot, key: Key, now: datetime) -> Decision:
        pods = snapshot.list(PODS)
        actions: list[Action] = []
        of_missing: dict[str, list[Obj]] = {}
        for pod in pods:
            node = node_of(pod)
            if not node:
                if is_deleting(pod):
                    actions.append(_delete(pod))
            elif (found := snapshot.get(NODES, "", node)) is None:
                of_missing.setdefault(node, []).append(pod)
            elif is_deleting(pod) and _is_out_of_service(found):
                actions += _fail_and_delete(pod, now, None)
        actions += [_delete(pod) for pod in self._surplus(pods)]
        due = self._due(set(of_missing), now)
        if not due:
            return Decision(actions)
        asked = len(actions)

        def after(results: Sequence[Result]) -> Decision:
            doomed: list[Action] = []
            for node, result in zip(due, results[asked:]):
                if isinstance(result.error, NotFound):
                    for pod in of_missing[node]:
                        doomed += _fail_and_delete(pod, now, "PodGC: node no longer exists")
            return Decision(doomed)

        return Decision([*actions, *(Fetch(NODES, "", node) for node in due)], then=after)

    def _surplus(self, pods: Sequence[Obj]) -> list[Obj]:
        finished = [pod for pod in pods if is_finished(pod) and not is_deleting(pod)]
        if len(finished) <= self._threshold:
            return []
        # Evicted ones first, then the oldest.
        finished.sort(key=lambda pod: (dig(pod, "status", "reason") != "Evicted", dig(pod, "metadata", "creationTimestamp")))
        return finished[: len(finished) - self._threshold]

    def _due(self, missing: set[str], now: datetime) -> list[str]:
        self._missing_since = {node: self._missing_since.get(node, now) for node in missing}
        return sorted(node for node, since in self._missing_since.items() if now - since >= QUARANTINE)


def _is_out_of_service(node: Obj) -> bool:
    tainted = any(taint.get("key") == OUT_OF_SERVICE for taint in dig(node, "spec", "taints", default=()))
    return tainted and not is_condition_true(node, "Ready")


def _fail_and_delete(pod: Obj, now: datetime, why: str | None) -> list[Action]:
    """A pod whose kubelet can't report any more is declared Failed first, for whoever counts outcomes."""
    if is_finished(pod):
        return [_delete(pod)]
    status: Obj = {"phase": "Failed"}
    if why is not None:
        moment = format_time(now)
        target = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC", "message": why}
        status["conditions"] = [{**target, "lastTransitionTime": moment}]
    patch = {"metadata": {"uid": uid_of(pod)}, "status": status}
    return [Patch(PODS, namespace_of(pod), name_of(pod), patch, "strategic", "status"), _delete(pod)]


def _delete(pod: Obj) -> Delete:
    return Delete(PODS, namespace_of(pod), name_of(pod), uid_of(pod), grace_period_s=0)


def spec(terminated_threshold: int = TERMINATED_THRESHOLD) -> ControllerSpec:
    return ControllerSpec(
        name="pod-garbage-collector-controller",
        watches=(Watch(PODS), Watch(NODES)),
        reconcile=_Collector(terminated_threshold).reconcile,
        workers=1,
        every_s=PERIOD_S,
        periodic=lambda _: (_ALL,),
    )
