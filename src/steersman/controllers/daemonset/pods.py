"""Making a daemon set's pod for a node, and telling new pods from outdated ones."""

from __future__ import annotations

from steersman.api.resources import DAEMON_SETS
from steersman.controllers.daemonset.nodes import with_tolerations
from steersman.loop.pods import pod_from_template
from steersman.loop.revisions import POD_HASH
from steersman.machinery.meta import Obj, annotations_of, dig, labels_of

TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
_GENERATION_LABEL = "pod-template-generation"


def make(owner: Obj, node: str, digest: str) -> Obj:
    """The affinity to the node replaces the template's own, which was asked when the node was chosen."""
    template = owner["spec"]["template"]
    labels = {**dig(template, "metadata", "labels", default={}), POD_HASH: digest}
    generation = annotations_of(owner).get(TEMPLATE_GENERATION)
    if generation:
        labels[_GENERATION_LABEL] = generation
    spec = with_tolerations(template["spec"])
    affinity = spec.get("affinity") or {}
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    spec["affinity"] = {**affinity, "nodeAffinity": {**(affinity.get("nodeAffinity") or {}), **required}}
    made = {"metadata": {**(template.get("metadata") or {}), "labels": labels}, "spec": spec}
    return pod_from_template(made, {"apiVersion": DAEMON_SETS.api_version, "kind": DAEMON_SETS.kind, **owner})


def is_updated(owner: Obj, pod: Obj, digest: str) -> bool:
    """By hash, or by the template's generation for pods older than the hash."""
    labels = labels_of(pod)
    generation = annotations_of(owner).get(TEMPLATE_GENERATION)
    return bool(digest) and labels.get(POD_HASH) == digest or bool(generation) and labels.get(_GENERATION_LABEL) == generation
