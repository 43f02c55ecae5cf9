"""CPU, memory and OOM arithmetic: from a pod's resource lists to the kernel's numbers. Pure.

Source: upstream pkg/kubelet/cm/helpers_linux.go, pkg/kubelet/qos/policy.go, pkg/api/v1/resource.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from steersman.cri.messages import Resources
from steersman.kubelet import pods
from steersman.kubelet.config import KubeletConfig
from steersman.machinery import quantity
from steersman.machinery.meta import Obj, dig, uid_of

CPU_PERIOD = 100_000
HUGE_PAGES = "hugepages-"
_POD_LEVEL = ("cpu", "memory")


def amount(resource: str, value: str | int | float) -> int:
    """A quantity in the unit used for that resource here: cpu in thousandths of a core, everything else in whole units."""
    return quantity.milli(value) if resource == "cpu" else quantity.value(value)


def amounts(listed: Mapping[str, str] | None) -> dict[str, int]:
    return {key: amount(key, value) for key, value in (listed or {}).items()}


def _add(into: dict[str, int], more: Mapping[str, int]) -> None:
    for key, value in more.items():
        into[key] = into.get(key, 0) + value


def pod_total(pod: Obj, field: str) -> dict[str, int]:
    """The pod's effective `requests` or `limits`: those of its containers; pod-level wins; overhead on top."""
    total = _containers_total(pod, field)
    for key, value in amounts(dig(pod, "spec", "resources", field)).items():
        if key in _POD_LEVEL or key.startswith(HUGE_PAGES):
            total[key] = value
    overhead = amounts(dig(pod, "spec", "overhead"))
    _add(total, overhead if field == "requests" else {key: value for key, value in overhead.items() if total.get(key)})
    return total


def _containers_total(pod: Obj, field: str) -> dict[str, int]:
    """What runs at once, or the largest init step."""
    running: dict[str, int] = {}
    peak: dict[str, int] = {}
    beside: dict[str, int] = {}
    for spec in pods.containers(pod):
        _add(running, amounts(dig(spec, "resources", field)))
    for spec in pods.init_containers(pod):
        own = amounts(dig(spec, "resources", field))
        if pods.is_sidecar(spec):
            _add(running, own)
            _add(beside, own)
            step = beside
        else:
            step = dict(beside)
            _add(step, own)
        for key, value in step.items():
            peak[key] = max(peak.get(key, 0), value)
    return {key: max(running.get(key, 0), peak.get(key, 0)) for key in running.keys() | peak.keys()}


