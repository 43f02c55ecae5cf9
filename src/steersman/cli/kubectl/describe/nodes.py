"""Node and CSINode."""

from __future__ import annotations

from steersman.api.resources import LEASES, PODS
from steersman.cli.kubectl.describe.amounts import requests_and_limits, total
from steersman.cli.kubectl.describe.golang import rfc1123, verb_v
from steersman.cli.kubectl.describe.subject import (
    Subject,
    head,
    or_unset,
    write_annotations,
    write_events,
    write_labels,
    write_timed_conditions,
)
from steersman.cli.kubectl.describe.writer import Writer
from steersman.machinery import quantity
from steersman.machinery.errors import Forbidden, StatusError
from steersman.machinery.meta import Obj, annotations_of, labels_of, metadata, name_of, namespace_of
from steersman.machinery.quantity import ZERO, Quantity

_ROLE_PREFIX, _ROLE = "node-role.kubernetes.io/", "kubernetes.io/role"
_SYSTEM_INFO = (
    ("Machine ID", "machineID"), ("System UUID", "systemUUID"), ("Boot ID", "bootID"), ("Kernel Version", "kernelVersion"),
    ("OS Image", "osImage"), ("Operating System", "operatingSystem"), ("Architecture", "architecture"),
    ("Container Runtime Version", "containerRuntimeVersion"), ("Kubelet Version", "kubeletVersion"),
    ("Kube-Proxy Version", "kubeProxyVersion"),
)  # fmt: skip
_STANDARD = ("cpu", "memory", "ephemeral-storage")
_HUGE_PAGES = "hugepages-"


async def describe_node(subject: Subject, w: Writer) -> None:
    node, spec, status = subject.obj, subject.spec, subject.status
    w.field("Name", name_of(node))
    w.field("Roles", ",".join(_roles(labels_of(node))) or "<none>")
    write_labels(w, "Labels", labels_of(node))
    write_annotations(w, annotations_of(node))
    w.field("CreationTimestamp", rfc1123(metadata(node).get("creationTimestamp")))
    w.entries("Taints", sorted_taints(spec.get("taints") or []))
    w.field("Unschedulable", verb_v(bool(spec.get("unschedulable"))))
    await _write_lease(w, subject)
    write_timed_conditions(w, status.get("conditions"), heartbeat="lastHeartbeatTime", title="LastHeartbeatTime")
    w.write("Addresses:\n")
    for address in status.get("addresses") or ():
        w.field(address.get("type", ""), address.get("address", ""), 1)
    for title, key in (("Capacity", "capacity"), ("Allocatable", "allocatable")):
        if amounts := status.get(key):
            w.write(f"{title}:\n")
            for name in sorted(amounts):
                w.field(name, quantity.canonical(amounts[name]), 1)
    w.write("System Info:\n")
    info = status.get("nodeInfo") or {}
    for title, key in _SYSTEM_INFO:
        w.field(title, info.get(key, ""), 1)
    if spec.get("podCIDR"):
        w.field("PodCIDR", spec["podCIDR"])
    if spec.get("podCIDRs"):
        w.field("PodCIDRs", ",".join(spec["podCIDRs"]))
    if spec.get("providerID"):
        w.field("ProviderID", spec["providerID"])
    await _write_pods(w, subject)
    if subject.show_events:
        # Controllers write about the node's UID, kubelets about its name as if it were one.
        events = await subject.events() + await subject.events(uid=name_of(node))
        write_events(w, events, subject.now)


def _roles(labels: dict[str, str]) -> list[str]:
    found = {key.removeprefix(_ROLE_PREFIX) for key in labels if key.startswith(_ROLE_PREFIX)} | {labels.get(_ROLE, "")}
    return sorted(found - {""})


def sorted_taints(taints: list[Obj]) -> list[str]:
    ordered = sorted(taints, key=lambda taint: f"{taint.get('effect', '')},{taint.get('key', '')}")
    return [_taint(taint.get("key", ""), taint.get("value", ""), taint.get("effect", "")) for taint in ordered]


