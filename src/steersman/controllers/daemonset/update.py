"""A rolling update: which outdated pods go now, and where a new one comes beside the old. Source: upstream daemon/update.go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from steersman.controllers.daemonset import pods as making
from steersman.loop.amounts import int_or_percent
from steersman.loop.pods import is_available
from steersman.machinery.meta import Obj, dig, is_deleting


@dataclass(frozen=True, slots=True)
class Limits:
    surge: int
    unavailable: int


def limits(owner: Obj, desired: int) -> Limits:
    """Both are shares of the nodes that should have a pod, rounded up; one of the two is never nothing."""
    rolling = dig(owner, "spec", "updateStrategy", "rollingUpdate", default={})
    surge = int_or_percent(rolling.get("maxSurge", 0), desired, round_up=True)
    unavailable = int_or_percent(rolling.get("maxUnavailable", 1), desired, round_up=True)
    return Limits(surge, unavailable if surge or unavailable else 1)


def surges(owner: Obj) -> bool:
    """Whether a second pod may be on a node for a while."""
    rolling = dig(owner, "spec", "updateStrategy", "type") == "RollingUpdate"
    return rolling and dig(owner, "spec", "updateStrategy", "rollingUpdate", "maxSurge", default=0) not in (0, "0", "0%")


@dataclass(frozen=True, slots=True)
class Step:
    """Pods to delete and nodes to start a pod on."""

    delete: Sequence[Obj] = ()
    start: Sequence[str] = ()


def step(owner: Obj, by_node: Mapping[str, Sequence[Obj]], should_run: Mapping[str, bool], digest: str, now: datetime) -> Step:
    """`by_node`: the set's pods on each node of the cluster, none for some."""
    bound = limits(owner, sum(should_run.values()))
    min_ready_s = int(dig(owner, "spec", "minReadySeconds", default=0))

    def available(pod: Obj) -> bool:
        return is_available(pod, min_ready_s, now)

    pairs = {node: _pair(owner, pods, digest) for node, pods in by_node.items() if should_run.get(node)}
    if not bound.surge:
        broken: list[Obj] = []
        candidates: list[Obj] = []
        missing = 0
        for pair in pairs.values():
            if pair is None or (pair.new is None) == (pair.old is None):
                missing += 1
            elif pair.old is None:
                missing += not available(pair.new or {})
            elif available(pair.old):
                candidates.append(pair.old)
            else:
                missing += 1
                broken.append(pair.old)
        return Step([*broken, *candidates[: max(0, bound.unavailable - missing)]])
    forced: list[str] = []
    willing: list[str] = []
    outdated: list[Obj] = []
    surging = 0
    for node, pair in pairs.items():
        if pair is None:
            surging += 1
        elif pair.old is None:
            continue
        elif pair.new is not None:
            if available(pair.new):
                outdated.append(pair.old)
            else:
                surging += 1
        else:
            (willing if available(pair.old) else forced).append(node)
    return Step(outdated, [*forced, *willing[: max(0, bound.surge - surging)]])


@dataclass(frozen=True, slots=True)
class _Pair:
    new: Obj | None
    old: Obj | None


def _pair(owner: Obj, pods: Sequence[Obj], digest: str) -> _Pair | None:
    """A node's updated and outdated pod. None if there are several of one sort: that is for the keeper to settle first."""
    staying = [pod for pod in pods if not is_deleting(pod)]
    new = [pod for pod in staying if making.is_updated(owner, pod, digest)]
    old = [pod for pod in staying if not making.is_updated(owner, pod, digest)]
    if len(new) > 1 or len(old) > 1:
        return None
    return _Pair(new[0] if new else None, old[0] if old else None)
