"""What evictions say, in upstream's words. Pure."""

from __future__ import annotations

from steersman.kubelet import pods
from steersman.kubelet.eviction.ranking import PodUse, container_requested, used
from steersman.kubelet.eviction.signals import SIGNALS, Reading, Threshold
from steersman.machinery.meta import Obj
from steersman.machinery.quantity import BINARY_SI, Quantity

REASON = "Evicted"


def low(pod: PodUse, threshold: Threshold, reading: Reading, *, dedicated: bool) -> tuple[str, Obj]:
    """(message, annotations of the event) for a pod that ends because the node is short of something."""
    resource = SIGNALS[threshold.signal].resource
    limit, available = _amount(threshold.amount.of(reading.capacity)), _amount(reading.available)
    text = f"The node was low on resource: {resource}. Threshold quantity: {limit}, available: {available}. "
    names, usages = [], []
    if resource in ("memory", "ephemeral-storage"):
        for spec in pods.all_containers(pod.pod):
            use, request = pod.containers.get(spec["name"]), container_requested(spec, resource)
            if use is None:
                continue
            usage = used(use, threshold.signal, dedicated=dedicated)
            if usage > request:
                text += f"Container {spec['name']} was using {_amount(usage)}, request is {_amount(request)}, "
                text += f"has larger consumption of {resource}. "
                names.append(spec["name"])
                usages.append(_amount(usage))
    annotations = {"starved_resource": resource}
    if names:
        annotations |= {"offending_containers": ",".join(names), "offending_containers_usage": ",".join(usages)}
    return text, annotations


def over_volume(volume: str, limit: str) -> str:
    return f'Usage of EmptyDir volume "{volume}" exceeds the limit "{limit}". '


def over_pod(limit: int) -> str:
    return f"Pod ephemeral local storage usage exceeds the total limit of containers {_amount(limit)}. "


def over_container(container: str, limit: str) -> str:
    return f'Container {container} exceeded its local ephemeral storage limit "{limit}". '


def refused(pressures: tuple[str, ...]) -> str:
    """To a pod that is not taken in."""
    return f"The node had condition: [{' '.join(pressures)}]. "


def _amount(value: int) -> str:
    return str(Quantity.of(value, BINARY_SI))
