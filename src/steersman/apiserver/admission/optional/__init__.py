"""Plugins that upstream has and leaves off unless --enable-admission-plugins names them. One file each."""

from steersman.apiserver.admission.optional.always import AlwaysAdmit, AlwaysDeny
from steersman.apiserver.admission.optional.always_pull_images import AlwaysPullImages
from steersman.apiserver.admission.optional.deny_service_external_ips import DenyServiceExternalIPs
from steersman.apiserver.admission.optional.event_rate_limit import EventRateLimit
from steersman.apiserver.admission.optional.extended_resource_toleration import ExtendedResourceToleration
from steersman.apiserver.admission.optional.limit_pod_hard_anti_affinity_topology import LimitPodHardAntiAffinityTopology
from steersman.apiserver.admission.optional.namespaces import NamespaceAutoProvision, NamespaceExists
from steersman.apiserver.admission.optional.pod_node_selector import PodNodeSelector
from steersman.apiserver.admission.optional.pod_toleration_restriction import PodTolerationRestriction

__all__ = [
    "AlwaysAdmit",
    "AlwaysDeny",
    "AlwaysPullImages",
    "DenyServiceExternalIPs",
    "EventRateLimit",
    "ExtendedResourceToleration",
    "LimitPodHardAntiAffinityTopology",
    "NamespaceAutoProvision",
    "NamespaceExists",
    "PodNodeSelector",
    "PodTolerationRestriction",
]
