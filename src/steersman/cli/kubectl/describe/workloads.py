"""Deployment, ReplicaSet, ReplicationController, DaemonSet, StatefulSet."""

from __future__ import annotations

from collections import Counter

from steersman.api.resources import PODS, REPLICA_SETS
from steersman.cli.kubectl.describe.claims import write_claim_templates
from steersman.cli.kubectl.describe.golang import rfc1123
from steersman.cli.kubectl.describe.subject import (
    Subject,
    pairs,
    selector_text,
    write_annotations,
    write_conditions,
    write_controller,
    write_labels,
)
from steersman.cli.kubectl.describe.templates import write_template
from steersman.cli.kubectl.describe.writer import Writer
from steersman.machinery import labels
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Obj, annotations_of, controller_of, labels_of, metadata, name_of, namespace_of, uid_of

_HASH = "pod-template-hash"


async def describe_deployment(subject: Subject, w: Writer) -> None:
    deployment, spec, status = subject.obj, subject.spec, subject.status
    selector = labels.from_label_selector(spec.get("selector"))
    _write_name(w, deployment)
    w.field("CreationTimestamp", rfc1123(metadata(deployment).get("creationTimestamp")))
    _write_marks(w, deployment)
    w.field("Selector", selector)
    counts = (
        f"{spec.get('replicas', 0)} desired | {status.get('updatedReplicas', 0)} updated | {status.get('replicas', 0)} total"
        f" | {status.get('availableReplicas', 0)} available | {status.get('unavailableReplicas', 0)} unavailable"
    )
    w.field("Replicas", counts)
    strategy = spec.get("strategy") or {}
    w.field("StrategyType", strategy.get("type", ""))
    w.field("MinReadySeconds", spec.get("minReadySeconds", 0))
    if (rolling := strategy.get("rollingUpdate")) is not None:
        text = f"{rolling.get('maxUnavailable', 0)} max unavailable, {rolling.get('maxSurge', 0)} max surge"
        w.field("RollingUpdateStrategy", text)
    write_template(w, spec.get("template"))
    write_conditions(w, status.get("conditions"))
    old, new = await _replica_sets(subject, str(selector))
    if old or new:
        w.field("OldReplicaSets", _created(old))
        w.field("NewReplicaSet", _created(new))
    await subject.write_events(w)


async def _replica_sets(subject: Subject, selector: str) -> tuple[list[Obj], list[Obj]]:
    """(old, new), oldest first. New is the oldest whose template is the Deployment's."""
    try:
        found = await subject.items(REPLICA_SETS, namespace_of(subject.obj), label_selector=selector)
    except StatusError:
        return [], []
    own = [item for item in found if (controller_of(item) or {}).get("uid") == uid_of(subject.obj)]
    own.sort(key=lambda item: (metadata(item).get("creationTimestamp") or "", name_of(item)))
    wanted = _template(subject.obj)
    new = next((item for item in own if _template(item) == wanted), None)
    return [item for item in own if item is not new], [new] if new else []


def _template(workload: Obj) -> Obj:
    """The pod template without the label that tells ReplicaSets apart."""
    template = (workload.get("spec") or {}).get("template") or {}
    meta = metadata({**template})
    kept = {key: value for key, value in (meta.get("labels") or {}).items() if key != _HASH}
    return {**template, "metadata": {**meta, "labels": kept, "creationTimestamp": None}}


def _created(replica_sets: list[Obj]) -> str:
    texts = [
        f"{name_of(item)} ({(item.get('status') or {}).get('replicas', 0)}/{item['spec'].get('replicas', 0)} replicas created)"
        for item in replica_sets
    ]
    return ", ".join(texts) or "<none>"


async def describe_replica_set(subject: Subject, w: Writer) -> None:
    spec, status = subject.spec, subject.status
    try:
        pods = await _pods_status(subject, str(labels.from_label_selector(spec.get("selector"))))
    except StatusError as error:
        pods = f"error in fetching pods: {error}"
    _write_name(w, subject.obj)
    w.field("Selector", selector_text(spec.get("selector")))
    _write_marks(w, subject.obj)
    write_controller(w, subject.obj)
    w.field("Replicas", f"{status.get('replicas', 0)} current / {spec.get('replicas', 0)} desired")
    w.field("Pods Status", pods)
    write_template(w, spec.get("template") or {})
    write_conditions(w, status.get("conditions"))
    await subject.write_events(w)


