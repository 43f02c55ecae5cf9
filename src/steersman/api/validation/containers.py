"""Validation of a pod's containers: plain, init and ephemeral ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from steersman.api.validation import container_env, mounts, probes, resources, security
from steersman.api.validation.common import Errors, label, needs, one_of, port, unique
from steersman.machinery import names
from steersman.machinery.fielderrors import forbidden, invalid, not_found, required, too_many
from steersman.machinery.meta import Obj

_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_EPHEMERAL_FORBIDDEN = (
    "ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "resources", "resizePolicy", "restartPolicy",
    "restartPolicyRules",
)  # fmt: skip
_INIT_FORBIDDEN = ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe")


@dataclass(slots=True)
class PodScope:
    """What checks of one container need to know of the pod around it."""

    is_pod: bool
    """False in a template."""
    volumes: dict[str, Obj] = field(default_factory=dict)
    claims: tuple[str, ...] = ()
    restart_policy: str = "Always"
    grace_seconds: int = 30
    host_users: bool = True
    host_network: bool = False
    names: set[str] = field(default_factory=set)
    """Container names seen so far: unique over all three lists."""


def containers(errors: Errors, path: str, items: Sequence[Obj], scope: PodScope) -> None:
    if not items:
        errors.append(required(path))
        return
    for index, container in enumerate(items):
        inner = f"{path}[{index}]"
        _common(errors, inner, container, scope)
        unique(errors, f"{inner}.name", container.get("name", ""), scope.names)
        if container.get("lifecycle") is not None:
            probes.lifecycle(errors, f"{inner}.lifecycle", container["lifecycle"], scope.grace_seconds)
        probes.probes(errors, inner, container, scope.grace_seconds)
        _restart(errors, inner, container)
    _host_ports(errors, path, items, scope, set())


def init_containers(errors: Errors, path: str, items: Sequence[Obj], scope: PodScope) -> None:
    """Init containers; those with restartPolicy Always are sidecars and may have probes and handlers."""
    for index, container in enumerate(items):
        inner = f"{path}[{index}]"
        _common(errors, inner, container, scope)
        unique(errors, f"{inner}.name", container.get("name", ""), scope.names)
        if container.get("restartPolicy") == "Always":
            if container.get("lifecycle") is not None:
                probes.lifecycle(errors, f"{inner}.lifecycle", container["lifecycle"], scope.grace_seconds)
            probes.probes(errors, inner, container, scope.grace_seconds)
        else:
            _plain_init(errors, inner, container)
        _restart(errors, inner, container)
    for index, container in enumerate(items):
        _host_ports(errors, path, [container], scope, set(), first=index)


def _plain_init(errors: Errors, path: str, container: Obj) -> None:
    for key in _INIT_FORBIDDEN:
        if container.get(key) is not None:
            errors.append(forbidden(f"{path}.{key}", "may not be set for init containers without restartPolicy=Always"))
    for index, policy in enumerate(container.get("resizePolicy") or ()):
        if policy.get("restartPolicy") == "RestartContainer":
            text = "must not be set to 'RestartContainer' for non-sidecar initContainers"
            errors.append(invalid(f"{path}.resizePolicy[{index}]", "RestartContainer", text))


def ephemeral_containers(errors: Errors, path: str, items: Sequence[Obj], spec: Obj, scope: PodScope) -> None:
    known = {item.get("name") for kind in ("containers", "initContainers") for item in spec.get(kind) or ()}
    for index, container in enumerate(items):
        inner = f"{path}[{index}]"
        _common(errors, inner, container, scope)
        unique(errors, f"{inner}.name", container.get("name", ""), scope.names)
        target = container.get("targetContainerName")
        if target and target not in known:
            errors.append(not_found(f"{inner}.targetContainerName", target))
        for key in _EPHEMERAL_FORBIDDEN:
            if container.get(key):
                errors.append(forbidden(f"{inner}.{key}", "cannot be set for an Ephemeral Container"))
        for position, mount in enumerate(container.get("volumeMounts") or ()):
            for key in ("subPath", "subPathExpr"):
                if mount.get(key):
                    where = f"{inner}.volumeMounts[{position}].{key}"
                    errors.append(forbidden(where, "cannot be set for an Ephemeral Container"))


def _common(errors: Errors, path: str, container: Obj, scope: PodScope) -> None:
    name, image = container.get("name"), container.get("image")
    if not name:
        errors.append(required(f"{path}.name"))
    else:
        label(errors, f"{path}.name", name)
    if not image:
        errors.append(required(f"{path}.image"))
    elif scope.is_pod and image != image.strip():
        errors.append(invalid(f"{path}.image", image, "must not have leading or trailing whitespace"))
    policy = container.get("terminationMessagePolicy")
    one_of(errors, f"{path}.terminationMessagePolicy", policy, ("File", "FallbackToLogsOnError"), optional=False)
    if container.get("ports"):
        _ports(errors, f"{path}.ports", container["ports"])
    if container.get("env"):
        container_env.env(errors, f"{path}.env", container["env"], scope.volumes)
    if container.get("envFrom"):
        container_env.env_from(errors, f"{path}.envFrom", container["envFrom"])
    if container.get("volumeMounts"):
        mounts.mounts(errors, f"{path}.volumeMounts", container, scope.volumes)
    if container.get("volumeDevices"):
        mounted = container.get("volumeMounts") or ()
        mounts.devices(errors, f"{path}.volumeDevices", container["volumeDevices"], mounted, scope.volumes)
    one_of(errors, f"{path}.imagePullPolicy", container.get("imagePullPolicy"), _PULL_POLICIES, optional=False)
    if container.get("resources"):
        resources.requirements(errors, f"{path}.resources", container["resources"], scope.claims)
    if container.get("resizePolicy"):
        resources.resize_policy(errors, f"{path}.resizePolicy", container["resizePolicy"], scope.restart_policy)
    if container.get("securityContext"):
        security.container(errors, f"{path}.securityContext", container["securityContext"], host_users=scope.host_users)


def _ports(errors: Errors, path: str, items: Sequence[Obj]) -> None:
    seen: set[str] = set()
    for index, item in enumerate(items):
        name = item.get("name")
        if name:
            texts = names.port_name(name)
            if texts:
                for text in texts:
                    errors.append(invalid(f"{path}[{index}].name", name, text))
            else:
                unique(errors, f"{path}[{index}].name", name, seen)
        number = item.get("containerPort")
        if not number:
            errors.append(required(f"{path}[{index}].containerPort"))
        else:
            port(errors, f"{path}[{index}].containerPort", number)
        if item.get("hostPort"):
            port(errors, f"{path}[{index}].hostPort", item["hostPort"])
        one_of(errors, f"{path}[{index}].protocol", item.get("protocol"), _PROTOCOLS, optional=False)


def _host_ports(errors: Errors, path: str, items: Sequence[Obj], scope: PodScope, seen: set[str], *, first: int = 0) -> None:
    """Host ports are unique, and equal to container ports in the host's network. `first`: index of the first item."""
    for index, container in enumerate(items, first):
        for position, item in enumerate(container.get("ports") or ()):
            host = item.get("hostPort") or 0
            inner = f"{path}[{index}].ports[{position}].hostPort"
            if host:
                unique(errors, inner, f"{item.get('protocol', '')}/{item.get('hostIP', '')}/{host}", seen)
            if scope.host_network and (scope.is_pod or host) and host != item.get("containerPort"):
                errors.append(invalid(inner, host, "must match `containerPort` when `hostNetwork` is true"))


def _restart(errors: Errors, path: str, container: Obj) -> None:
    """restartPolicy of a single container and its rules."""
    policy, rules = container.get("restartPolicy"), container.get("restartPolicyRules") or ()
    one_of(errors, f"{path}.restartPolicy", policy, ("Always", "Never", "OnFailure"))
    if not rules:
        return
    path = f"{path}.restartPolicyRules"
    if policy is None:
        text = "must specify restartPolicy when restart rules are used"
        errors.append(required(f"{path.removesuffix('Rules')}", text))
    if len(rules) > 20:
        errors.append(too_many(path, len(rules), 20))
    for index, rule in enumerate(rules):
        inner = f"{path}[{index}]"
        one_of(errors, f"{inner}.action", rule.get("action"), ("Restart", "RestartAllContainers"), optional=False)
        codes = rule.get("exitCodes")
        if codes is None:
            needs(errors, f"{inner}.exitCodes", None, "must be specified")
            continue
        one_of(errors, f"{inner}.exitCodes.operator", codes.get("operator"), ("In", "NotIn"), optional=False)
        values = codes.get("values") or ()
        if len(values) > 255:
            errors.append(too_many(f"{inner}.exitCodes.values", len(values), 255))
