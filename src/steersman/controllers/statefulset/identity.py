"""What makes a pod of a stateful set that pod: its ordinal, name, labels, and the claims it mounts."""

from __future__ import annotations

from collections.abc import Mapping

from steersman.api.resources import PERSISTENT_VOLUME_CLAIMS, STATEFUL_SETS
from steersman.loop.pods import pod_from_template
from steersman.loop.revisions import POD_HASH
from steersman.machinery.meta import Obj, dig, labels_of, name_of, namespace_of

POD_NAME = "statefulset.kubernetes.io/pod-name"
POD_INDEX = "apps.kubernetes.io/pod-index"


def ordinal_of(name: str) -> tuple[str, int]:
    """(the set's name, the ordinal) of a pod's name; the ordinal is -1 for other names."""
    parent, dash, number = name.rpartition("-")
    if not dash or not number.isascii() or not number.isdigit():
        return name, -1
    return parent, int(number)


def is_member(owner: Obj, pod: Obj) -> bool:
    parent, ordinal = ordinal_of(name_of(pod))
    return ordinal >= 0 and parent == name_of(owner)


def ordinals(owner: Obj) -> range:
    start = int(dig(owner, "spec", "ordinals", "start", default=0))
    return range(start, start + int(dig(owner, "spec", "replicas", default=1)))


def revision_of(pod: Obj) -> str:
    return labels_of(pod).get(POD_HASH, "")


def claim_names(owner: Obj, ordinal: int) -> dict[str, str]:
    """Volume name to claim name."""
    templates = dig(owner, "spec", "volumeClaimTemplates", default=())
    return {name_of(item): f"{name_of(item)}-{name_of(owner)}-{ordinal}" for item in templates}


def make_claims(owner: Obj, ordinal: int) -> list[Obj]:
    made = []
    labels: Mapping[str, str] = dig(owner, "spec", "selector", "matchLabels", default={})
    for template in dig(owner, "spec", "volumeClaimTemplates", default=()):
        metadata = {
            **template["metadata"],
            "name": claim_names(owner, ordinal)[name_of(template)],
            "namespace": namespace_of(owner),
            "labels": {**labels_of(template), **labels},
        }
        kind = {"apiVersion": PERSISTENT_VOLUME_CLAIMS.api_version, "kind": PERSISTENT_VOLUME_CLAIMS.kind}
        made.append({**kind, "metadata": metadata, "spec": template["spec"]})
    return made


def make_pod(owner: Obj, template: Obj, revision: str, ordinal: int) -> Obj:
    """The pod with its identity. A claim template takes the place of the template's volume of that name."""
    name = f"{name_of(owner)}-{ordinal}"
    pod = pod_from_template(template, {"apiVersion": STATEFUL_SETS.api_version, "kind": STATEFUL_SETS.kind, **owner})
    del pod["metadata"]["generateName"]
    pod["metadata"]["name"] = name
    pod["metadata"]["labels"] = {**labels_of(pod), POD_NAME: name, POD_INDEX: str(ordinal), POD_HASH: revision}
    claimed = claim_names(owner, ordinal)
    volumes: list[Obj] = [{"name": volume, "persistentVolumeClaim": {"claimName": claim}} for volume, claim in claimed.items()]
    volumes += [volume for volume in pod["spec"].get("volumes") or () if volume.get("name") not in claimed]
    pod["spec"] = {**pod["spec"], "hostname": name, "subdomain": dig(owner, "spec", "serviceName", default="")}
    if volumes:
        pod["spec"]["volumes"] = volumes
    return pod


def with_identity(pod: Obj) -> Obj | None:
    """An adopted pod with the labels it lacks; None if it has them."""
    wanted = {POD_NAME: name_of(pod), POD_INDEX: str(ordinal_of(name_of(pod))[1])}
    if wanted.items() <= labels_of(pod).items():
        return None
    return {**pod, "metadata": {**pod["metadata"], "labels": {**labels_of(pod), **wanted}}}
