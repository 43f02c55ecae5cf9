"""Which taints a pod tolerates: shared by the plugins that look at taints. Source: API docs, Taints and Tolerations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from steersman.machinery.meta import Obj
from steersman.scheduler.nodetable import Taint

NO_SCHEDULE, NO_EXECUTE, PREFER_NO_SCHEDULE = "NoSchedule", "NoExecute", "PreferNoSchedule"
UNSCHEDULABLE_TAINT = Taint("node.kubernetes.io/unschedulable", "", NO_SCHEDULE)


def tolerates(toleration: Obj, taint: Taint) -> bool:
    """An empty effect stands for every effect; an empty key with Exists for every taint."""
    if (effect := toleration.get("effect")) and effect != taint.effect:
        return False
    if (key := toleration.get("key")) and key != taint.key:
        return False
    if toleration.get("operator") == "Exists":
        return True
    return toleration.get("operator") in (None, "", "Equal") and (toleration.get("value") or "") == taint.value


def tolerated(tolerations: Sequence[Obj], taint: Taint) -> bool:
    return any(tolerates(toleration, taint) for toleration in tolerations)


def repelled(tolerations: Sequence[Obj], taints: Iterable[Taint]) -> bool:
    """Whether a taint keeps the pod away."""
    return any(taint.effect in (NO_SCHEDULE, NO_EXECUTE) and not tolerated(tolerations, taint) for taint in taints)
