"""Whether this node could ever carry out a resize, however much room it has. Pure."""

from __future__ import annotations

from steersman.kubelet import pods
from steersman.kubelet.config import KubeletConfig
from steersman.machinery.meta import Obj

_LEAD = "Resize is infeasible for Guaranteed Pods alongside"


def infeasible(pod: Obj, config: KubeletConfig) -> str:
    """Why not, or ''. Managers that hand out whole CPUs or memory nodes could not take them back."""
    if pods.qos_class(pod) != "Guaranteed":
        return ""
    if config.configuration.get("cpuManagerPolicy") == "static":
        return f"{_LEAD} CPU Manager static policy"
    if config.configuration.get("memoryManagerPolicy") == "Static":
        return f"{_LEAD} Memory Manager static policy"
    return ""
