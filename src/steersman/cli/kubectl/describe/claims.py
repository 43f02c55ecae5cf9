"""Claims on storage as PersistentVolumeClaims, ephemeral volumes and volume claim templates show them."""

from __future__ import annotations

from collections.abc import Sequence

from steersman.cli.kubectl.describe.golang import verb_v
from steersman.cli.kubectl.describe.subject import Subject, write_annotations, write_labels
from steersman.cli.kubectl.describe.writer import Writer
from steersman.machinery import quantity
from steersman.machinery.meta import Obj, annotations_of, labels_of, metadata, name_of, namespace_of

_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
_MODES = (("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP"))


def storage_class_of(obj: Obj) -> str:
    """Of a volume or claim; the annotation of old wins."""
    annotations = annotations_of(obj)
    if _CLASS_ANNOTATION in annotations:
        return annotations[_CLASS_ANNOTATION]
    return (obj.get("spec") or {}).get("storageClassName") or ""


def access_modes(modes: Sequence[str] | None) -> str:
    return ",".join(short for mode, short in _MODES if mode in (modes or ()))


def phase_text(subject: Subject) -> str:
    """A volume's or claim's phase, or for how long it is on its way out."""
    deleted = metadata(subject.obj).get("deletionTimestamp")
    return f"Terminating (lasts {subject.since(deleted)})" if deleted else str(subject.status.get("phase", ""))


def write_claim(w: Writer, claim: Obj, subject: Subject | None = None) -> None:
    """A claim; a template of one, which has no name and no status yet, where there is no `subject`."""
    spec, status = claim.get("spec") or {}, claim.get("status") or {}
    if subject:
        w.field("Name", name_of(claim))
        w.field("Namespace", namespace_of(claim))
    w.field("StorageClass", storage_class_of(claim))
    if subject:
        w.field("Status", phase_text(subject))
    w.field("Volume", spec.get("volumeName", ""))
    write_labels(w, "Labels", labels_of(claim))
    write_annotations(w, annotations_of(claim))
    if subject:
        w.field("Finalizers", verb_v(metadata(claim).get("finalizers") or []))
    bound = bool(spec.get("volumeName"))
    w.field("Capacity", quantity.canonical((status.get("capacity") or {}).get("storage", "0")) if bound else "")
    w.field("Access Modes", access_modes(status.get("accessModes")) if bound else "")
    if spec.get("volumeMode") is not None:
        w.field("VolumeMode", spec["volumeMode"])
    if (source := spec.get("dataSource")) is not None:
        w.write("DataSource:\n")
        if source.get("apiGroup") is not None:
            w.field("APIGroup", source["apiGroup"], 1)
        w.field("Kind", source.get("kind", ""), 1)
        w.field("Name", source.get("name", ""), 1)


def write_claim_templates(w: Writer, templates: Sequence[Obj]) -> None:
    """Of a StatefulSet."""
    if not templates:
        w.field("Volume Claims", "<none>")
        return
    w.write("Volume Claims:\n")
    for template in templates:
        spec = template.get("spec") or {}
        requests = (spec.get("resources") or {}).get("requests") or {}
        w.field("Name", name_of(template), 1)
        w.field("StorageClass", storage_class_of(template), 1)
        write_labels(w, "Labels", labels_of(template), indent="  ")
        write_labels(w, "Annotations", annotations_of(template), indent="  ")
        w.field("Capacity", quantity.canonical(requests["storage"]) if "storage" in requests else "<default>", 1)
        w.field("Access Modes", verb_v(spec.get("accessModes") or []), 1)
