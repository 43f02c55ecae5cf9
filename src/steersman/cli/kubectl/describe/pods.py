"""Pod."""

from __future__ import annotations

from steersman.cli.kubectl.describe.containers import write_containers, write_resources
from steersman.cli.kubectl.describe.golang import rfc1123
from steersman.cli.kubectl.describe.subject import (
    Subject,
    write_annotations,
    write_controller,
    write_events,
    write_labels,
)
from steersman.cli.kubectl.describe.templates import write_spreading, write_tolerations, write_volumes
from steersman.cli.kubectl.describe.writer import Writer
from steersman.machinery import quantity
from steersman.machinery.meta import Obj, annotations_of, condition, labels_of, metadata, name_of, namespace_of

_MIRROR = "kubernetes.io/config.mirror"


async def describe_pod(subject: Subject, w: Writer) -> None:
    pod, spec, status = subject.obj, subject.spec, subject.status
    _write_identity(w, subject)
    _write_phase(w, subject)
    w.field("IP", status.get("podIP", ""))
    _write_addresses(w, status)
    write_controller(w, pod)
    if status.get("nominatedNodeName"):
        w.field("NominatedNodeName", status["nominatedNodeName"])
    if spec.get("resources") is not None:
        w.write("Resources:\n")
        write_resources(w, spec["resources"], 1)
    if spec.get("initContainers"):
        write_containers(w, "Init Containers", spec["initContainers"], status.get("initContainerStatuses") or (), pod=pod)
    write_containers(w, "Containers", spec.get("containers") or (), status.get("containerStatuses") or (), pod=pod)
    if spec.get("ephemeralContainers"):
        statuses = status.get("ephemeralContainerStatuses") or ()
        write_containers(w, "Ephemeral Containers", spec["ephemeralContainers"], statuses, pod=pod)
    _write_conditions(w, subject)
    write_volumes(w, spec.get("volumes") or ())
    w.field("QoS Class", status.get("qosClass") or qos_class(spec))
    write_labels(w, "Node-Selectors", spec.get("nodeSelector"))
    write_tolerations(w, spec.get("tolerations") or ())
    write_spreading(w, spec.get("topologySpreadConstraints") or ())
    if subject.show_events:
        # Events of a static pod are about the kubelet's pod, whose UID the mirror carries.
        uid = annotations_of(pod).get(_MIRROR)
        write_events(w, await subject.events(kind="", uid=uid), subject.now)


def _write_identity(w: Writer, subject: Subject) -> None:
    pod, spec = subject.obj, subject.spec
    w.field("Name", name_of(pod))
    w.field("Namespace", namespace_of(pod))
    if spec.get("priority") is not None:
        w.field("Priority", spec["priority"])
    for title, key in (
        ("Priority Class Name", "priorityClassName"),
        ("Runtime Class Name", "runtimeClassName"),
        ("Service Account", "serviceAccountName"),
    ):
        if spec.get(key):
            w.field(title, spec[key])
    node = spec.get("nodeName")
    w.field("Node", f"{node}/{subject.status.get('hostIP', '')}" if node else "<none>")
    if subject.status.get("startTime"):
        w.field("Start Time", rfc1123(subject.status["startTime"]))
    write_labels(w, "Labels", labels_of(pod))
    write_annotations(w, annotations_of(pod))


def _write_phase(w: Writer, subject: Subject) -> None:
    status, meta = subject.status, metadata(subject.obj)
    if meta.get("deletionTimestamp") and status.get("phase") not in ("Failed", "Succeeded"):
        w.field("Status", f"Terminating (lasts {subject.since(meta['deletionTimestamp'])})")
        w.field("Termination Grace Period", f"{meta.get('deletionGracePeriodSeconds', 0)}s")
    else:
        w.field("Status", status.get("phase", ""))
    for title, key in (("Reason", "reason"), ("Message", "message")):
        if status.get(key):
            w.field(title, status[key])
    profile = (subject.spec.get("securityContext") or {}).get("seccompProfile")
    if profile is not None:
        w.field("SeccompProfile", profile.get("type", ""))
        if profile.get("type") == "Localhost":
            w.field("LocalhostProfile", profile.get("localhostProfile", ""))


def _write_addresses(w: Writer, status: Obj) -> None:
    addresses = status.get("podIPs") or ()
    w.write("IPs:\n" if addresses else "IPs:\t<none>\n")
    for address in addresses:
        w.field("IP", address.get("ip", ""), 1)


def _write_conditions(w: Writer, subject: Subject) -> None:
    conditions = subject.status.get("conditions") or ()
    gates = subject.spec.get("readinessGates") or ()
    if gates:
        w.write("Readiness Gates:\n  Type\tStatus\n")
    for gate in gates:
        found = condition(conditions, gate.get("conditionType", ""))
        w.row(f"{gate.get('conditionType', '')} ", f"{found.get('status', '') if found else '<none>'} ")
    if conditions:
        w.write("Conditions:\n  Type\tStatus\n")
    for item in conditions:
        w.row(f"{item.get('type', '')} ", f"{item.get('status', '')} ")


def qos_class(spec: Obj) -> str:
    """For a pod whose status does not tell: an old server's, or one not yet admitted."""
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    guaranteed, any_set = True, False
    for container in containers:
        resources = container.get("resources") or {}
        requests, limits = _counted(resources.get("requests")), _counted(resources.get("limits"))
        any_set = any_set or bool(requests or limits)
        guaranteed = guaranteed and limits.keys() == {"cpu", "memory"} and requests == limits
    if not any_set:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _counted(amounts: Obj | None) -> dict[str, quantity.Quantity]:
    found = {name: quantity.parse(amounts[name]) for name in ("cpu", "memory") if name in amounts} if amounts else {}
    return {name: amount for name, amount in found.items() if amount.sign > 0}


DESCRIBERS = {"Pod": describe_pod}
