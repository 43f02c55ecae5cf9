"""ResourceQuota: what an object needs is paid with the object, in one commit, or it is refused.

Source: upstream plugin/pkg/admission/resourcequota. Upstream pays first and stores the object afterwards, so that a write which
fails then has been paid for until the controller counts anew. Here the quota's new `status.used` joins the object's own commit
(contracts.Charging), guarded by the quota's revision: several API servers can't spend the same amount either. What is given
back when objects go is the controller's to count. Not here: quotas that are required by configuration (limitedResources).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from steersman.api import quota as counting
from steersman.api.podresources import Usage
from steersman.api.resources import PERSISTENT_VOLUME_CLAIMS, PODS, RESOURCE_QUOTAS, SERVICES
from steersman.apiserver.admission.refusal import refused
from steersman.apiserver.contracts import AdmissionRequest, Joining, Listers
from steersman.apiserver.storage import encode, prefix_of
from steersman.machinery import quantity
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj, dig, name_of, resource_version_of
from steersman.machinery.quantity import Quantity
from steersman.store.interface import Guard, Put

_GROWING = (SERVICES, PERSISTENT_VOLUME_CLAIMS)
"""Whose updates can cost more as well."""
_UNCOUNTED = ("events",)
_NOTHING: Joining = ((), ())


class ResourceQuota:
    """Implements contracts.Charging."""

    name = "ResourceQuota"

    def __init__(self, listers: Listers, clock: Clock) -> None:
        self._listers, self._clock = listers, clock
        self._turns: dict[str, _Turn] = {}

    def concerns(self, request: AdmissionRequest) -> bool:
        """By the cache, which may be a moment old: of a quota that is not there yet nothing has been counted either."""
        if not request.namespace or not _counted(request):
            return False
        for quota in self._listers(RESOURCE_QUOTAS).list(request.namespace):
            if any(counting.counts(request.resource, name) for name in dig(quota, "spec", "hard", default={})):
                return True
        return False

    @asynccontextmanager
    async def charged(self, request: AdmissionRequest) -> AsyncIterator[Joining]:
        # Each commit changes the quota, so that all but one of those side by side would have to start again.
        async with self._turns.setdefault(request.namespace, _Turn(self._turns, request.namespace)):
            lister = self._listers(RESOURCE_QUOTAS)
            await lister.settle()
            quotas = sorted(lister.list(request.namespace), key=name_of)
            yield self._charge(request, [quota for quota in quotas if _names(quota, request)])

    def _charge(self, request: AdmissionRequest, quotas: Sequence[Obj]) -> Joining:
        """Raises Forbidden."""
        assert request.obj is not None
        covering = [quota for quota in quotas if counting.covers(quota, request.resource, request.obj)]
        for quota in covering:
            _check_countable(request, quota)
        whole = self._delta(request, None)
        grown = whole if request.old is None else self._delta(request, request.old)
        guards: list[Guard] = []
        ops: list[Put] = []
        for quota in covering:
            # What comes into a quota's scope by an update has not been paid for there.
            known = request.old is not None and counting.covers(quota, request.resource, request.old)
            delta = grown if known else whole
            asked = {name: delta[name] for name in _names(quota, request) if name in delta}
            if not asked:
                continue
            used = _spend(request, quota, asked)
            key = f"{prefix_of(RESOURCE_QUOTAS)}{request.namespace}/{name_of(quota)}"
            guards.append(Guard(key, resource_version_of(quota)))
            ops.append(Put(key, encode({**quota, "status": {**quota["status"], "used": used}})))
        return (guards, ops) if guards else _NOTHING

    def _delta(self, request: AdmissionRequest, old: Obj | None) -> Usage:
        """What the object uses more than before. What it uses less is left to the controller."""
        now = self._clock.now()
        before = counting.usage(request.resource, old, now) if old is not None else {}
        after = counting.usage(request.resource, request.obj or {}, now)
        more = {name: amount - before[name] if name in before else amount for name, amount in after.items()}
        return {name: amount for name, amount in more.items() if amount.sign > 0}


class _Turn:
    """A lock of one namespace, forgotten when nobody wants it."""

    def __init__(self, turns: dict[str, _Turn], namespace: str) -> None:
        self._turns, self._namespace = turns, namespace
        self._lock = asyncio.Lock()
        self._wanted = 0

    async def __aenter__(self) -> None:
        self._wanted += 1
        try:
            await self._lock.acquire()
        except BaseException:
            self._left()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._lock.release()
        self._left()

    def _left(self) -> None:
        self._wanted -= 1
        if not self._wanted:
            del self._turns[self._namespace]


def _counted(request: AdmissionRequest) -> bool:
    """Whether this kind of write can cost anything."""
    if request.resource.plural in _UNCOUNTED:
        return False
    if request.resource == PODS:
        if (request.operation, request.subresource) == ("UPDATE", ""):
            return _terminates(request.obj) != _terminates(request.old)
        return (request.operation, request.subresource) in (("CREATE", ""), ("UPDATE", "resize"))
    return not request.subresource and (request.operation == "CREATE" or request.resource in _GROWING)


def _terminates(pod: Obj | None) -> bool:
    """As the scopes Terminating and NotTerminating mean it: the only ones that a pod may change between."""
    return dig(pod or {}, "spec", "activeDeadlineSeconds") is not None


def _hard(quota: Obj) -> Mapping[str, str]:
    found: Mapping[str, str] = dig(quota, "status", "hard", default={})
    return found


def _names(quota: Obj, request: AdmissionRequest) -> list[str]:
    """What the quota limits of what such objects use."""
    return sorted(name for name in _hard(quota) if counting.counts(request.resource, name))


def _check_countable(request: AdmissionRequest, quota: Obj) -> None:
    """Raises Forbidden if the object doesn't say what it uses, or nobody has counted yet what is used."""
    names = _names(quota, request)
    if request.resource == PODS:
        missing = counting.unnamed((request.obj or {})["spec"], names)
        if missing:
            said = "; ".join(f"{name} for: {','.join(who)}" for name, who in missing.items())
            raise refused(request, f"failed quota: {name_of(quota)}: must specify {said}")
    known = dig(quota, "status", "used", default={})
    if any(name not in known for name in names):
        raise refused(request, f"status unknown for quota: {name_of(quota)}, resources: {','.join(names)}")


def _spend(request: AdmissionRequest, quota: Obj, asked: Usage) -> dict[str, str]:
    """The quota's `used` afterwards. Raises Forbidden."""
    hard, used = _hard(quota), quota["status"]["used"]
    total = {name: quantity.parse(used[name]) + amount for name, amount in asked.items()}
    exceeded = [name for name in sorted(asked) if total[name] > quantity.parse(hard[name])]
    if exceeded:
        requested = _listed({name: asked[name] for name in exceeded})
        limits = _listed({name: quantity.parse(hard[name]) for name in exceeded})
        taken = _listed({name: quantity.parse(used[name]) for name in exceeded})
        raise refused(request, f"exceeded quota: {name_of(quota)}, requested: {requested}, used: {taken}, limited: {limits}")
    return {**used, **{name: str(amount) for name, amount in total.items()}}


def _listed(amounts: Mapping[str, Quantity]) -> str:
    return ",".join(f"{name}={amount}" for name, amount in amounts.items())
