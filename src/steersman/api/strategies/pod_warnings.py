"""Warnings about pods and pod templates: what is accepted but most likely not meant (upstream pkg/api/pod/warnings.go)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from steersman.machinery import quantity
from steersman.machinery.meta import Obj, annotations_of

_NODE_LABELS: Mapping[str, str] = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
}
_VOLUMES: Mapping[str, str] = {
    "gitRepo": "deprecated in v1.11, and disabled by default in v1.33+",
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
}
_SECCOMP_PREFIX = ("seccomp.security.alpha.kubernetes.io/pod", "container.seccomp.security.alpha.kubernetes.io/")
_APPARMOR_PREFIX = "container.apparmor.security.beta.kubernetes.io/"
_CONTAINER_LISTS = ("initContainers", "containers")


def pod_warnings(new: Obj, old: Obj | None) -> list[str]:
    """Of a pod. Updates cannot change what is warned of, so only creation warns."""
    return [] if old is not None else spec_warnings("spec", "metadata", new)


def template_warnings(path: str, template: Obj, old: Obj | None) -> list[str]:
    """Of a workload's template, when it is new or has changed."""
    if old is not None and old == template:
        return []
    return spec_warnings(f"{path}.spec", f"{path}.metadata", template)


def spec_warnings(path: str, meta_path: str, pod: Obj) -> list[str]:
    spec = pod.get("spec") or {}
    found: list[str] = []
    if spec.get("nodeSelector"):
        for key in spec["nodeSelector"]:
            if key in _NODE_LABELS:
                found.append(f"{path}.nodeSelector[{key}]: {_NODE_LABELS[key]}")
    for index, secret in enumerate(spec.get("imagePullSecrets") or ()):
        if not secret.get("name"):
            found.append(f'{path}.imagePullSecrets[{index}].name: invalid empty name ""')
    _aliases(found, path, spec)
    for index, volume in enumerate(spec.get("volumes") or ()):
        for kind in volume:
            if kind in _VOLUMES:
                found.append(f"{path}.volumes[{index}].{kind}: {_VOLUMES[kind]}")
    _annotations(found, meta_path, annotations_of(pod))
    for kind in _CONTAINER_LISTS:
        for index, container in enumerate(spec.get(kind) or ()):
            _container(found, f"{path}.{kind}[{index}]", container)
    return found


def _aliases(found: list[str], path: str, spec: Obj) -> None:
    seen: set[str] = set()
    for index, alias in enumerate(spec.get("hostAliases") or ()):
        address = alias.get("ip", "")
        if address in seen:
            found.append(f"{path}.hostAliases[{index}].ip: duplicate ip {quoted(address)}")
        seen.add(address)


def quoted(text: str) -> str:
    return f'"{text}"'


def _annotations(found: list[str], path: str, annotations: dict[str, str]) -> None:
    for key in annotations:
        if key.startswith(_SECCOMP_PREFIX):
            text = 'non-functional in v1.27+; use the "seccompProfile" field instead'
        elif key.startswith(_APPARMOR_PREFIX):
            text = 'deprecated since v1.30; use the "appArmorProfile" field instead'
        else:
            continue
        found.append(f"{path}.annotations[{key}]: {text}")


def _container(found: list[str], path: str, container: Obj) -> None:
    env = container.get("env") or ()
    if len(env) > 1:
        seen: set[str] = set()
        for index, item in enumerate(env):
            name = item.get("name", "")
            if name in seen and not _refers(item, name):
                text = f"hides previous definition of {quoted(name)}, which may be dropped when using apply"
                found.append(f"{path}.env[{index}]: {text}")
            seen.add(name)
    resources = container.get("resources") or {}
    for kind in ("limits", "requests"):
        for name in ("memory", "ephemeral-storage"):
            value = (resources.get(kind) or {}).get(name)
            if value is not None and value[-1:] == "m" and quantity.parse(value).milli % 1000:
                text = f"fractional byte value {quoted(value)} is invalid, must be an integer"
                found.append(f"{path}.resources.{kind}[{name}]: {text}")
    ports = container.get("ports") or ()
    if len(ports) > 1:
        _ports(found, path, ports)


def _refers(item: Obj, name: str) -> bool:
    """A value built from the previous one is meant."""
    return f"$({name})" in (item.get("value") or "")


def _ports(found: list[str], path: str, ports: Sequence[Obj]) -> None:
    seen: dict[tuple[object, ...], int] = {}
    for index, port in enumerate(ports):
        key = (port.get("containerPort"), port.get("protocol"), port.get("hostIP"), port.get("hostPort"))
        if key in seen:
            found.append(f"{path}.ports[{index}]: duplicate port definition with {path}.ports[{seen[key]}]")
        else:
            seen[key] = index
