"""Validation of network policies, service CIDRs and IP addresses. Ingresses: ingress.py."""

from __future__ import annotations

import ipaddress

from steersman.api.equality import same
from steersman.api.validation.common import IMMUTABLE, Errors, complain, each, label_selector, needs, one_of, subdomain
from steersman.machinery import names
from steersman.machinery.fielderrors import FieldError, forbidden, invalid, not_supported, required
from steersman.machinery.meta import Obj

_PROTOCOLS = ("SCTP", "TCP", "UDP")
_POLICY_TYPES = ("Egress", "Ingress")
_SELECTORS = ("podSelector", "namespaceSelector")
_ONE_PER_FAMILY = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"


def validate_policy(obj: Obj) -> list[FieldError]:
    return _policy(obj, lenient_values=False)


def validate_policy_update(new: Obj, old: Obj) -> list[FieldError]:
    return _policy(new, lenient_values=bool(_policy(old, lenient_values=False)))


def _policy(obj: Obj, *, lenient_values: bool) -> Errors:
    errors: Errors = []
    spec = obj.get("spec") or {}

    def peer(errors: Errors, path: str, item: Obj) -> None:
        given = [key for key in (*_SELECTORS, "ipBlock") if item.get(key) is not None]
        for key in _SELECTORS:
            label_selector(errors, f"{path}.{key}", item.get(key), lenient_values=lenient_values)
        if "ipBlock" in given:
            _block(errors, f"{path}.ipBlock", item["ipBlock"])
        if not given:
            errors.append(required(path, "must specify a peer"))
        elif "ipBlock" in given and len(given) > 1:
            errors.append(forbidden(path, "may not specify both ipBlock and another peer"))

    label_selector(errors, "spec.podSelector", spec.get("podSelector"), lenient_values=lenient_values)
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(direction) or ()):
            inner = f"spec.{direction}[{index}]"
            each(errors, f"{inner}.ports", rule.get("ports"), _port)
            each(errors, f"{inner}.{peers}", rule.get(peers), peer)
    types = spec.get("policyTypes") or ()
    if len(types) > len(_POLICY_TYPES):
        errors.append(invalid("spec.policyTypes", types, "may not specify more than two policyTypes"))
    else:
        for index, item in enumerate(types):
            if item not in _POLICY_TYPES:
                errors.append(not_supported(f"spec.policyTypes[{index}]", item, _POLICY_TYPES))
    return errors


def _port(errors: Errors, path: str, item: Obj) -> None:
    port, end = item.get("port"), item.get("endPort")
    if item.get("protocol") is not None:
        one_of(errors, f"{path}.protocol", item["protocol"], _PROTOCOLS)
    if isinstance(port, str):
        if end is not None:
            errors.append(invalid(f"{path}.endPort", end, "may not be specified when `port` is non-numeric"))
        complain(errors, f"{path}.port", port, names.port_name(port))
    elif port is not None:
        complain(errors, f"{path}.port", port, names.port_number(port))
        if end is not None:
            if end < port:
                errors.append(invalid(f"{path}.endPort", port, "must be greater than or equal to `port`"))
            complain(errors, f"{path}.endPort", end, names.port_number(end))
    elif end is not None:
        errors.append(invalid(f"{path}.endPort", end, "may not be specified when `port` is not specified"))


def _block(errors: Errors, path: str, block: Obj) -> None:
    cidr = block.get("cidr") or ""
    if not needs(errors, f"{path}.cidr", cidr):
        return
    texts = names.cidr(cidr)
    complain(errors, f"{path}.cidr", cidr, texts)
    if texts:
        return
    whole = ipaddress.ip_network(cidr)
    for index, item in enumerate(block.get("except") or ()):
        inner, texts = f"{path}.except[{index}]", names.cidr(item)
        complain(errors, inner, item, texts)
        if not texts and not _strict_subset(item, whole):
            errors.append(invalid(inner, item, "must be a strict subset of `cidr`"))


def _strict_subset(cidr: str, whole: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    part = ipaddress.ip_network(cidr)
    return part.prefixlen > whole.prefixlen and part.network_address in whole


def ip_address_name(value: str) -> list[str]:
    """Names of IPAddress objects: an address in canonical form."""
    texts = names.ip(value)
    if not texts and str(ipaddress.ip_address(value)) != value:
        return [f"must be in canonical form ({ipaddress.ip_address(value)})"]
    return texts


def validate_ip_address(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    path, parent = "spec.parentRef", (obj.get("spec") or {}).get("parentRef")
    if parent is None:
        errors.append(required(path))
        return errors
    if parent.get("group"):
        subdomain(errors, f"{path}.group", parent["group"])
    for key in ("resource", "name"):
        if needs(errors, f"{path}.{key}", parent.get(key)):
            complain(errors, f"{path}.{key}", parent[key], names.path_segment(parent[key]))
    if parent.get("namespace"):
        complain(errors, f"{path}.namespace", parent["namespace"], names.path_segment(parent["namespace"]))
    return errors


def validate_ip_address_update(new: Obj, old: Obj) -> list[FieldError]:
    errors: Errors = []
    parent = (new.get("spec") or {}).get("parentRef")
    if not same(parent, (old.get("spec") or {}).get("parentRef")):
        errors.append(invalid("spec.parentRef", parent, IMMUTABLE))
    return errors


def validate_service_cidr(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    path, spec = "spec.cidrs", obj.get("spec") or {}
    cidrs = spec.get("cidrs") or ()
    if not cidrs:
        errors.append(required(path, "at least one CIDR required"))
    elif len(cidrs) > 2:
        errors.append(invalid(path, spec, "may only hold up to 2 values"))
    else:
        for index, cidr in enumerate(cidrs):
            complain(errors, f"{path}[{index}]", cidr, _canonical_cidr(cidr))
        if not errors and len(cidrs) == 2 and len({ipaddress.ip_network(cidr).version for cidr in cidrs}) == 1:
            errors.append(invalid(path, spec, _ONE_PER_FAMILY))
    return errors


def _canonical_cidr(value: str) -> list[str]:
    texts = names.cidr(value)
    if not texts and str(ipaddress.ip_network(value)) != value:
        return [f"must be in canonical form ({ipaddress.ip_network(value)})"]
    return texts


def validate_service_cidr_update(new: Obj, old: Obj) -> list[FieldError]:
    """A second family may be added, nothing else changes."""
    cidrs, stored = (new.get("spec") or {}).get("cidrs") or [], (old.get("spec") or {}).get("cidrs") or []
    if cidrs == stored:
        return []
    if len(stored) == 1 and len(cidrs) == 2 and cidrs[0] == stored[0]:
        return validate_service_cidr(new)
    return [invalid("spec.cidrs", cidrs, IMMUTABLE)]
