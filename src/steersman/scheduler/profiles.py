"""The default profile: upstream's default plugins that exist here, in upstream's order (order decides which reason is told)."""

from __future__ import annotations

from steersman.scheduler.framework import Profile
from steersman.scheduler.plugins.default_binder import DefaultBinder
from steersman.scheduler.plugins.default_preemption import DefaultPreemption
from steersman.scheduler.plugins.image_locality import ImageLocality
from steersman.scheduler.plugins.inter_pod_affinity.plugin import InterPodAffinity
from steersman.scheduler.plugins.node_affinity import NodeAffinity
from steersman.scheduler.plugins.node_name import NodeName
from steersman.scheduler.plugins.node_ports import NodePorts
from steersman.scheduler.plugins.node_resources_balanced_allocation import NodeResourcesBalancedAllocation
from steersman.scheduler.plugins.node_resources_fit import NodeResourcesFit
from steersman.scheduler.plugins.node_unschedulable import NodeUnschedulable
from steersman.scheduler.plugins.node_volume_limits import NodeVolumeLimits
from steersman.scheduler.plugins.pod_topology_spread.plugin import PodTopologySpread
from steersman.scheduler.plugins.priority_sort import PrioritySort
from steersman.scheduler.plugins.scheduling_gates import SchedulingGates
from steersman.scheduler.plugins.taint_toleration import TaintToleration
from steersman.scheduler.plugins.volume_binding import VolumeBinding
from steersman.scheduler.plugins.volume_restrictions import VolumeRestrictions
from steersman.scheduler.plugins.volume_zone import VolumeZone

DEFAULT_SCHEDULER = "default-scheduler"


def default_profile(scheduler_name: str = DEFAULT_SCHEDULER) -> Profile:
    spread, affinity, preemption = PodTopologySpread(), InterPodAffinity(), DefaultPreemption()
    volumes = VolumeBinding()
    return Profile(
        scheduler_name=scheduler_name,
        queue_sort=PrioritySort(),
        bind=DefaultBinder(),
        pre_enqueue=(SchedulingGates(), preemption),
        filters=(
            NodeUnschedulable(),
            NodeName(),
            TaintToleration(),
            NodeAffinity(),
            NodePorts(),
            NodeResourcesFit(),
            VolumeRestrictions(),
            NodeVolumeLimits(),
            volumes,
            VolumeZone(),
            spread,
            affinity,
        ),
        post_filter=preemption,
        scores=(
            TaintToleration(),
            NodeAffinity(),
            NodeResourcesFit(),
            spread,
            affinity,
            NodeResourcesBalancedAllocation(),
            ImageLocality(),
        ),
        pre_bind=volumes,
    )
