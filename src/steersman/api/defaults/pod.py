"""Defaults of pods beyond those of their spec: requests from limits, pod-level resources, host ports, wire mapping."""

from __future__ import annotations

from steersman.api.defaults.podspec import pod_spec
from steersman.api.podresources import containers_total
from steersman.machinery.meta import Obj, annotations_of

_DROPPED_ANNOTATIONS = tuple(
    f"pod.{stage}.kubernetes.io/{name}" for stage in ("alpha", "beta") for name in ("init-containers", "init-container-statuses")
)


def pod(obj: Obj) -> None:
    """All defaults of a pod."""
    spec = obj.setdefault("spec", {})
    for kind in ("containers", "initContainers"):
        for container in spec.get(kind) or ():
            resources = container.get("resources")
            if resources and resources.get("limits"):
                _requests_from_limits(resources)
    if spec.get("resources") and (spec["resources"].get("limits") or spec["resources"].get("requests")):
        _pod_resources(spec)
    spec.setdefault("enableServiceLinks", True)
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        spec["terminationGracePeriodSeconds"] = 1
    pod_spec(spec)
    if spec.get("hostNetwork"):
        _host_ports(spec)
    status = obj.get("status")
    if status:
        mirror_pod_ips(status)
    found = annotations_of(obj)
    if found:
        for key in _DROPPED_ANNOTATIONS:
            found.pop(key, None)


def _requests_from_limits(resources: Obj) -> None:
    requests = resources.get("requests")
    if requests is None:
        requests = resources["requests"] = {}
    for name, value in resources["limits"].items():
        requests.setdefault(name, value)


def _host_ports(spec: Obj) -> None:
    for kind in ("containers", "initContainers"):
        for container in spec.get(kind) or ():
            for port in container.get("ports") or ():
                if not port.get("hostPort"):
                    port["hostPort"] = port.get("containerPort", 0)


def _pod_resources(spec: Obj) -> None:
    """spec.resources filled from the containers' sums, then requests from limits."""
    resources = spec["resources"]
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for name, total in containers_total(spec, "limits").items():
        if name.startswith("hugepages-") and name not in limits and name not in requests:
            limits[name] = str(total)
    if limits:
        sums = containers_total(spec, "requests")
        for name in ("cpu", "memory"):
            if name not in requests and name in sums:
                requests[name] = str(sums[name])
        for name, value in limits.items():
            requests.setdefault(name, value)
    for key, value in (("limits", limits), ("requests", requests)):
        if value:
            resources[key] = value


def mirror_pod_ips(status: Obj) -> None:
    """podIP and podIPs[0] are one value; podIP wins where they differ."""
    single, many = status.get("podIP") or "", status.get("podIPs") or []
    if single and (not many or many[0].get("ip") != single):
        status["podIPs"] = [{"ip": single}]
    elif many and not single:
        status["podIP"] = many[0].get("ip", "")
