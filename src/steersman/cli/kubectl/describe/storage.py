"""PersistentVolume, PersistentVolumeClaim, StorageClass, VolumeAttributesClass."""

from __future__ import annotations

from collections.abc import Sequence

from steersman.api.resources import PODS
from steersman.cli.kubectl.describe.claims import access_modes, phase_text, storage_class_of, write_claim
from steersman.cli.kubectl.describe.golang import verb_v
from steersman.cli.kubectl.describe.sources import PERSISTENT_SOURCES, write_source
from steersman.cli.kubectl.describe.subject import Subject, boolean, head, pairs, write_timed_conditions
from steersman.cli.kubectl.describe.writer import Writer
from steersman.machinery import quantity
from steersman.machinery.meta import Obj, annotations_of, metadata, name_of, namespace_of, uid_of

_DEFAULT_CLASS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")


async def describe_persistent_volume(subject: Subject, w: Writer) -> None:
    volume, spec = subject.obj, subject.spec
    head(w, volume, namespace=False)
    w.field("Finalizers", verb_v(metadata(volume).get("finalizers") or []))
    w.field("StorageClass", storage_class_of(volume))
    w.field("Status", phase_text(subject))
    claim = spec.get("claimRef")
    w.field("Claim", "" if claim is None else f"{claim.get('namespace', '')}/{claim.get('name', '')}")
    w.field("Reclaim Policy", spec.get("persistentVolumeReclaimPolicy", ""))
    w.field("Access Modes", access_modes(spec.get("accessModes")))
    if spec.get("volumeMode") is not None:
        w.field("VolumeMode", spec["volumeMode"])
    w.field("Capacity", quantity.canonical((spec.get("capacity") or {}).get("storage", "0")))
    _write_node_affinity(w, spec.get("nodeAffinity") or {})
    w.field("Message", subject.status.get("message", ""))
    w.write("Source:\n")
    write_source(w, PERSISTENT_SOURCES, spec)
    await subject.write_events(w)


def _write_node_affinity(w: Writer, affinity: Obj) -> None:
    required = affinity.get("required")
    w.field("Node Affinity", "<none>" if required is None else "")
    if required is None:
        return
    terms = required.get("nodeSelectorTerms") or ()
    w.field("Required Terms", "" if terms else "<none>", 1)
    for place, term in enumerate(terms):
        wanted = [_requirement(item, item.get("operator", "").lower()) for item in term.get("matchExpressions") or ()]
        _write_term(w, place, wanted, 2)


def _requirement(item: Obj, operator: str) -> str:
    values = f" [{', '.join(item['values'])}]" if item.get("values") else ""
    return f"{item.get('key', '')} {operator}{values}"


def _write_term(w: Writer, place: int, wanted: Sequence[str], level: int) -> None:
    w.write(f"Term {place}:\t", level)
    if not wanted:
        w.write("<none>\n")
    for index, text in enumerate(wanted):
        if index:
            w.write("\t", level)
        w.write(f"{text}\n")


async def describe_persistent_volume_claim(subject: Subject, w: Writer) -> None:
    claim = subject.obj
    pods = await subject.items(PODS, namespace_of(claim))
    write_claim(w, claim, subject)
    w.entries("Used By", sorted(name_of(pod) for pod in _users(claim, pods)))
    write_timed_conditions(w, subject.status.get("conditions"), heartbeat="lastProbeTime", title="LastProbeTime")
    await subject.write_events(w)


def _users(claim: Obj, pods: list[Obj]) -> list[Obj]:
    """Pods that mount the claim, once per volume, and those that own it (ephemeral volumes)."""
    found = [
        pod
        for pod in pods
        for volume in (pod.get("spec") or {}).get("volumes") or ()
        if (volume.get("persistentVolumeClaim") or {}).get("claimName") == name_of(claim)
    ]
    owners = {owner.get("uid") for owner in metadata(claim).get("ownerReferences") or () if owner.get("kind") == "Pod"}
    seen = {uid_of(pod) for pod in found}
    return found + [pod for pod in pods if uid_of(pod) in owners - seen]


async def describe_storage_class(subject: Subject, w: Writer) -> None:
    found = subject.obj
    annotations = annotations_of(found)
    w.field("Name", name_of(found))
    w.field("IsDefaultClass", "Yes" if any(annotations.get(key) == "true" for key in _DEFAULT_CLASS) else "No")
    w.field("Annotations", pairs(annotations))
    w.field("Provisioner", found.get("provisioner", ""))
    w.field("Parameters", pairs(found.get("parameters")))
    w.field("AllowVolumeExpansion", boolean(found.get("allowVolumeExpansion")))
    options = found.get("mountOptions") or ()
    w.write("MountOptions:\n" if options else "MountOptions:\t<none>\n")
    for option in options:
        w.write(f"{option}\n", 1)
    for title, key in (("ReclaimPolicy", "reclaimPolicy"), ("VolumeBindingMode", "volumeBindingMode")):
        if found.get(key) is not None:
            w.field(title, found[key])
    topologies = found.get("allowedTopologies")
    if topologies is not None:
        w.field("AllowedTopologies", "" if topologies else "<none>")
    for place, term in enumerate(topologies or ()):
        _write_term(w, place, [_requirement(item, "in") for item in term.get("matchLabelExpressions") or ()], 1)
    await subject.write_events(w)


async def describe_volume_attributes_class(subject: Subject, w: Writer) -> None:
    w.field("Name", name_of(subject.obj))
    w.field("Annotations", pairs(annotations_of(subject.obj)))
    w.field("DriverName", subject.obj.get("driverName", ""))
    w.field("Parameters", pairs(subject.obj.get("parameters")))
    await subject.write_events(w)


DESCRIBERS = {
    "PersistentVolume": describe_persistent_volume,
    "PersistentVolumeClaim": describe_persistent_volume_claim,
    "StorageClass": describe_storage_class,
    "VolumeAttributesClass": describe_volume_attributes_class,
}
