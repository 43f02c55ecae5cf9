"""What a PodDisruptionBudget says to an eviction, and spending one of the disruptions it allows.

The controller counts the budget anew; until then an evicted pod stands in status.disruptedPods, so that two evictions never spend
the same disruption. Source: upstream pkg/registry/core/pod/storage/eviction.go.
"""

from __future__ import annotations

from steersman.api.resources import POD_DISRUPTION_BUDGETS
from steersman.apiserver.contracts import Call
from steersman.apiserver.handlers.context import Api
from steersman.apiserver.handlers.options import WriteOptions
from steersman.apiserver.handlers.update import AS_IS, modify
from steersman.apiserver.handlers.write import Write
from steersman.apiserver.registry import Served
from steersman.machinery.errors import Forbidden, InternalError, TooManyRequests
from steersman.machinery.labels import from_label_selector
from steersman.machinery.meta import Obj, condition, dig, is_condition_true, labels_of, name_of, namespace_of

_CONDITION = "DisruptionAllowed"
_MOST_DISRUPTED = 2000
_REFUSED = "Cannot evict pod as it would violate the pod's disruption budget."
_STALE_RETRY_S = 10


async def spend(api: Api, call: Call, pod: Obj, *, dry_run: bool) -> None:
    """Let the pod's budget, if it has one, allow its eviction. Raises TooManyRequests, Forbidden, InternalError."""
    resource = POD_DISRUPTION_BUDGETS
    served = api.registry.lookup(resource.group, resource.version, resource.plural)
    if served is None:
        return
    await served.cache.settle()
    guarding = [budget for budget in served.cache.list(namespace_of(pod)) if _guards(budget, pod)]
    if not guarding:
        return
    if len(guarding) > 1:
        raise InternalError("This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.")
    if is_condition_true(pod, "Ready") or not _spares_unready(guarding[0]):
        await _decrement(api, call, served, guarding[0], name_of(pod), dry_run)


def _guards(budget: Obj, pod: Obj) -> bool:
    return from_label_selector(dig(budget, "spec", "selector")).matches(labels_of(pod))


def _spares_unready(budget: Obj) -> bool:
    """Whether a pod that isn't ready may go without being counted: it guards nothing."""
    if dig(budget, "spec", "unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = budget.get("status") or {}
    desired = int(status.get("desiredHealthy") or 0)
    return int(status.get("currentHealthy") or 0) >= desired > 0


async def _decrement(api: Api, call: Call, served: Served, budget: Obj, pod: str, dry_run: bool) -> None:
    async def change(current: Obj) -> Obj:
        _check(current)
        status = current["status"]
        status["disruptionsAllowed"] -= 1
        status["disruptedPods"] = {**(status.get("disruptedPods") or {}), pod: api.timestamp()}
        found = condition(current, _CONDITION)
        if not status["disruptionsAllowed"] and found is not None and found.get("status") == "True":
            found |= {"status": "False", "reason": "InsufficientPods", "lastTransitionTime": api.timestamp()}
        return current

    write = Write(api, call, served, WriteOptions(dry_run), "status")
    await modify(write, namespace_of(budget), name_of(budget), change, steps=AS_IS, skip_admission=True)


def _check(budget: Obj) -> None:
    """Raises TooManyRequests, Forbidden."""
    status, name = budget.get("status") or {}, name_of(budget)
    if int(status.get("observedGeneration") or 0) < int(dig(budget, "metadata", "generation", default=0)):
        raise _refusal(f"The disruption budget {name} is still being processed by the server.", _STALE_RETRY_S)
    group, plural = POD_DISRUPTION_BUDGETS.group, POD_DISRUPTION_BUDGETS.plural
    allowed = int(status.get("disruptionsAllowed") or 0)
    if allowed < 0:
        raise Forbidden.of(group, plural, name, "pdb disruptions allowed is negative")
    if len(status.get("disruptedPods") or ()) > _MOST_DISRUPTED:
        why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        raise Forbidden.of(group, plural, name, why)
    if allowed:
        return
    found = condition(budget, _CONDITION) or {}
    if found.get("status") == "False" and found.get("reason") == "SyncFailed":
        why = (
            f"The disruption budget {name} does not allow evicting pods currently because it failed sync: {found.get('message')}"
        )
        raise _refusal(why)
    needs, has = int(status.get("desiredHealthy") or 0), int(status.get("currentHealthy") or 0)
    raise _refusal(f"The disruption budget {name} needs {needs} healthy pods and has {has} currently")


def _refusal(why: str, retry_after_s: int | None = None) -> TooManyRequests:
    details: Obj = {"causes": [{"reason": "DisruptionBudget", "message": why}]}
    return TooManyRequests(_REFUSED, details=details, retry_after_s=retry_after_s)
