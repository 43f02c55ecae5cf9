"""Reading pod specs: containers, policies, QoS. Pure; used by everything in the kubelet."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator

from steersman.machinery import quantity
from steersman.machinery.meta import Obj, annotations_of, dig, name_of, namespace_of, uid_of

CRITICAL_PRIORITY = 2_000_000_000
SOURCE_ANNOTATION = "kubernetes.io/config.source"
MIRROR_ANNOTATION = "kubernetes.io/config.mirror"
HASH_ANNOTATION = "kubernetes.io/config.hash"
SEEN_ANNOTATION = "kubernetes.io/config.seen"


def containers(pod: Obj) -> list[Obj]:
    return dig(pod, "spec", "containers", default=None) or []


def init_containers(pod: Obj) -> list[Obj]:
    return dig(pod, "spec", "initContainers", default=None) or []


def ephemeral_containers(pod: Obj) -> list[Obj]:
    return dig(pod, "spec", "ephemeralContainers", default=None) or []


def all_containers(pod: Obj) -> Iterator[Obj]:
    yield from init_containers(pod)
    yield from containers(pod)
    yield from ephemeral_containers(pod)


def read_only_volumes(pod: Obj) -> set[str]:
    """Names of volumes that no container may write to: claims mounted so by the pod."""
    volumes = dig(pod, "spec", "volumes", default=None) or ()
    return {item["name"] for item in volumes if dig(item, "persistentVolumeClaim", "readOnly", default=False)}


def find_container(pod: Obj, name: str) -> Obj | None:
    return next((item for item in all_containers(pod) if item["name"] == name), None)


def is_sidecar(container: Obj) -> bool:
    """Whether an init container is restartable: it runs beside the others (KEP-753). Only meaningful for init containers."""
    return container.get("restartPolicy") == "Always"


def sidecars(pod: Obj) -> list[Obj]:
    return [item for item in init_containers(pod) if is_sidecar(item)]


def restart_policy(pod: Obj) -> str:
    return dig(pod, "spec", "restartPolicy", default="Always") or "Always"


def matching_rule(container: Obj, exit_code: int) -> Obj | None:
    """The first of the container's restartPolicyRules that the exit code fits (KEP-5307)."""
    for rule in container.get("restartPolicyRules") or ():
        codes = rule.get("exitCodes") or {}
        listed = exit_code in (codes.get("values") or ())
        if listed == (codes.get("operator") == "In"):
            found: Obj = rule
            return found
    return None


def may_restart(pod: Obj, container: Obj, exit_code: int, *, init: bool = False) -> bool:
    """Whether policy lets a container that ended like this run again. A plain init container that succeeded never does."""
    if init and is_sidecar(container):
        return True
    if init and exit_code == 0:
        return False
    if matching_rule(container, exit_code) is not None:
        return True
    policy = container.get("restartPolicy") or restart_policy(pod)
    if policy == "Always":
        return True
    return policy == "OnFailure" and exit_code != 0


def restarts_all(container: Obj, exit_code: int) -> bool:
    """Whether ending like this has all containers of the pod begin anew (KEP-5532)."""
    rule = matching_rule(container, exit_code)
    return rule is not None and rule.get("action") == "RestartAllContainers"


def may_restart_all(pod: Obj) -> bool:
    """Whether any of its containers has a rule for that."""
    rules = (rule for spec in all_containers(pod) for rule in spec.get("restartPolicyRules") or ())
    return any(rule.get("action") == "RestartAllContainers" for rule in rules)


def is_host_network(pod: Obj) -> bool:
    return bool(dig(pod, "spec", "hostNetwork", default=False))


def is_static(pod: Obj) -> bool:
    """Whether it comes from the node's own files. What has a version comes from the API, whatever its annotations claim."""
    source = annotations_of(pod).get(SOURCE_ANNOTATION)
    return source is not None and source != "api" and not pod["metadata"].get("resourceVersion")


def is_mirror(pod: Obj) -> bool:
    return MIRROR_ANNOTATION in annotations_of(pod)


def is_critical(pod: Obj) -> bool:
    return is_static(pod) or int(dig(pod, "spec", "priority", default=0)) >= CRITICAL_PRIORITY


def is_terminal_phase(phase: str) -> bool:
    return phase in ("Succeeded", "Failed")


def full_name(pod: Obj) -> str:
    """`<name>_<namespace>(<uid>)`: how messages name a pod."""
    return f"{name_of(pod)}_{namespace_of(pod)}({uid_of(pod)})"


def container_hash(container: Obj) -> str:
    """Changes when the container must be replaced: upstream hashes only name and image."""
    text = json.dumps([container.get("name"), container.get("image")])
    return f"{zlib.crc32(text.encode()):x}"


def _quantities(resources: Obj) -> tuple[dict[str, int], dict[str, int]]:
    """(requests, limits) of cpu and memory that are above zero, in thousandths."""
    parts = []
    for field in ("requests", "limits"):
        listed = resources.get(field) or {}
        parts.append({key: amount for key in ("cpu", "memory") if key in listed and (amount := quantity.milli(listed[key])) > 0})
    return parts[0], parts[1]


def qos_class(pod: Obj) -> str:
    """Guaranteed, Burstable or BestEffort (upstream core/v1/helper/qos)."""
    kept = dig(pod, "status", "qosClass", default="")
    if kept:
        return str(kept)
    pod_level = dig(pod, "spec", "resources", default=None)
    sources: Iterable[Obj]
    sources = [pod_level] if pod_level else [item.get("resources") or {} for item in init_containers(pod) + containers(pod)]
    requested: dict[str, int] = {}
    limited: dict[str, int] = {}
    guaranteed = True
    for resources in sources:
        requests, limits = _quantities(resources)
        for key, amount in requests.items():
            requested[key] = requested.get(key, 0) + amount
        for key, amount in limits.items():
            limited[key] = limited.get(key, 0) + amount
        guaranteed = guaranteed and len(limits) == 2
    if not requested and not limited:
        return "BestEffort"
    if guaranteed and len(limited) == 2 and all(limited.get(key) == amount for key, amount in requested.items()):
        return "Guaranteed"
    return "Burstable"
