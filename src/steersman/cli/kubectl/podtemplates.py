"""Where the pod spec of an object is: for `set`, and whatever else works on containers of any workload."""

from __future__ import annotations

from steersman.cli.kubectl.errors import KubectlError
from steersman.cli.kubectl.resources import Info
from steersman.machinery.meta import Obj

_TEMPLATED = frozenset({"DaemonSet", "Deployment", "Job", "ReplicaSet", "ReplicationController", "StatefulSet"})


def pod_spec_of(info: Info) -> Obj:
    """The pod spec inside the object, to be changed in place. KubectlError where there is none."""
    kind, spec = info.resource.kind, info.object.get("spec") or {}
    if kind == "Pod":
        return dict_in(info.object, "spec")
    if kind in _TEMPLATED:
        return dict_in(spec, "template", "spec")
    if kind == "CronJob":
        return dict_in(spec, "jobTemplate", "spec", "template", "spec")
    raise KubectlError(
        f"error: {info.resource.plural}/{info.name} the object is not a pod or does not have a pod template: "
        f"*{info.resource.version}.{kind}"
    )


def dict_in(obj: Obj, *path: str) -> Obj:
    """The map at a path, made if it is not there."""
    for key in path:
        obj = obj.setdefault(key, {})
    return obj


def containers_of(spec: Obj) -> list[Obj]:
    """Containers, then init containers."""
    return [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
