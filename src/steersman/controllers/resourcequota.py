"""The resource quota controller: what a namespace uses of each quota, counted anew whenever something that counts changes.

The API server adds to `status.used` in the commit that stores an object (apiserver/admission/resource_quota.py); what comes free
again is found here. Its caches are fed by a watch each: the quota may arrive here before the object it was charged for. So less
than the quota says is written only when the quota has been as it is for a moment. Source: upstream pkg/controller/resourcequota.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from steersman.api import quota as counting
from steersman.api.podresources import Usage, add
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
    RESOURCE_CLAIMS,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
)
from steersman.loop.spec import ControllerSpec, Decision, Result, Snapshot, Update, Watch
from steersman.machinery import quantity
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Key, Obj, dig, is_deleting, key_of, namespace_of, resource_version_of
from steersman.machinery.quantity import Quantity

PERIOD_S = 300.0
SETTLE_S = 0.3
"""For so long a quota must not have changed before less is written than it says."""
PAUSE_S = 0.1
"""At least so long between two counts of a quota: while a thousand pods come, not each of them needs another count."""
_MEASURED = (PODS, SERVICES, PERSISTENT_VOLUME_CLAIMS, RESOURCE_CLAIMS)
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
"""Only their number matters. Of all that is served beside these likewise: see `discovered`."""
_KNOWN = (*_MEASURED, *_COUNTED, RESOURCE_QUOTAS)
_NAMES = frozenset((resource.group, resource.plural) for resource in _KNOWN)
_UNCOUNTED = ("events",)


@dataclass(frozen=True, slots=True)
class _Seen:
    """The version of a quota that is known, and since when: None if it is of our own making."""

    version: int
    since: datetime | None


class _Counting:
    """What is remembered: when each quota was last changed by others, and when it was last counted."""

    def __init__(self) -> None:
        self._seen: dict[Key, _Seen] = {}
        self._counted: dict[Key, datetime] = {}

    def reconcile(self, snapshot: Snapshot, key: Key, now: datetime) -> Decision:
        quota = snapshot.get(RESOURCE_QUOTAS, *key)
        if quota is None or is_deleting(quota):
            self._seen.pop(key, None)
            self._counted.pop(key, None)
            return Decision()
        fresh_s = self._too_fresh(quota, key, now)
        pause_s = _left(self._counted.get(key), PAUSE_S, now)
        if pause_s:
            return Decision(again_after_s=pause_s)
        self._counted[key] = now
        hard = (quota.get("spec") or {}).get("hard") or {}
        used = _used(snapshot, quota, hard, now)
        status: Obj = {"hard": hard, "used": {name: str(amount) for name, amount in used.items()}} if hard else {}
        if status == (quota.get("status") or {}):
            return Decision()
        if fresh_s and _lowers(used, dig(quota, "status", "used", default={})):
            return Decision(again_after_s=fresh_s)

        def written(results: Sequence[Result]) -> Decision:
            for result in results:
                if result.obj is not None:
                    self._seen[key] = _Seen(resource_version_of(result.obj), None)
            return Decision()

        return Decision((Update(RESOURCE_QUOTAS, {**quota, "status": status}, "status"),), then=written)

    def _too_fresh(self, quota: Obj, key: Key, now: datetime) -> float:
        """How long the quota has to stay as it is; 0 if it has for long enough."""
        version = resource_version_of(quota)
        seen = self._seen.get(key)
        if seen is None or seen.version != version:
            seen = self._seen[key] = _Seen(version, now)
        return _left(seen.since, SETTLE_S, now)


def _left(since: datetime | None, seconds: float, now: datetime) -> float:
    """What is left of so many seconds since then; 0 if they are over."""
    return 0.0 if since is None else max(0.0, (since + timedelta(seconds=seconds) - now).total_seconds())


def _used(snapshot: Snapshot, quota: Obj, hard: Mapping[str, str], now: datetime) -> Usage:
    """Of each name in `hard`."""
    found: Usage = {}
    for resource in _asked_about(hard, snapshot):
        for obj in snapshot.list(resource, namespace_of(quota)):
            if counting.covers(quota, resource, obj):
                add(found, counting.usage(resource, obj, now))
    none = Quantity.of(0)
    return {name: found.get(name, none) for name in hard}


def _asked_about(hard: Mapping[str, str], snapshot: Snapshot) -> Iterable[Resource]:
    """Resources that any name in the quota is about: counting what nobody limits is for nothing."""
    for resource in (*_KNOWN, *(found for found in snapshot.resources() if _others(found))):
        if any(counting.counts(resource, name) for name in hard):
            yield resource


def _others(resource: Resource) -> bool:
    return resource.namespaced and resource.plural not in _UNCOUNTED and (resource.group, resource.plural) not in _NAMES


def _lowers(used: Usage, before: Mapping[str, str]) -> bool:
    return any(name in before and amount < quantity.parse(before[name]) for name, amount in used.items())


def _of_namespace(obj: Obj, snapshot: Snapshot) -> Iterable[Key]:
    return [key_of(quota) for quota in snapshot.list(RESOURCE_QUOTAS, namespace_of(obj))]


def _discovered(resources: Sequence[Resource]) -> tuple[Watch, ...]:
    return tuple(Watch(resource, keys_with=_of_namespace) for resource in resources if _others(resource))


def spec() -> ControllerSpec:
    return ControllerSpec(
        name="resourcequota-controller",
        watches=(
            Watch(RESOURCE_QUOTAS, keys_with=_of_namespace),
            *(Watch(resource, keys_with=_of_namespace) for resource in _MEASURED),
            *(Watch(resource, keys_with=_of_namespace, metadata_only=True) for resource in _COUNTED),
        ),
        reconcile=_Counting().reconcile,
        every_s=PERIOD_S,
        periodic=lambda snapshot: [key_of(quota) for quota in snapshot.list(RESOURCE_QUOTAS)],
        discovered=_discovered,
    )
