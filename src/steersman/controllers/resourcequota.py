"""The resource quota controller: what a namespace uses of each quota, counted anew whenever something that counts changes.

Source: upstream pkg/controller/resourcequota.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from steersman.api import quota as counting
from steersman.api.resources import (
    CONFIG_MAPS,
    CRON_JOBS,
    DAEMON_SETS,
    DEPLOYMENTS,
    JOBS,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
)
from steersman.loop.spec import ControllerSpec, Decision, Snapshot, Update, Watch
from steersman.machinery.meta import Key, Obj, is_deleting, key_of, namespace_of
from steersman.machinery.quantity import Quantity

PERIOD_S = 300.0
_MEASURED = (PODS, SERVICES, PERSISTENT_VOLUME_CLAIMS)
_COUNTED = (
    CONFIG_MAPS,
    CRON_JOBS,
    DAEMON_SETS,
    DEPLOYMENTS,
    JOBS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    SECRETS,
    STATEFUL_SETS,
)
"""Only their number matters."""
_KNOWN = (*_MEASURED, *_COUNTED, RESOURCE_QUOTAS)


def _reconcile(snapshot: Snapshot, key: Key, now: datetime) -> Decision:
    quota = snapshot.get(RESOURCE_QUOTAS, *key)
    if quota is None or is_deleting(quota):
        return Decision()
    hard = (quota.get("spec") or {}).get("hard") or {}
    used: counting.Usage = {}
    for resource in _KNOWN:
        if not _asked_about(resource.plural, f"count/{resource.qualified}", hard):
            continue
        for obj in snapshot.list(resource, key[0]):
            if counting.covers(quota, resource, obj):
                counting.add(used, counting.usage(resource, obj, now))
    none = Quantity.of(0)
    status: Obj = {"hard": hard, "used": {name: str(used.get(name, none)) for name in hard}} if hard else {}
    if status == (quota.get("status") or {}):
        return Decision()
    return Decision((Update(RESOURCE_QUOTAS, {**quota, "status": status}, "status"),))


def _asked_about(plural: str, count: str, hard: Obj) -> bool:
    """Whether any name in the quota may be used by that resource: counting what nobody limits is for nothing."""
    measured = {resource.plural for resource in _MEASURED}
    return plural in measured or plural in hard or count in hard


def _of_namespace(obj: Obj, snapshot: Snapshot) -> Iterable[Key]:
    return [key_of(quota) for quota in snapshot.list(RESOURCE_QUOTAS, namespace_of(obj))]


SPEC = ControllerSpec(
    name="resourcequota-controller",
    watches=(
        Watch(RESOURCE_QUOTAS, keys_with=_of_namespace),
        *(Watch(resource, keys_with=_of_namespace) for resource in _MEASURED),
        *(Watch(resource, keys_with=_of_namespace, metadata_only=True) for resource in _COUNTED),
    ),
    reconcile=_reconcile,
    every_s=PERIOD_S,
    periodic=lambda snapshot: [key_of(quota) for quota in snapshot.list(RESOURCE_QUOTAS)],
)