def cpu_shares(milli: int) -> int:
    return min(max(milli * 1024 // 1000, 2), 262144)


def cpu_quota(milli: int) -> int:
    """Microseconds per period; 0 = none."""
    return max(milli * CPU_PERIOD // 1000, 1000) if milli > 0 else 0


def cpu_weight(shares: int) -> int:
    """cgroup v2's weight for v1's shares (the runtimes' curve since 2025)."""
    from math import ceil, log2

    if shares <= 2:
        return 1
    if shares >= 262144:
        return 10000
    level = log2(shares)
    return ceil(10 ** ((level * level + 125 * level) / 612 - 7 / 34))


def oom_score_adj(pod: Obj, spec: Obj, memory_capacity: int) -> int:
    """Who dies first when the node runs out of memory."""
    qos = pods.qos_class(pod)
    if qos == "Guaranteed" or int(dig(pod, "spec", "priority", default=0)) >= 2_000_001_000:
        return -997
    if qos == "BestEffort":
        return 1000
    requested = _requested_memory(spec)
    if pods.is_sidecar(spec) and any(spec["name"] == each["name"] for each in pods.init_containers(pod)):
        # What it serves would not live without it.
        requested = max(requested, min(map(_requested_memory, pods.containers(pod)), default=0))
    score = 1000 - 1000 * (requested + _unclaimed_memory(pod)) // max(memory_capacity, 1)
    return min(max(score, 3), 999)


def _requested_memory(spec: Obj) -> int:
    return amounts(dig(spec, "resources", "requests")).get("memory", 0)


def _unclaimed_memory(pod: Obj) -> int:
    """Each container's part of what the pod as a whole asks for beyond what they ask for themselves."""
    asked = amounts(dig(pod, "spec", "resources", "requests")).get("memory", 0)
    if not asked:
        return 0
    own = _containers_total(pod, "requests").get("memory", 0)
    return (asked - own) // len(pods.containers(pod) + pods.init_containers(pod))


def page_size(resource: str) -> str:
    """As control groups name it: `2MB` for hugepages-2Mi."""
    size = quantity.value(resource.removeprefix(HUGE_PAGES))
    power = max((size.bit_length() - 1) // 10, 0)
    return f"{size >> 10 * power}{('', 'K', 'M', 'G', 'T', 'P')[power]}B"


def huge_pages(limits: Mapping[str, int], node: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """What a container may have of each size: nothing of those it does not name, where the node has any."""
    there = {key: 0 for key, value in node.items() if key.startswith(HUGE_PAGES) and value}
    asked = {key: value for key, value in limits.items() if key.startswith(HUGE_PAGES)}
    return tuple((page_size(key), value) for key, value in sorted((there | asked).items()))


def _inherited(pod: Obj, spec: Obj) -> dict[str, int]:
    """Limits of the pod for a container without its own: programs that size themselves by theirs find those."""
    whole, own = (amounts(dig(each, "resources", "limits")) for each in (pod["spec"], spec))
    return {key: whole[key] for key in _POD_LEVEL if key in whole and not own.get(key)}


def heirs(pod: Obj) -> frozenset[str]:
    """The containers that a change of the pod's own limits changes, too."""
    every = (*pods.init_containers(pod), *pods.containers(pod))
    return frozenset(spec["name"] for spec in every if _inherited(pod, spec))


def container_resources(pod: Obj, spec: Obj, memory_capacity: int, pids_limit: int = 0) -> Resources:
    requests, limits = amounts(dig(spec, "resources", "requests")), amounts(dig(spec, "resources", "limits"))
    limits |= _inherited(pod, spec)
    base = requests["cpu"] if "cpu" in requests else limits.get("cpu", 0)
    return Resources(
        cpu_shares=cpu_shares(base),
        cpu_quota=cpu_quota(limits.get("cpu", 0)),
        cpu_period=CPU_PERIOD,
        memory_limit=limits.get("memory", 0),
        oom_score_adj=oom_score_adj(pod, spec, memory_capacity),
        pids_limit=pids_limit,
    )


def pod_resources(pod: Obj) -> Resources:
    """Limits of the pod's own cgroup: shares always; quota and memory only if every container (or the pod) is limited."""
    if pods.qos_class(pod) == "BestEffort":
        return Resources(cpu_shares=2)
    requests, limits = pod_total(pod, "requests"), pod_total(pod, "limits")

    def all_limited(resource: str) -> bool:
        if resource in (dig(pod, "spec", "resources", "limits") or {}):
            return True
        return all(resource in (dig(spec, "resources", "limits") or {}) for spec in pods.containers(pod) + pods.sidecars(pod))

    return Resources(
        cpu_shares=cpu_shares(requests.get("cpu") or limits.get("cpu", 0)),
        cpu_quota=cpu_quota(limits.get("cpu", 0)) if all_limited("cpu") else 0,
        cpu_period=CPU_PERIOD,
        memory_limit=limits.get("memory", 0) if all_limited("memory") else 0,
        huge_pages=huge_pages(limits, {}),
    )


def limited(amounts: Resources, config: KubeletConfig) -> Resources:
    """A pod's or container's resources as this kubelet's settings will have them."""
    quota = amounts.cpu_quota if config.cpu_quota else 0
    return replace(amounts, cpu_quota=quota, pids_limit=config.pod_pids_limit or amounts.pids_limit)


def cgroup_parent(pod: Obj, root: str) -> str:
    """The pod's cgroup: Guaranteed pods lie directly below the node's, others below their QoS class."""
    qos = pods.qos_class(pod)
    below = "" if qos == "Guaranteed" else f"/{qos.lower()}"
    return f"/{root.strip('/')}{below}/pod{uid_of(pod)}"


def resource_field(pod: Obj, own: Obj | None, ref: Obj, allocatable: Mapping[str, int]) -> str:
    """The value of a resourceFieldRef; `own` is the container it is asked in. Missing limits fall back to the node's allocatable.

    Raises ValueError for an unknown container or resource.
    """
    spec = pods.find_container(pod, ref["containerName"]) if ref.get("containerName") else own
    if spec is None:
        raise ValueError(f"container {ref.get('containerName', '')} not found")
    side, _, resource = ref["resource"].partition(".")
    if side not in ("limits", "requests") or not resource:
        raise ValueError(f"unsupported container resource : {ref['resource']}")
    listed = dig(spec, "resources", side, default=None) or {}
    if resource in listed:
        nano = quantity.parse(listed[resource]).nano
    elif side == "limits" and resource in (dig(pod, "spec", "resources", "limits", default=None) or {}):
        nano = quantity.parse(pod["spec"]["resources"]["limits"][resource]).nano
    elif side == "limits":
        nano = allocatable.get(resource, 0) * (10**6 if resource == "cpu" else 10**9)
    else:
        nano = 0
    divisor = quantity.parse(ref.get("divisor") or "1").nano or 10**9
    return str(-(-nano // divisor))
