"""The disruption controller: how many more pods of a PodDisruptionBudget may be evicted now.

scale.py says how many pods there should be, budget.py keeps the budget's status, stalepods.py takes back marks of evictions that
never happened. The eviction subresource of the API server spends what is allowed. Source: upstream pkg/controller/disruption.
"""

from __future__ import annotations

from collections.abc import Iterable

from steersman.api.resources import (
    DEPLOYMENTS,
    POD_DISRUPTION_BUDGETS,
    PODS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    STATEFUL_SETS,
)
from steersman.controllers.disruption import stalepods
from steersman.controllers.disruption.budget import reconcile
from steersman.loop import claims
from steersman.loop.spec import ControllerSpec, Snapshot, Watch
from steersman.machinery.meta import Key, Obj, key_of, labels_of, namespace_of


def _guarding(pod: Obj, snapshot: Snapshot) -> Iterable[Key]:
    labels = labels_of(pod)
    budgets = snapshot.list(POD_DISRUPTION_BUDGETS, namespace_of(pod))
    return [key_of(budget) for budget in budgets if claims.selector_of(budget).matches(labels)]


def _marked(pod: Obj) -> Iterable[Key]:
    return (key_of(pod),) if stalepods.mark_of(pod) is not None else ()


SPECS = (
    ControllerSpec(
        name="disruption-controller",
        reports_as="controllermanager",
        watches=(
            Watch(POD_DISRUPTION_BUDGETS, keys=lambda obj: (key_of(obj),)),
            Watch(PODS, keys_with=_guarding),
            *(Watch(resource) for resource in (DEPLOYMENTS, REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS)),
        ),
        reconcile=reconcile,
        workers=1,
    ),
    ControllerSpec(
        name="stale-pod-disruption-controller", watches=(Watch(PODS, keys=_marked),), reconcile=stalepods.reconcile, workers=1
    ),
)
