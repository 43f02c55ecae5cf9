"""What /livez, /readyz and /healthz look at, under upstream's names.

What upstream starts as hooks after it listens is done here before; so those checks are well as soon as the server answers, and
name only what this server does as well. Other API servers are the exception: they are found out about after it listens.
"""

from __future__ import annotations

from collections.abc import Callable

from steersman.apiserver.health import Health
from steersman.machinery.clock import Clock
from steersman.machinery.waiting import within
from steersman.store.interface import Store, Unavailable

_STORE_CHECK_S = 2.0
"""How long the store may take to say that it is well: upstream's --etcd-healthcheck-timeout."""
_HOOKS = (
    "start-apiserver-admission-initializer", "generic-apiserver-start-informers", "priority-and-fairness-config-consumer",
    "priority-and-fairness-filter", "start-apiextensions-informers", "start-apiextensions-controllers", "crd-informer-synced",
    "start-system-namespaces-controller", "start-kubernetes-service-cidr-controller",
    "start-cluster-authentication-info-controller", "start-service-ip-repair-controllers", "rbac/bootstrap-roles",
    "scheduling/bootstrap-system-priority-classes", "priority-and-fairness-config-producer", "bootstrap-controller",
)  # fmt: skip
_AGGREGATION = (
    "poststarthook/start-kube-aggregator-informers", "poststarthook/apiservice-status-local-available-controller",
    "poststarthook/apiservice-status-remote-available-controller", "poststarthook/apiservice-registration-controller",
    "poststarthook/apiservice-discovery-controller", "poststarthook/kube-apiserver-autoregistration", "autoregister-completion",
    "poststarthook/apiservice-openapi-controller", "poststarthook/apiservice-openapiv3-controller",
)  # fmt: skip


def add_checks(
    health: Health,
    store: Store,
    clock: Clock,
    *,
    is_ready: Callable[[], bool],
    is_aggregating: Callable[[], bool],
    is_ending: Callable[[], bool],
) -> None:
    async def fine() -> str:
        return ""

    async def stored() -> str:
        try:
            answered = await within(clock, _STORE_CHECK_S, store.progress)
        except Unavailable as fault:
            return str(fault)
        return "" if answered else f"no answer within {_STORE_CHECK_S:g} s"

    async def ready() -> str:
        return "" if is_ready() else "not ready"

    async def aggregating() -> str:
        return "" if is_aggregating() else "not finished"

    async def staying() -> str:
        return "process is shutting down" if is_ending() else ""

    health.add("ping", fine)
    health.add("log", fine)
    health.add("etcd", stored)
    health.add("etcd-readiness", stored, ("readyz",))
    health.add("informer-sync", ready, ("readyz",))
    for hook in _HOOKS:
        health.add(f"poststarthook/{hook}", fine)
    for name in _AGGREGATION:
        health.add(name, aggregating)
    health.add("shutdown", staying, ("readyz",))
