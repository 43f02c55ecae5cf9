"""Validation of a pod's spec, in pods and in templates. Containers, volumes, scheduling, security have files of their own."""

from __future__ import annotations

import re
from collections.abc import Sequence

from steersman.api.validation import containers, resources, scheduling, security
from steersman.api.validation.common import Errors, complain, label, label_map, needs, one_of, subdomain, unique
from steersman.api.validation.containers import PodScope
from steersman.api.validation.pod_resources import pod_resources
from steersman.api.validation.volumes import volumes
from steersman.machinery import names
from steersman.machinery.fielderrors import forbidden, invalid, required, too_long
from steersman.machinery.meta import Obj

_RESTART_POLICIES = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_PREEMPTION = ("PreemptLowerPriority", "Never")
_MAX_NAMESERVERS, _MAX_SEARCHES, _MAX_SEARCH_CHARS, _HOSTNAME_LIMIT = 3, 32, 2048, 64
_SEARCH = re.compile(r"[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?(\.[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?)*")


def pod_spec(errors: Errors, path: str, spec: Obj, *, is_pod: bool, pod_name: str = "") -> None:
    """spec of a pod (is_pod) or of a pod template. Defaults must have been set."""
    scope = PodScope(
        is_pod=is_pod,
        claims=tuple(item.get("name", "") for item in spec.get("resourceClaims") or ()),
        restart_policy=spec.get("restartPolicy") or "",
        grace_seconds=spec.get("terminationGracePeriodSeconds") or 0,
        host_users=spec.get("hostUsers") is not False,
        host_network=bool(spec.get("hostNetwork")),
    )
    if spec.get("volumes"):
        scope.volumes = volumes(errors, f"{path}.volumes", spec["volumes"], is_pod=is_pod, pod_name=pod_name)
    if spec.get("resourceClaims"):
        _resource_claims(errors, f"{path}.resourceClaims", spec["resourceClaims"])
    containers.containers(errors, f"{path}.containers", spec.get("containers") or (), scope)
    if spec.get("initContainers"):
        containers.init_containers(errors, f"{path}.initContainers", spec["initContainers"], scope)
    if spec.get("ephemeralContainers"):
        items = spec["ephemeralContainers"]
        containers.ephemeral_containers(errors, f"{path}.ephemeralContainers", items, spec, scope)
    if spec.get("resources"):
        pod_resources(errors, f"{path}.resources", spec)
    one_of(errors, f"{path}.restartPolicy", spec.get("restartPolicy"), _RESTART_POLICIES, optional=False)
    one_of(errors, f"{path}.dnsPolicy", spec.get("dnsPolicy"), _DNS_POLICIES, optional=False)
    label_map(errors, f"{path}.nodeSelector", spec.get("nodeSelector"))
    security.pod(errors, path, spec)
    _scheduling(errors, path, spec)
    _dns(errors, path, spec)
    _names(errors, path, spec)
    _rest(errors, path, spec)
    security.os_limits(errors, path, spec)
    if spec.get("hostUsers") is False:
        _user_namespace(errors, path, spec)


def _scheduling(errors: Errors, path: str, spec: Obj) -> None:
    if spec.get("affinity"):
        scheduling.affinity(errors, f"{path}.affinity", spec["affinity"])
    for index, gate in enumerate(spec.get("readinessGates") or ()):
        scheduling.label_key(errors, f"{path}.readinessGates[{index}].conditionType", gate.get("conditionType", ""))
    if spec.get("schedulingGates"):
        scheduling.gates(errors, f"{path}.schedulingGates", spec["schedulingGates"])
    if spec.get("topologySpreadConstraints"):
        scheduling.spread_constraints(errors, f"{path}.topologySpreadConstraints", spec["topologySpreadConstraints"])
    if spec.get("tolerations"):
        scheduling.tolerations(errors, f"{path}.tolerations", spec["tolerations"])


def _names(errors: Errors, path: str, spec: Obj) -> None:
    """Fields that hold names of something."""
    for key in ("serviceAccountName", "nodeName", "priorityClassName", "runtimeClassName"):
        if spec.get(key):
            subdomain(errors, f"{path}.{key}", spec[key])
    for key in ("hostname", "subdomain"):
        if spec.get(key):
            label(errors, f"{path}.{key}", spec[key])
    override = spec.get("hostnameOverride")
    if override is not None:
        inner = f"{path}.hostnameOverride"
        if spec.get("setHostnameAsFQDN"):
            errors.append(forbidden(inner, "may not be specified when setHostnameAsFQDN is true"))
        if spec.get("hostNetwork"):
            errors.append(forbidden(inner, "may not be specified when hostNetwork is true"))
        subdomain(errors, inner, override)
        if len(override) > _HOSTNAME_LIMIT:
            errors.append(too_long(inner, _HOSTNAME_LIMIT))


