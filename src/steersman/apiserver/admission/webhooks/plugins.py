"""The two plugins. Without a configuration they cost a comparison, and the rest of this package is not imported."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol

from steersman.api.groups import admissionregistration_v1 as group
from steersman.apiserver.admission.matching import is_exempt, is_the_servers_own
from steersman.apiserver.contracts import AdmissionPlugin, AdmissionRequest, Authorizer, Lister, Listers
from steersman.apiserver.registry import Registry
from steersman.machinery.clock import Clock
from steersman.machinery.gvk import Resource

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from steersman.apiserver.admission.webhooks.counts import Counts


class _Asking(Protocol):
    @property
    def counts(self) -> Counts: ...

    async def ask(self, request: AdmissionRequest) -> None: ...

    def close(self) -> None: ...


class _Webhooks(ABC):
    """configurations: of which kind."""

    configurations: ClassVar[Resource]

    def __init__(self, listers: Listers, authorizer: Authorizer, clock: Clock) -> None:
        self._listers, self._authorizer, self._clock = listers, authorizer, clock
        self._lister: Lister | None = None
        self._registry: Registry | None = None
        self._without = -1
        """The version of the configurations at which there were none."""
        self._asking: _Asking | None = None

    def attach(self, registry: Registry) -> None:
        self._lister, self._registry = self._listers(self.configurations), registry

    @property
    def counts(self) -> Sequence[Counts]:
        return () if self._asking is None else (self._asking.counts,)

    def close(self) -> None:
        if self._asking is not None:
            self._asking.close()

    async def _ask(self, request: AdmissionRequest) -> None:
        asking = self._asking
        if asking is None:
            if self._lister is None or self._registry is None or self._lister.version == self._without:
                return
            if not self._lister.list():
                self._without = self._lister.version
                return
            asking = self._asking = self._made(self._registry, self._lister)
        if not is_exempt(request.resource) and not is_the_servers_own(request):
            await asking.ask(request)

    @abstractmethod
    def _made(self, registry: Registry, lister: Lister) -> _Asking: ...


class MutatingWebhooks(_Webhooks):
    name = "MutatingAdmissionWebhook"
    configurations = group.MUTATING_WEBHOOKS.resource

    def _made(self, registry: Registry, lister: Lister) -> _Asking:
        from steersman.apiserver.admission.webhooks.calling import Calling
        from steersman.apiserver.admission.webhooks.mutating import Mutating

        return Mutating(Calling(registry, lister, self._authorizer, self._clock, "admit"))

    async def admit(self, request: AdmissionRequest) -> None:
        await self._ask(request)


class ValidatingWebhooks(_Webhooks):
    name = "ValidatingAdmissionWebhook"
    configurations = group.VALIDATING_WEBHOOKS.resource

    def _made(self, registry: Registry, lister: Lister) -> _Asking:
        from steersman.apiserver.admission.webhooks.calling import Calling
        from steersman.apiserver.admission.webhooks.validating import Validating

        return Validating(Calling(registry, lister, self._authorizer, self._clock, "validating"))

    async def validate(self, request: AdmissionRequest) -> None:
        await self._ask(request)


def collect(plugins: Sequence[AdmissionPlugin]) -> Iterable[Metric]:
    """What metrics show of those of the plugins that are webhooks'."""
    found = [counts for plugin in plugins if isinstance(plugin, _Webhooks) for counts in plugin.counts]
    if not found:
        return ()
    from steersman.apiserver.admission.webhooks.counts import families

    return families(found)


def close(plugins: Sequence[AdmissionPlugin]) -> None:
    """End their connections: the server stops."""
    for plugin in plugins:
        if isinstance(plugin, _Webhooks):
            plugin.close()
