"""Whether this node takes a pod that was bound to it: resources, selectors, ports, taints. Pure.

Source: upstream pkg/kubelet/lifecycle/predicate.go and handlers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from steersman.kubelet import pods
from steersman.kubelet.resources import amount, pod_total
from steersman.kubelet.security import has_strict_groups
from steersman.machinery.meta import Obj, dig, labels_of, name_of

NODE_AFFINITY = "NodeAffinity"


@dataclass(frozen=True, slots=True)
class Rejection:
    reason: str
    message: str


SAFE_SYSCTLS = frozenset((
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
))  # fmt: skip


def admit(
    pod: Obj,
    node: Obj | None,
    allocatable: Mapping[str, int],
    active: Iterable[Obj],
    unsafe_sysctls: Sequence[str] = (),
) -> Rejection | None:
    """Why the node refuses the pod, or None. `active`: the other pods that hold resources here.

    unsafe_sysctls: names allowed beside the safe ones; `*` at the end matches the rest.
    """
    os_name = dig(pod, "spec", "os", "name", default="linux")
    if os_name != "linux":
        return Rejection("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS")
    if node is not None and has_strict_groups(pod) and not dig(node, "status", "features", "supplementalGroupsPolicy"):
        text = "SupplementalGroupsPolicy=Strict is not supported in this node"
        return Rejection("SupplementalGroupsPolicyNotSupported", text)
    if refused := _sysctls(pod, unsafe_sysctls):
        return refused
    others = list(active)
    if refused := _fits(pod, allocatable, others):
        return refused
    if node is None:
        return None
    if not _selected(pod, node):
        return _failed(NODE_AFFINITY, "node(s) didn't match Pod's node affinity/selector")
    if dig(pod, "spec", "nodeName", default="") not in ("", name_of(node)):
        return _failed("NodeName", "node(s) didn't match the requested node name")
    if _ports_taken(pod, others):
        return _failed("NodePorts", "node(s) didn't have free ports for the requested pod ports")
    taint = _untolerated(pod, dig(node, "spec", "taints", default=None) or ())
    if taint is not None and not pods.is_static(pod):
        return _failed("TaintToleration", f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}")
    return None


def under_pressure(pod: Obj, pressures: Sequence[str]) -> bool:
    """Whether a node with these conditions refuses the pod: only what asked for memory comes while just that is short."""
    if pods.is_critical(pod):
        return False
    if list(pressures) != ["MemoryPressure"]:
        return True
    if pods.qos_class(pod) != "BestEffort":
        return False
    taint = {"key": "node.kubernetes.io/memory-pressure", "effect": "NoSchedule"}
    return not any(_tolerates(each, taint) for each in dig(pod, "spec", "tolerations", default=None) or ())


def _sysctls(pod: Obj, allowed: Sequence[str]) -> Rejection | None:
    for item in dig(pod, "spec", "securityContext", "sysctls", default=None) or ():
        name = item["name"].replace("/", ".")
        known = name in SAFE_SYSCTLS or any(fnmatchcase(name, pattern) for pattern in allowed)
        if not known or (name.startswith("net.") and pods.is_host_network(pod)):
            return Rejection("SysctlForbidden", f'forbidden sysctl: "{name}" not allowlisted')
    return None


def _failed(plugin: str, why: str) -> Rejection:
    return Rejection(plugin, f"Predicate {plugin} failed: {why}")


def _fits(pod: Obj, allocatable: Mapping[str, int], others: list[Obj]) -> Rejection | None:
    limit = allocatable.get("pods")
    if limit is not None and len(others) + 1 > limit:
        return _short("pods", 1, len(others), limit)
    wanted = {key: value for key, value in _requests(pod).items() if value > 0}
    if not wanted:
        return None
    used: dict[str, int] = {}
    for other in others:
        for key, value in _requests(other).items():
            used[key] = used.get(key, 0) + value
    for key in ("cpu", "memory", *sorted(wanted.keys() - {"cpu", "memory"})):
        need = wanted.get(key, 0)
        have = allocatable.get(key)
        # What this node knows nothing of is counted by somebody else (extended resources of the API's, ephemeral-storage ...).
        if need and have is None and not key.startswith("hugepages-"):
            continue
        if need and need + used.get(key, 0) > (have or 0):
            return _short(key, need, used.get(key, 0), have or 0)
    return None


def _requests(pod: Obj) -> Mapping[str, int]:
    """pod_total of the requests. Asked of every pod of the node for each that comes: quick for the usual one of one container."""
    spec = pod["spec"]
    containers: list[Obj] = spec.get("containers") or []
    if len(containers) != 1 or spec.get("initContainers") or spec.get("resources") or spec.get("overhead"):
        return pod_total(pod, "requests")
    listed = (containers[0].get("resources") or {}).get("requests")
    return _amounts(tuple(listed.items())) if listed else {}


@lru_cache(1024)
def _amounts(listed: tuple[tuple[str, str | int | float], ...]) -> Mapping[str, int]:
    return {key: amount(key, value) for key, value in listed}


def _short(resource: str, requested: int, used: int, capacity: int) -> Rejection:
    text = f"Node didn't have enough resource: {resource}, requested: {requested}, used: {used}, capacity: {capacity}"
    return Rejection(f"OutOf{resource}", text)


def _selected(pod: Obj, node: Obj) -> bool:
    labels = labels_of(node)
    wanted = dig(pod, "spec", "nodeSelector", default=None) or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    key = "requiredDuringSchedulingIgnoredDuringExecution"
    required = dig(pod, "spec", "affinity", "nodeAffinity", key, default=None)
    if required is None:
        return True
    return any(term_matches(term, node) for term in required.get("nodeSelectorTerms") or ())


def term_matches(term: Obj, node: Obj) -> bool:
    """A node selector term; one without requirements matches nothing."""
    expressions, fields = term.get("matchExpressions") or [], term.get("matchFields") or []
    if not expressions and not fields:
        return False
    names = {"metadata.name": name_of(node)}
    return all(_expression(each, labels_of(node)) for each in expressions) and all(_expression(each, names) for each in fields)


def _expression(expression: Obj, values: Mapping[str, str]) -> bool:
    found, listed = values.get(expression["key"]), expression.get("values") or []
    operator = expression["operator"]
    if operator == "In":
        return found in listed
    if operator == "NotIn":
        return found not in listed
    if operator == "Exists":
        return found is not None
    if operator == "DoesNotExist":
        return found is None
    try:
        number, bound = int(found or ""), int(listed[0])
    except (ValueError, IndexError):
        return False
    return number > bound if operator == "Gt" else number < bound


def _host_ports(pod: Obj) -> set[tuple[str, str, int]]:
    return {
        (port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", port["hostPort"])
        for spec in pods.containers(pod) + pods.sidecars(pod)
        for port in spec.get("ports") or ()
        if port.get("hostPort")
    }


def _ports_taken(pod: Obj, others: list[Obj]) -> bool:
    wanted = _host_ports(pod)
    if not wanted:
        return False
    for other in others:
        for ip, protocol, port in _host_ports(other):
            for own_ip, own_protocol, own_port in wanted:
                same = own_ip == ip or "0.0.0.0" in (own_ip, ip)
                if same and (own_protocol, own_port) == (protocol, port):
                    return True
    return False


def _untolerated(pod: Obj, taints: Iterable[Obj]) -> Obj | None:
    tolerations = dig(pod, "spec", "tolerations", default=None) or ()
    for taint in taints:
        if taint.get("effect") == "NoExecute" and not any(_tolerates(each, taint) for each in tolerations):
            return taint
    return None


def _tolerates(toleration: Obj, taint: Obj) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    if toleration.get("operator") == "Exists":
        return True
    return bool(toleration.get("key")) and (toleration.get("value") or "") == (taint.get("value") or "")
