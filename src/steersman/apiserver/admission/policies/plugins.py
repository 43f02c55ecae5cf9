"""The two plugins. While there is no binding they cost a comparison, and nothing of the rest of this package is imported."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol

from steersman.api.groups import admissionregistration_v1 as group
from steersman.apiserver.admission.matching import is_the_servers_own
from steersman.apiserver.contracts import AdmissionPlugin, AdmissionRequest, Authorizer, Lister, Listers
from steersman.apiserver.registry import Registry
from steersman.client.interface import Client
from steersman.machinery.clock import Clock
from steersman.machinery.gvk import Resource

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from steersman.apiserver.admission.policies.counts import Counts


class _Enforcing(Protocol):
    @property
    def counts(self) -> Counts: ...

    async def enforce(self, request: AdmissionRequest) -> None: ...


class _Policies(ABC):
    """bindings: of which kind; without any, no policy is in force."""

    bindings: ClassVar[Resource]

    def __init__(self, listers: Listers, authorizer: Authorizer) -> None:
        self._listers, self._authorizer = listers, authorizer
        self._lister: Lister | None = None
        self._registry: Registry | None = None
        self._without = -1
        """The version of the bindings at which there were none."""
        self._enforcing: _Enforcing | None = None

    def attach(self, registry: Registry) -> None:
        self._lister, self._registry = self._listers(self.bindings), registry

    @property
    def counts(self) -> Sequence[Counts]:
        return () if self._enforcing is None else (self._enforcing.counts,)

    def _awake(self) -> _Enforcing | None:
        """Who enforces policies, if there are any."""
        if self._enforcing is not None or self._lister is None or self._registry is None:
            return self._enforcing
        version = self._lister.version
        if version != self._without:
            if self._lister.list():
                self._enforcing = self._made(self._registry)
            else:
                self._without = version
        return self._enforcing

    @abstractmethod
    def _made(self, registry: Registry) -> _Enforcing: ...


class MutatingPolicies(_Policies):
    name = "MutatingAdmissionPolicy"
    bindings = group.MUTATING_POLICY_BINDINGS.resource

    def _made(self, registry: Registry) -> _Enforcing:
        from steersman.apiserver.admission.policies.mutating import Mutating

        return Mutating(self._listers, self._authorizer, registry)

    async def admit(self, request: AdmissionRequest) -> None:
        enforcing = self._awake()
        if enforcing is not None and request.operation != "DELETE" and not is_the_servers_own(request):
            await enforcing.enforce(request)


class ValidatingPolicies(_Policies):
    name = "ValidatingAdmissionPolicy"
    bindings = group.VALIDATING_POLICY_BINDINGS.resource

    def _made(self, registry: Registry) -> _Enforcing:
        from steersman.apiserver.admission.policies.validating import Validating

        return Validating(self._listers, self._authorizer, registry)

    async def validate(self, request: AdmissionRequest) -> None:
        enforcing = self._awake()
        if enforcing is not None and not is_the_servers_own(request):
            await enforcing.enforce(request)

    async def check_types(self, client: Client, clock: Clock) -> None:
        """Tell in the status of policies what is likely wrong with them, until cancelled. To be called after attach()."""
        from steersman.apiserver.admission.policies import status

        assert self._registry is not None
        await status.run(self._registry, client, clock)


def collect(plugins: Sequence[AdmissionPlugin]) -> Iterable[Metric]:
    """What metrics show of those of the plugins that are of policies."""
    found = [counts for plugin in plugins if isinstance(plugin, _Policies) for counts in plugin.counts]
    if not found:
        return ()
    from steersman.apiserver.admission.policies.counts import families

    return families(found)
