"""Admission: the plugins that are on, in upstream's order. All mutate first, then all validate.

One file per plugin. `chain` is called once; the pipeline runs the tuple on every write. ResourceQuota is not in it: what is paid
joins the commit (contracts.Charging); `is_on` says whether it is on.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from steersman.apiserver.access import AdmissionSettings
from steersman.apiserver.admission import config as configuration
from steersman.apiserver.admission import optional
from steersman.apiserver.admission.certificates import (
    CertificateApproval,
    CertificateRecord,
    CertificateSigning,
    CertificateSubjectRestriction,
)
from steersman.apiserver.admission.default_classes import DefaultIngressClass, DefaultStorageClass
from steersman.apiserver.admission.default_toleration_seconds import DefaultTolerationSeconds
from steersman.apiserver.admission.limit_ranger import LimitRanger
from steersman.apiserver.admission.namespace_lifecycle import NamespaceLifecycle
from steersman.apiserver.admission.node_restriction import NodeRestriction
from steersman.apiserver.admission.optional import event_rate_limit, pod_node_selector, pod_toleration_restriction
from steersman.apiserver.admission.persistent_volume_claim_resize import PersistentVolumeClaimResize
from steersman.apiserver.admission.pod_resize_validator import PodResizeValidator
from steersman.apiserver.admission.pod_topology_labels import PodTopologyLabels
from steersman.apiserver.admission.podsecurity import PodSecurity
from steersman.apiserver.admission.podsecurity.config import parse as parse_pod_security
from steersman.apiserver.admission.policies import MutatingPolicies, ValidatingPolicies
from steersman.apiserver.admission.priority import Priority
from steersman.apiserver.admission.rbac_escalation import RBACEscalation
from steersman.apiserver.admission.resource_quota import ResourceQuota
from steersman.apiserver.admission.runtime_class import RuntimeClass
from steersman.apiserver.admission.service_account import ServiceAccount
from steersman.apiserver.admission.storage_object_in_use_protection import StorageObjectInUseProtection
from steersman.apiserver.admission.taint_nodes_by_condition import TaintNodesByCondition
from steersman.apiserver.admission.webhooks import MutatingWebhooks, ValidatingWebhooks
from steersman.apiserver.authz import Authorization
from steersman.apiserver.config import ConfigError
from steersman.apiserver.contracts import AdmissionPlugin, Listers
from steersman.apiserver.lookup import Lookup
from steersman.client.interface import Client
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj

__all__ = ["chain", "is_on", "tasks"]

_DEFAULT = AdmissionSettings()
_TOLERATIONS = "PodTolerationRestriction"
_PARSERS: Mapping[str, Callable[[Obj | None], Any]] = {
    "PodSecurity": parse_pod_security,
    "PodNodeSelector": pod_node_selector.parse,
    _TOLERATIONS: pod_toleration_restriction.parse,
    "EventRateLimit": event_rate_limit.parse,
}
"""Those that are configured by a file. Each raises ConfigError."""


@dataclass(frozen=True, slots=True)
class _Needs:
    """What plugins are made of."""

    lookup: Lookup
    clock: Clock
    authorization: Authorization
    configurations: Mapping[str, Obj]
    client: Client | None

    def parsed(self, name: str) -> Any:
        """What the file says of a plugin. Raises ConfigError."""
        return _PARSERS[name](self.configurations.get(name))


@dataclass(frozen=True, slots=True)
class _Entry:
    """A plugin that can be switched."""

    name: str
    make: Callable[[_Needs], Iterable[AdmissionPlugin]]
    on: bool = True


def _off(name: str, make: Callable[[_Needs], Iterable[AdmissionPlugin]]) -> _Entry:
    return _Entry(name, make, False)


_ENTRIES: tuple[_Entry, ...] = (
    _off("AlwaysAdmit", lambda needs: [optional.AlwaysAdmit()]),
    _off("NamespaceAutoProvision", lambda needs: _provisioning(needs)),
    _Entry("NamespaceLifecycle", lambda needs: [NamespaceLifecycle(needs.lookup, needs.clock)]),
    _off("NamespaceExists", lambda needs: [optional.NamespaceExists(needs.lookup)]),
    _off("LimitPodHardAntiAffinityTopology", lambda needs: [optional.LimitPodHardAntiAffinityTopology()]),
    _Entry("LimitRanger", lambda needs: [LimitRanger(needs.lookup)]),
    _Entry("ServiceAccount", lambda needs: [ServiceAccount(needs.lookup, needs.clock)]),
    # Upstream leaves this one to be asked for; a cluster whose nodes keep to themselves needs it.
    _Entry("NodeRestriction", lambda needs: [NodeRestriction(needs.lookup, needs.authorization)]),
    _Entry("TaintNodesByCondition", lambda needs: [TaintNodesByCondition()]),
    _off("AlwaysPullImages", lambda needs: [optional.AlwaysPullImages()]),
    _Entry("PodSecurity", lambda needs: [PodSecurity(needs.lookup, needs.clock, needs.parsed("PodSecurity"))]),
    _off("PodNodeSelector", lambda needs: [optional.PodNodeSelector(needs.lookup, needs.parsed("PodNodeSelector"))]),
    _Entry("Priority", lambda needs: [Priority(needs.lookup)]),
    _Entry("DefaultTolerationSeconds", lambda needs: [DefaultTolerationSeconds()]),
    _off(_TOLERATIONS, lambda needs: [optional.PodTolerationRestriction(needs.lookup, needs.parsed(_TOLERATIONS))]),
    _off("EventRateLimit", lambda needs: [optional.EventRateLimit(needs.parsed("EventRateLimit"), needs.clock)]),
    _off("ExtendedResourceToleration", lambda needs: [optional.ExtendedResourceToleration()]),
    _Entry("DefaultStorageClass", lambda needs: [DefaultStorageClass(needs.lookup)]),
    _Entry("StorageObjectInUseProtection", lambda needs: [StorageObjectInUseProtection()]),
    _Entry("PersistentVolumeClaimResize", lambda needs: [PersistentVolumeClaimResize(needs.lookup)]),
    _Entry("RuntimeClass", lambda needs: [RuntimeClass(needs.lookup)]),
    _Entry("CertificateApproval", lambda needs: [CertificateApproval(needs.authorization)]),
    _Entry("CertificateSigning", lambda needs: [CertificateSigning(needs.authorization)]),
    _Entry("CertificateSubjectRestriction", lambda needs: [CertificateSubjectRestriction()]),
    _Entry("DefaultIngressClass", lambda needs: [DefaultIngressClass(needs.lookup)]),
    _off("DenyServiceExternalIPs", lambda needs: [optional.DenyServiceExternalIPs()]),
    _Entry("PodTopologyLabels", lambda needs: [PodTopologyLabels(needs.lookup)]),
    _Entry("PodResizeValidator", lambda needs: [PodResizeValidator(needs.lookup)]),
    _Entry(MutatingPolicies.name, lambda needs: [MutatingPolicies(needs.lookup.listers, needs.authorization)]),
    _Entry(MutatingWebhooks.name, lambda needs: [MutatingWebhooks(needs.lookup.listers, needs.authorization, needs.clock)]),
    _Entry(ValidatingPolicies.name, lambda needs: [ValidatingPolicies(needs.lookup.listers, needs.authorization)]),
    _Entry(ValidatingWebhooks.name, lambda needs: [ValidatingWebhooks(needs.lookup.listers, needs.authorization, needs.clock)]),
    _Entry(ResourceQuota.name, lambda needs: []),
    _off("AlwaysDeny", lambda needs: [optional.AlwaysDeny()]),
)


def chain(
    listers: Listers,
    clock: Clock,
    authorization: Authorization,
    settings: AdmissionSettings = _DEFAULT,
    client: Client | None = None,
) -> tuple[AdmissionPlugin, ...]:
    """The plugins, made once per server. client: in-process, for those that write. Raises ConfigError, OSError."""
    check(settings)
    needs = _Needs(Lookup(listers), clock, authorization, configuration.load(settings.control_config_file), client)
    chosen = [plugin for entry in _ENTRIES if is_on(entry.name, settings) for plugin in entry.make(needs)]
    # Upstream's strategies and storage do these, not its plugins: they are always on.
    return (CertificateRecord(clock), *chosen, RBACEscalation(authorization))


def tasks(plugins: Iterable[AdmissionPlugin], client: Client, clock: Clock) -> list[Callable[[], Coroutine[Any, Any, None]]]:
    """What goes on beside, while the server runs."""
    return [partial(plugin.check_types, client, clock) for plugin in plugins if isinstance(plugin, ValidatingPolicies)]


def is_on(name: str, settings: AdmissionSettings) -> bool:
    if name in settings.disable_plugins:
        return False
    return name in settings.enable_plugins or any(entry.on for entry in _ENTRIES if entry.name == name)


def check(settings: AdmissionSettings) -> None:
    """Raises ConfigError, OSError."""
    known = {entry.name for entry in _ENTRIES}
    for flag, names in (("enable", settings.enable_plugins), ("disable", settings.disable_plugins)):
        for name in names:
            if name not in known:
                raise ConfigError(f'{flag}-admission-plugins plugin "{name}" is unknown')
    both = sorted(set(settings.enable_plugins) & set(settings.disable_plugins))
    if both:
        raise ConfigError(f"{', '.join(both)} in enable-admission-plugins and disable-admission-plugins overlapped")
    given = configuration.load(settings.control_config_file)
    for name, parse in _PARSERS.items():
        if is_on(name, settings):
            parse(given.get(name))


def _provisioning(needs: _Needs) -> list[AdmissionPlugin]:
    return [optional.NamespaceAutoProvision(needs.lookup, needs.client)] if needs.client is not None else []
