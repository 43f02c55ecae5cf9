"""Validation of services. Addresses and node ports have been allocated by then (a store hook does that before validation)."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from steersman.api.validation.common import (
    Errors,
    complain,
    label,
    needs,
    not_negative,
    one_of,
    port,
    port_or_name,
    subdomain,
    unique,
)  # fmt: skip
from steersman.machinery import names
from steersman.machinery.fielderrors import FieldError, duplicate, forbidden, invalid, required
from steersman.machinery.meta import Obj, annotations_of

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_POLICIES = ("Cluster", "Local")
_FAMILIES = ("IPv4", "IPv6")
_FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
_DISTRIBUTIONS = ("PreferClose", "PreferSameZone", "PreferSameNode")
_MAX_STICKY_SECONDS = 86400
_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
_ONLY_BALANCER = "may only be used when `type` is 'LoadBalancer'"
_ONCE = "may not change once set"

_FORBIDDEN_RANGES = (
    ("is_unspecified", "may not be unspecified ({})"),
    ("is_loopback", "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
    ("is_link_local", "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
)


def endpoint_ip(errors: Errors, path: str, value: str) -> None:
    """An address that traffic may be sent to."""
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return
    for attribute, text in _FORBIDDEN_RANGES:
        if getattr(address, attribute):
            errors.append(invalid(path, value, text.format(value)))
    multicast = ipaddress.ip_network("224.0.0.0/24" if address.version == 4 else "ff02::/16")
    if address in multicast:
        text = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
        errors.append(invalid(path, value, text))


def family(value: str) -> str:
    """IPv4 or IPv6; empty for what is no address."""
    try:
        return f"IPv{ipaddress.ip_address(value).version}"
    except ValueError:
        return ""


def validate_service(service: Obj) -> list[FieldError]:
    errors: Errors = []
    spec = service.get("spec") or {}
    kind = spec.get("type") or ""
    headless = (spec.get("clusterIP") or "") == "None"
    if kind in ("NodePort", "LoadBalancer") and headless:
        errors.append(invalid("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services"))
    if kind == "ExternalName":
        name = spec.get("externalName") or ""
        if needs(errors, "spec.externalName", name):
            subdomain(errors, "spec.externalName", name.removesuffix("."))
    elif not headless:
        needs(errors, "spec.ports", spec.get("ports"))
    _ports(errors, spec, kind)
    for key, value in (spec.get("selector") or {}).items():
        complain(errors, "spec.selector", key, names.qualified_name(key))
        complain(errors, "spec.selector", value, names.label_value(value))
    _affinity(errors, spec)
    cluster_ips(errors, spec, kind)
    for index, address in enumerate(spec.get("externalIPs") or ()):
        texts = names.ip(address)
        complain(errors, f"spec.externalIPs[{index}]", address, texts)
        if not texts:
            endpoint_ip(errors, f"spec.externalIPs[{index}]", address)
    one_of(errors, "spec.type", kind, _TYPES, optional=False)
    _balancer(errors, service, spec, kind)
    _traffic(errors, spec, kind)
    return errors


def _ports(errors: Errors, spec: Obj, kind: str) -> None:
    items = spec.get("ports") or ()
    seen_names: set[str] = set()
    seen_ports: set[tuple[str, int]] = set()
    seen_nodes: set[tuple[str, int]] = set()
    for index, item in enumerate(items):
        inner = f"spec.ports[{index}]"
        _port(errors, inner, item, len(items) > 1, seen_names)
        node = item.get("nodePort") or 0
        if node:
            if kind == "ClusterIP":
                errors.append(forbidden(f"{inner}.nodePort", "may not be used when `type` is 'ClusterIP'"))
            key = (item.get("protocol", ""), node)
            if key in seen_nodes:
                errors.append(duplicate(f"{inner}.nodePort", node))
            seen_nodes.add(key)
        pair = (item.get("protocol", ""), item.get("port", 0))
        if pair in seen_ports:
            errors.append(duplicate(inner, {"protocol": pair[0], "port": pair[1]}))
        seen_ports.add(pair)


def _port(errors: Errors, path: str, item: Obj, several: bool, seen: set[str]) -> None:
    name = item.get("name") or ""
    if several and not name:
        errors.append(required(f"{path}.name"))
    elif name:
        label(errors, f"{path}.name", name)
        unique(errors, f"{path}.name", name, seen)
    port(errors, f"{path}.port", item.get("port", 0))
    one_of(errors, f"{path}.protocol", item.get("protocol"), ("SCTP", "TCP", "UDP"), optional=False)
    port_or_name(errors, f"{path}.targetPort", item.get("targetPort", 0))
    if item.get("appProtocol") is not None:
        complain(errors, f"{path}.appProtocol", item["appProtocol"], names.qualified_name(item["appProtocol"]))


def _affinity(errors: Errors, spec: Obj) -> None:
    kind = spec.get("sessionAffinity")
    one_of(errors, "spec.sessionAffinity", kind, ("ClientIP", "None"), optional=False)
    config = spec.get("sessionAffinityConfig")
    if kind == "None" and config is not None:
        errors.append(forbidden("spec.sessionAffinityConfig", "must not be set when session affinity is None"))
    elif kind == "ClientIP":
        inner = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
        seconds = ((config or {}).get("clientIP") or {}).get("timeoutSeconds")
        if seconds is None:
            errors.append(required(inner, "when session affinity type is ClientIP"))
        elif not 0 < seconds <= _MAX_STICKY_SECONDS:
            text = f"must be greater than 0 and less than {_MAX_STICKY_SECONDS}"
            errors.append(invalid(inner, seconds, text))


def cluster_ips(errors: Errors, spec: Obj, kind: str) -> None:
    """clusterIP, clusterIPs, ipFamilies, ipFamilyPolicy: that each is well formed and that they agree."""
    single, many = spec.get("clusterIP") or "", spec.get("clusterIPs") or []
    families, policy = spec.get("ipFamilies") or [], spec.get("ipFamilyPolicy")
    if kind == "ExternalName":
        for key, value in (("clusterIPs", many or single), ("ipFamilies", families), ("ipFamilyPolicy", policy)):
            if value:
                errors.append(forbidden(f"spec.{key}", "may not be set for ExternalName services"))
        return
    if not single and many:
        errors.append(invalid("spec.clusterIPs", many, "must be empty when `clusterIP` is not specified"))
    elif many and many[0] != single:
        errors.append(invalid("spec.clusterIPs", many, "first value must match `clusterIP`"))
    _families(errors, families, policy)
    if "None" in many and (len(many) > 1 or many[0] != "None"):
        errors.append(invalid("spec.clusterIPs", many, "'None' must be the first and only value"))
    if len(many) > 2:
        errors.append(invalid("spec.clusterIPs", many, "may only hold up to 2 values"))
    if many and many[0] != "None":
        _addresses(errors, many, families)


def _families(errors: Errors, families: Sequence[str], policy: str | None) -> None:
    one_of(errors, "spec.ipFamilyPolicy", policy, _FAMILY_POLICIES)
    seen: set[str] = set()
    for index, item in enumerate(families):
        one_of(errors, f"spec.ipFamilies[{index}]", item, _FAMILIES, optional=False)
        unique(errors, f"spec.ipFamilies[{index}]", item, seen)


def _addresses(errors: Errors, many: Sequence[str], families: Sequence[str]) -> None:
    for index, item in enumerate(many):
        texts = names.ip(item)
        complain(errors, f"spec.clusterIPs[{index}]", item, texts)
        if not texts and index < len(families) and family(item) != families[index]:
            text = f"expected an {families[index]} value as indicated by `ipFamilies[{index}]`"
            errors.append(invalid(f"spec.clusterIPs[{index}]", item, text))
    if len(many) == 2 and family(many[0]) and family(many[0]) == family(many[1]):
        errors.append(invalid("spec.clusterIPs", many, "may specify no more than one IP for each IP family"))


def _balancer(errors: Errors, service: Obj, spec: Obj, kind: str) -> None:
    """What only services of type LoadBalancer have."""
    ranges, path = spec.get("loadBalancerSourceRanges") or (), "spec.LoadBalancerSourceRanges"
    noted = annotations_of(service).get(_RANGES)
    if not ranges and noted is not None:
        path, ranges = f"metadata.annotations[{_RANGES}]", noted.strip().split(",") if noted.strip() else ()
    if (ranges or path.startswith("metadata")) and kind != "LoadBalancer":
        errors.append(forbidden(path, _ONLY_BALANCER))
    for index, item in enumerate(ranges):
        where = path if noted is not None and path.startswith("metadata") else f"{path}[{index}]"
        complain(errors, where, item, names.cidr(item.strip()))
    if spec.get("allocateLoadBalancerNodePorts") is not None and kind != "LoadBalancer":
        errors.append(forbidden("spec.allocateLoadBalancerNodePorts", _ONLY_BALANCER))
    chosen = spec.get("loadBalancerClass")
    if chosen is not None:
        if kind != "LoadBalancer":
            errors.append(forbidden("spec.loadBalancerClass", _ONLY_BALANCER))
        complain(errors, "spec.loadBalancerClass", chosen, names.qualified_name(chosen))


def externally_accessible(spec: Obj) -> bool:
    kind = spec.get("type")
    return kind in ("LoadBalancer", "NodePort") or (kind == "ClusterIP" and bool(spec.get("externalIPs")))


def needs_health_check(spec: Obj) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def _traffic(errors: Errors, spec: Obj, kind: str) -> None:
    policy = spec.get("externalTrafficPolicy")
    if policy:
        if not externally_accessible(spec):
            text = "may only be set for externally-accessible services"
            errors.append(invalid("spec.externalTrafficPolicy", policy, text))
        one_of(errors, "spec.externalTrafficPolicy", policy, _POLICIES)
    elif externally_accessible(spec):
        errors.append(required("spec.externalTrafficPolicy", "must be set for externally-accessible services"))
    health = spec.get("healthCheckNodePort") or 0
    not_negative(errors, "spec.healthCheckNodePort", health)
    if health and not needs_health_check(spec):
        text = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        errors.append(invalid("spec.healthCheckNodePort", health, text))
    internal = spec.get("internalTrafficPolicy")
    if internal is not None:
        one_of(errors, "spec.internalTrafficPolicy", internal, _POLICIES, optional=False)
    elif kind in ("ClusterIP", "NodePort", "LoadBalancer"):
        errors.append(required("spec.internalTrafficPolicy"))
    one_of(errors, "spec.trafficDistribution", spec.get("trafficDistribution"), _DISTRIBUTIONS)


def validate_service_update(new: Obj, old: Obj) -> list[FieldError]:
    errors: Errors = []
    spec, stored = new.get("spec") or {}, old.get("spec") or {}
    if "ExternalName" not in (spec.get("type"), stored.get("type")):
        _frozen_addresses(errors, spec, stored)
    if spec.get("type") == stored.get("type") == "LoadBalancer":
        chosen = spec.get("loadBalancerClass")
        if chosen != stored.get("loadBalancerClass"):
            errors.append(invalid("spec.loadBalancerClass", chosen, _ONCE))
    moved = (spec.get("healthCheckNodePort") or 0) != (stored.get("healthCheckNodePort") or 0)
    if moved and needs_health_check(spec) and needs_health_check(stored):
        errors.append(forbidden("spec.healthCheckNodePort", "field is immutable"))
    return errors + validate_service(new)


def _frozen_addresses(errors: Errors, spec: Obj, stored: Obj) -> None:
    """The primary address and family stay; the secondary ones may be added or released."""
    many, before = spec.get("clusterIPs") or [], stored.get("clusterIPs") or []
    families, earlier = spec.get("ipFamilies") or [], stored.get("ipFamilies") or []
    if before:
        if not many:
            errors.append(invalid("spec.clusterIPs[0]", many, "primary clusterIP can not be unset"))
        elif many[0] != before[0]:
            errors.append(invalid("spec.clusterIPs[0]", many, _ONCE))
        elif len(before) == 2 and len(many) == 2 and many[1] != before[1]:
            errors.append(invalid("spec.clusterIPs[1]", many, _ONCE))
        elif len(before) == 2 and len(many) == 1 and spec.get("ipFamilyPolicy") != "SingleStack":
            text = "must be set to 'SingleStack' when releasing the secondary clusterIP"
            errors.append(invalid("spec.ipFamilyPolicy", spec.get("ipFamilyPolicy"), text))
    headless = before[:1] == ["None"] and not stored.get("selector")
    if earlier and not headless:
        if families[:1] != earlier[:1]:
            errors.append(invalid("spec.ipFamilies[0]", families, _ONCE))
        elif len(earlier) == 2 and len(families) == 1 and spec.get("ipFamilyPolicy") != "SingleStack":
            text = "must be set to 'SingleStack' when releasing the secondary ipFamily"
            errors.append(invalid("spec.ipFamilyPolicy", spec.get("ipFamilyPolicy"), text))


def validate_service_status(new: Obj, old: Obj) -> list[FieldError]:
    errors: Errors = []
    path = "status.loadBalancer.ingress"
    items = ((new.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    if items and (new.get("spec") or {}).get("type") != "LoadBalancer":
        errors.append(forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'"))
    for index, item in enumerate(items):
        _ingress(errors, f"{path}[{index}]", item)
    return errors


def _ingress(errors: Errors, path: str, item: Obj) -> None:
    address, host, mode = item.get("ip") or "", item.get("hostname") or "", item.get("ipMode")
    if address:
        complain(errors, f"{path}.ip", address, names.ip(address))
        if mode is None:
            errors.append(required(f"{path}.ipMode", "must be specified when `ip` is set"))
    elif mode is not None:
        errors.append(forbidden(f"{path}.ipMode", "may not be specified when `ip` is not set"))
    one_of(errors, f"{path}.ipMode", mode, ("Proxy", "VIP"))
    if host:
        subdomain(errors, f"{path}.hostname", host)
        if family(host):
            errors.append(invalid(f"{path}.hostname", host, "must be a DNS name, not an IP address"))
