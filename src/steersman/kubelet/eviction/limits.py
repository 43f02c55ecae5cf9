"""Whether a pod keeps to the limits of what it may write to the node's disk. Pure; the kernel doesn't see to these."""

from __future__ import annotations

from steersman.kubelet import pods
from steersman.kubelet.eviction import wording
from steersman.kubelet.eviction.ranking import PodUse
from steersman.kubelet.resources import pod_total
from steersman.machinery import quantity
from steersman.machinery.meta import Obj, dig

_STORAGE = "ephemeral-storage"


def limited_volumes(pod: Obj) -> dict[str, str]:
    """emptyDirs on disk that have a limit, and which."""
    found = {}
    for volume in dig(pod, "spec", "volumes", default=None) or ():
        source = volume.get("emptyDir") or {}
        # In memory the filesystem itself is no larger. Zero is no limit.
        if not source.get("medium") and source.get("sizeLimit") and quantity.value(source["sizeLimit"]) > 0:
            found[volume["name"]] = source["sizeLimit"]
    return found


def limits_containers(pod: Obj) -> bool:
    """Whether more than volumes must be measured."""
    return any(_limit(spec) is not None for spec in pods.all_containers(pod))


def _limit(spec: Obj) -> str | None:
    found: str | None = dig(spec, "resources", "limits", _STORAGE, default=None)
    return found


def excess(use: PodUse) -> tuple[str, str] | None:
    """What counts the first limit that is exceeded (metrics name it so), and its message."""
    for name, limit in limited_volumes(use.pod).items():
        if use.volumes.get(name, (0, 0))[0] > quantity.value(limit):
            return "emptydirfs.limit", wording.over_volume(name, limit)
    whole = pod_total(use.pod, "limits").get(_STORAGE) if limits_containers(use.pod) else None
    if whole is not None and use.total.written + use.total.local > whole:
        return "ephemeralpodfs.limit", wording.over_pod(whole)
    for spec in pods.containers(use.pod) + pods.sidecars(use.pod):
        found, own = _limit(spec), use.containers.get(spec["name"])
        if found is not None and own is not None and own.written + own.local > quantity.value(found):
            return "ephemeralcontainerfs.limit", wording.over_container(spec["name"], found)
    return None
