"""What pods and pod templates have in common beside containers: volumes, tolerations, spreading; and the template itself."""

from __future__ import annotations

from collections.abc import Sequence

from steersman.cli.kubectl.describe.claims import write_claim
from steersman.cli.kubectl.describe.containers import write_containers
from steersman.cli.kubectl.describe.sources import POD_SOURCES, Write, write_source
from steersman.cli.kubectl.describe.subject import selector_text, write_annotations, write_labels
from steersman.cli.kubectl.describe.writer import Writer
from steersman.machinery.meta import Obj, annotations_of, labels_of


def write_template(w: Writer, template: Obj | None) -> None:
    w.write("Pod Template:\n")
    if template is None:
        w.write("<unset>", 1)
        return
    spec = template.get("spec") or {}
    write_labels(w, "  Labels", labels_of(template))
    if annotations := annotations_of(template):
        write_annotations(w, annotations, title="  Annotations")
    if spec.get("serviceAccountName"):
        w.field("Service Account", spec["serviceAccountName"], 1)
    if spec.get("initContainers"):
        write_containers(w, "Init Containers", spec["initContainers"], indent="  ")
    write_containers(w, "Containers", spec.get("containers") or (), indent="  ")
    write_volumes(w, spec.get("volumes") or (), indent="  ")
    write_spreading(w, spec.get("topologySpreadConstraints") or (), indent="  ")
    if spec.get("priorityClassName"):
        w.field("Priority Class Name", spec["priorityClassName"], 1)
    write_labels(w, "  Node-Selectors", spec.get("nodeSelector"))
    write_tolerations(w, spec.get("tolerations") or (), title="  Tolerations")


def write_volumes(w: Writer, volumes: Sequence[Obj], *, indent: str = "") -> None:
    if not volumes:
        w.field(f"{indent}Volumes", "<none>")
        return
    w.write(f"{indent}Volumes:\n")
    for volume in volumes:
        w.write(f"{' ' if indent else ''}{volume.get('name', '')}:\n", 1)
        write_source(w, _SOURCES, volume)


def _ephemeral(w: Writer, source: Obj) -> None:
    w.field("Type", "EphemeralVolume (an inline specification for a volume that gets created and deleted with the pod)", 2)
    if (template := source.get("volumeClaimTemplate")) is not None:
        write_claim(w.nested(2), template)


_SOURCES: dict[str, Write] = {**POD_SOURCES, "ephemeral": _ephemeral}


def write_tolerations(w: Writer, tolerations: Sequence[Obj], *, title: str = "Tolerations") -> None:
    ordered = sorted(tolerations, key=lambda toleration: str(toleration.get("key") or ""))
    w.entries(title, [_toleration(toleration) for toleration in ordered])


def _toleration(toleration: Obj) -> str:
    text = str(toleration.get("key") or "")
    if toleration.get("value"):
        text += f"={toleration['value']}"
    if toleration.get("effect"):
        text += f":{toleration['effect']}"
    if toleration.get("operator") == "Exists" and not toleration.get("value"):
        text += " op=Exists" if text else "op=Exists"
    if toleration.get("tolerationSeconds") is not None:
        text += f" for {toleration['tolerationSeconds']}s"
    return text


def write_spreading(w: Writer, constraints: Sequence[Obj], *, indent: str = "") -> None:
    if not constraints:
        return
    ordered = sorted(constraints, key=lambda item: str(item.get("topologyKey", "")))
    w.entries("Topology Spread Constraints", [_spread(item) for item in ordered], indent=indent)


def _spread(item: Obj) -> str:
    text = f"{item.get('topologyKey', '')}:{item.get('whenUnsatisfiable', '')} when max skew {item.get('maxSkew', 0)} is exceeded"
    selector = item.get("labelSelector")
    return text if selector is None else f"{text} for selector {selector_text(selector)}"