async def describe_replication_controller(subject: Subject, w: Writer) -> None:
    spec, status = subject.spec, subject.status
    pods = await _pods_status(subject, str(labels.from_map(spec.get("selector"))))
    _write_name(w, subject.obj)
    w.field("Selector", pairs(spec.get("selector")))
    _write_marks(w, subject.obj)
    w.field("Replicas", f"{status.get('replicas', 0)} current / {spec.get('replicas', 0)} desired")
    w.field("Pods Status", pods)
    write_template(w, spec.get("template"))
    write_conditions(w, status.get("conditions"))
    await subject.write_events(w)


async def describe_daemon_set(subject: Subject, w: Writer) -> None:
    spec, status = subject.spec, subject.status
    selector = str(labels.from_label_selector(spec.get("selector")))
    pods = await _pods_status(subject, selector)
    w.field("Name", name_of(subject.obj))
    w.field("Selector", selector)
    w.field("Node-Selector", pairs(((spec.get("template") or {}).get("spec") or {}).get("nodeSelector")))
    _write_marks(w, subject.obj)
    for title, key in (
        ("Desired Number of Nodes Scheduled", "desiredNumberScheduled"),
        ("Current Number of Nodes Scheduled", "currentNumberScheduled"),
        ("Number of Nodes Scheduled with Up-to-date Pods", "updatedNumberScheduled"),
        ("Number of Nodes Scheduled with Available Pods", "numberAvailable"),
        ("Number of Nodes Misscheduled", "numberMisscheduled"),
    ):
        w.write(f"{title}: {status.get(key, 0)}\n")
    w.field("Pods Status", pods)
    write_template(w, spec.get("template") or {})
    await subject.write_events(w)


async def describe_stateful_set(subject: Subject, w: Writer) -> None:
    spec, status = subject.spec, subject.status
    selector = str(labels.from_label_selector(spec.get("selector")))
    pods = await _pods_status(subject, selector)
    _write_name(w, subject.obj)
    w.field("CreationTimestamp", rfc1123(metadata(subject.obj).get("creationTimestamp")))
    w.field("Selector", selector)
    _write_marks(w, subject.obj)
    w.field("Replicas", f"{spec.get('replicas', 0)} desired | {status.get('replicas', 0)} total")
    strategy = spec.get("updateStrategy") or {}
    w.field("Update Strategy", strategy.get("type", ""))
    rolling = strategy.get("rollingUpdate") or {}
    if rolling.get("partition") is not None:
        w.field("Partition", rolling["partition"], 1)
        if rolling.get("maxUnavailable") is not None:
            w.field("MaxUnavailable", rolling["maxUnavailable"], 1)
    w.field("Pods Status", pods)
    write_template(w, spec.get("template") or {})
    write_claim_templates(w, spec.get("volumeClaimTemplates") or ())
    await subject.write_events(w)


def _write_name(w: Writer, obj: Obj) -> None:
    w.field("Name", name_of(obj))
    w.field("Namespace", namespace_of(obj))


def _write_marks(w: Writer, obj: Obj) -> None:
    write_labels(w, "Labels", labels_of(obj))
    write_annotations(w, annotations_of(obj))


async def _pods_status(subject: Subject, selector: str) -> str:
    pods = await subject.items(PODS, namespace_of(subject.obj), label_selector=selector)
    own = [pod for pod in pods if (controller_of(pod) or {}).get("uid") == uid_of(subject.obj)]
    phases = Counter((pod.get("status") or {}).get("phase") for pod in own)
    return (
        f"{phases['Running']} Running / {phases['Pending']} Waiting / {phases['Succeeded']} Succeeded / {phases['Failed']} Failed"
    )


DESCRIBERS = {
    "Deployment": describe_deployment,
    "ReplicaSet": describe_replica_set,
    "ReplicationController": describe_replication_controller,
    "DaemonSet": describe_daemon_set,
    "StatefulSet": describe_stateful_set,
}