def _taint(key: str, value: str, effect: str) -> str:
    text = f"{key}={value}" if value else key
    return f"{text}:{effect}" if effect or value else text


async def _write_lease(w: Writer, subject: Subject) -> None:
    try:
        lease = await subject.client.get(LEASES, name_of(subject.obj), "kube-node-lease")
    except StatusError as error:
        w.field("Lease", f"Failed to get lease: {error}")
        return
    spec = lease.get("spec") or {}
    w.write("Lease:\n")
    w.field("HolderIdentity", or_unset(spec.get("holderIdentity")), 1)
    for title, key in (("AcquireTime", "acquireTime"), ("RenewTime", "renewTime")):
        w.field(title, rfc1123(spec[key]) if spec.get(key) else "<unset>", 1)


async def _write_pods(w: Writer, subject: Subject) -> None:
    wanted = f"spec.nodeName={name_of(subject.obj)},status.phase!=Failed,status.phase!=Succeeded"
    try:
        pods = await subject.items(PODS, field_selector=wanted)
    except Forbidden:
        w.field("Pods", "not authorized")
        return
    given = subject.status.get("allocatable") or subject.status.get("capacity") or {}
    allocatable = {name: quantity.parse(amount) for name, amount in given.items()}
    w.field("Non-terminated Pods", f"({len(pods)} in total)")
    w.row("Namespace", "Name", "", "CPU Requests", "CPU Limits", "Memory Requests", "Memory Limits", "Age")
    w.row("---------", "----", "", "------------", "----------", "---------------", "-------------", "---")
    for pod in pods:
        both = requests_and_limits(pod)
        cells = [
            _share(amounts.get(name, ZERO), allocatable.get(name, ZERO), name, guarded=False)
            for name in ("cpu", "memory")
            for amounts in both
        ]
        w.row(namespace_of(pod), name_of(pod), "", *cells, subject.since(metadata(pod).get("creationTimestamp")))
    _write_totals(w, pods, allocatable)


def _write_totals(w: Writer, pods: list[Obj], allocatable: dict[str, Quantity]) -> None:
    w.write("Allocated resources:\n  (Total limits may be over 100 percent, i.e., overcommitted.)\n")
    w.heading("Resource", "Requests", "Limits")
    requests, limits = total(pods)
    pages = sorted(name for name in allocatable if name.startswith(_HUGE_PAGES))
    for name in (*_STANDARD, *pages):
        whole = allocatable.get(name, ZERO)
        w.row(name, _share(requests.get(name, ZERO), whole, name), _share(limits.get(name, ZERO), whole, name))
    for name in sorted(allocatable.keys() - {*_STANDARD, *pages, "pods"}):
        w.row(name, requests.get(name, ZERO), limits.get(name, ZERO))


def _share(amount: Quantity, whole: Quantity, name: str, *, guarded: bool = True) -> str:
    part, of = (amount.milli, whole.milli) if name == "cpu" else (amount.value, whole.value)
    if of:
        percent = int(part / of * 100)
    else:
        # Upstream looks out for nodes without the resource only in the totals; elsewhere it shows what infinity becomes.
        percent = 0 if guarded else -(1 << 63)
    return f"{amount} ({percent}%)"


async def describe_csi_node(subject: Subject, w: Writer) -> None:
    head(w, subject.obj, namespace=False)
    w.field("CreationTimestamp", rfc1123(metadata(subject.obj).get("creationTimestamp")))
    w.write("Spec:\n")
    drivers = subject.spec.get("drivers")
    if drivers is not None:
        w.write("Drivers:\n", 1)
    for driver in drivers or ():
        w.write(f"{driver.get('name', '')}:\n", 2)
        w.field("Node ID", driver.get("nodeID", ""), 3)
        count = (driver.get("allocatable") or {}).get("count")
        if count is not None:
            w.write("Allocatables:\n", 3)
            w.field("Count", count, 4)
        if driver.get("topologyKeys") is not None:
            w.field("Topology Keys", verb_v(driver["topologyKeys"]), 3)
    await subject.write_events(w)


DESCRIBERS = {"Node": describe_node, "CSINode": describe_csi_node}