def _rest(errors: Errors, path: str, spec: Obj) -> None:
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= 2**31 - 1:
        errors.append(invalid(f"{path}.activeDeadlineSeconds", deadline, "must be between 1 and 2147483647, inclusive"))
    for index, alias in enumerate(spec.get("hostAliases") or ()):
        address = alias.get("ip", "")
        complain(errors, f"{path}.hostAliases[{index}].ip", address, names.ip(address))
        for name in alias.get("hostnames") or ():
            subdomain(errors, f"{path}.hostAliases[{index}].hostnames", name)
    policy = spec.get("preemptionPolicy")
    if policy is not None:
        one_of(errors, f"{path}.preemptionPolicy", policy, _PREEMPTION, optional=False)
    if spec.get("overhead"):
        resources.amounts(errors, f"{path}.overhead", spec["overhead"])
    system = spec.get("os")
    if system is not None:
        name = system.get("name") or ""
        if not name:
            errors.append(required(f"{path}.os.name"))
        else:
            one_of(errors, f"{path}.os", name, ("linux", "windows"))


def _dns(errors: Errors, path: str, spec: Obj) -> None:
    config, policy = spec.get("dnsConfig"), spec.get("dnsPolicy")
    path = f"{path}.dnsConfig"
    if config is None:
        if policy == "None":
            errors.append(required(path, "must provide `dnsConfig` when `dnsPolicy` is None"))
        return
    servers, searches = config.get("nameservers") or (), config.get("searches") or ()
    if policy == "None" and not servers:
        text = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        errors.append(required(f"{path}.nameservers", text))
    if len(servers) > _MAX_NAMESERVERS:
        text = f"must not have more than {_MAX_NAMESERVERS} nameservers"
        errors.append(invalid(f"{path}.nameservers", servers, text))
    for index, server in enumerate(servers):
        complain(errors, f"{path}.nameservers[{index}]", server, names.ip(server))
    if len(searches) > _MAX_SEARCHES:
        text = f"must not have more than {_MAX_SEARCHES} search paths"
        errors.append(invalid(f"{path}.searches", searches, text))
    if len(" ".join(searches)) > _MAX_SEARCH_CHARS:
        text = f"must not have more than {_MAX_SEARCH_CHARS} characters (including spaces) in the search list"
        errors.append(invalid(f"{path}.searches", searches, text))
    for index, search in enumerate(searches):
        domain = search.removesuffix(".")
        if search != "." and not (_SEARCH.fullmatch(domain) and len(domain) <= names.DNS1123_SUBDOMAIN_MAX):
            texts = names.dns1123_subdomain(domain.replace("_", "a")) or names.dns1123_subdomain(domain)
            complain(errors, f"{path}.searches[{index}]", search, texts)
    for index, option in enumerate(config.get("options") or ()):
        needs(errors, f"{path}.options[{index}]", option.get("name"), "must not be empty")


def _resource_claims(errors: Errors, path: str, items: Sequence[Obj]) -> None:
    seen: set[str] = set()
    for index, item in enumerate(items):
        inner, name = f"{path}[{index}]", item.get("name") or ""
        if needs(errors, f"{inner}.name", name) and unique(errors, f"{inner}.name", name, seen):
            label(errors, f"{inner}.name", name)
        claim, template = item.get("resourceClaimName"), item.get("resourceClaimTemplateName")
        if claim is not None and template is not None:
            text = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            errors.append(invalid(inner, item, text))
        elif claim is None and template is None:
            text = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
            errors.append(invalid(inner, item, text))
        for key in ("resourceClaimName", "resourceClaimTemplateName"):
            if item.get(key) is not None:
                subdomain(errors, f"{inner}.{key}", item[key])


def _user_namespace(errors: Errors, path: str, spec: Obj) -> None:
    """What a pod with a user namespace of its own cannot have."""
    text = "when `hostUsers` is false"
    for key, shown in (("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")):
        if spec.get(key):
            errors.append(forbidden(f"{path}.{shown}", text))
    for kind in ("containers", "initContainers", "ephemeralContainers"):
        for index, item in enumerate(spec.get(kind) or ()):
            if item.get("volumeDevices"):
                errors.append(forbidden(f"{path}.{kind}[{index}].volumeDevices", text))
