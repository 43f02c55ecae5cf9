"""What a Service needs, and what it keeps, drops and gets filled in besides addresses. Pure.

Source: upstream pkg/registry/core/service/{strategy,storage/alloc}.go. Addresses and ports: service_addresses.py.
"""

from __future__ import annotations

import ipaddress

from steersman.machinery import fielderrors
from steersman.machinery.fielderrors import FieldError
from steersman.machinery.meta import Obj

HEADLESS = "None"
_DUAL = ("RequireDualStack", "PreferDualStack")


def needs_cluster_ip(service: Obj) -> bool:
    """Whether the type has the fields clusterIP, clusterIPs, ipFamilies; a headless service has them too."""
    return bool(service["spec"].get("type") != "ExternalName")


def is_headless(service: Obj) -> bool:
    return bool(service["spec"].get("clusterIP") == HEADLESS)


def cluster_ips(service: Obj | None) -> list[str]:
    """The addresses a service holds: none if headless or ExternalName."""
    if service is None or not needs_cluster_ip(service):
        return []
    return [address for address in service["spec"].get("clusterIPs") or () if address != HEADLESS]


def needs_node_port(service: Obj) -> bool:
    return service["spec"].get("type") in ("NodePort", "LoadBalancer")


def allocates_node_ports(service: Obj) -> bool:
    spec = service["spec"]
    return spec.get("type") == "NodePort" or (
        spec.get("type") == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is not False
    )


def needs_health_check_port(service: Obj) -> bool:
    spec = service["spec"]
    return bool(spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local")


def node_ports(service: Obj | None) -> set[int]:
    """All ports of the node range that a service holds, its health check's too."""
    if service is None:
        return set()
    held = {int(port.get("nodePort") or 0) for port in service["spec"].get("ports") or ()} if needs_node_port(service) else set()
    if needs_health_check_port(service):
        held.add(int(service["spec"].get("healthCheckNodePort") or 0))
    return held - {0}


def inherit(new: Obj, old: Obj) -> None:
    """Keep what was allocated before where the client left it out: a PUT of the original manifest must not fail."""
    spec, before = new["spec"], old["spec"]
    if needs_cluster_ip(new) and needs_cluster_ip(old):
        if not spec.get("clusterIP") and not spec.get("clusterIPs"):
            spec["clusterIP"] = before.get("clusterIP")
        if not spec.get("clusterIPs") and spec.get("clusterIP") == before.get("clusterIP"):
            spec["clusterIPs"] = list(before.get("clusterIPs") or ())
    if needs_node_port(new) and needs_node_port(old):
        used = {port.get("nodePort") for port in spec.get("ports") or ()}
        by_name = {port.get("name") or "": port.get("nodePort") for port in before.get("ports") or ()}
        for port in spec.get("ports") or ():
            held = by_name.get(port.get("name") or "")
            if not port.get("nodePort") and held and held not in used:
                port["nodePort"] = held
                used.add(held)
    if needs_health_check_port(new) and needs_health_check_port(old) and not spec.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = before.get("healthCheckNodePort") or 0


def drop_inapplicable(new: Obj, old: Obj) -> None:
    """After a type change: clear what the new type has no use for, if the client left it as it was."""
    spec, before = new["spec"], old["spec"]

    def drop(*keys: str) -> None:
        for key in keys:
            if key in spec and spec[key] == before.get(key):
                del spec[key]

    if needs_cluster_ip(old) and not needs_cluster_ip(new):
        drop("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")
    if needs_node_port(old) and not needs_node_port(new):
        held = node_ports(old)
        for port in spec.get("ports") or ():
            if port.get("nodePort") in held:
                del port["nodePort"]
    if needs_health_check_port(old) and not needs_health_check_port(new):
        drop("healthCheckNodePort")
    if before.get("type") == "LoadBalancer" and spec.get("type") != "LoadBalancer":
        drop("allocateLoadBalancerNodePorts", "loadBalancerClass")
    if needs_node_port(old) and not needs_node_port(new) and not spec.get("externalIPs"):
        drop("externalTrafficPolicy")


def normalize_cluster_ips(new: Obj, old: Obj | None) -> None:
    """clusterIP and clusterIPs say the same: the client may send either, old clients know only the first."""
    spec = new["spec"]
    single, several = spec.get("clusterIP") or "", spec.get("clusterIPs") or []
    if old is None:
        if single and not several:
            spec["clusterIPs"] = [single]
        elif several and not single:
            spec["clusterIP"] = several[0]
        return
    before = old["spec"]
    if single != (before.get("clusterIP") or "") and several == (before.get("clusterIPs") or []):
        # Only the first was changed: the list follows. Whether the change is allowed is validation's question.
        spec["clusterIPs"] = [single] if single else []
    elif several and several != (before.get("clusterIPs") or []) and not single:
        spec["clusterIP"] = several[0]


def fill_families(new: Obj, old: Obj | None, family: str) -> list[FieldError]:
    """Set ipFamilyPolicy and ipFamilies on a cluster that has one family (`IPv4` or `IPv6`); errors where they can't be."""
    spec = new["spec"]
    selectorless = is_headless(new) and not spec.get("selector")
    policy = spec.get("ipFamilyPolicy")
    if policy is None and old is not None:
        policy = old["spec"].get("ipFamilyPolicy")
    given = [address for address in spec.get("clusterIPs") or () if address != HEADLESS]
    families = list(spec.get("ipFamilies") or ())
    errors = _family_errors(policy, given, families, family, selectorless)
    if errors:
        return errors
    if policy is None:
        policy = "RequireDualStack" if selectorless else "SingleStack"
    other = "IPv6" if family == "IPv4" else "IPv4"
    if not families:
        families = [_family(address) for address in given] or [family]
    if selectorless and policy in _DUAL and len(families) == 1:
        families.append(other if families[0] == family else family)
    spec["ipFamilyPolicy"], spec["ipFamilies"] = policy, families
    return []


def _family_errors(
    policy: str | None, given: list[str], families: list[str], family: str, selectorless: bool
) -> list[FieldError]:
    errors = []
    for what, several in (("cluster IPs", given), ("IP families", families)):
        if len(several) > 1 and policy not in _DUAL and not (policy is None and selectorless):
            text = f"must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified"
            errors.append(fielderrors.invalid("spec.ipFamilyPolicy", policy, text))
            break
    if selectorless:
        return errors
    if policy == "RequireDualStack":
        text = "this cluster is not configured for dual-stack services"
        errors.append(fielderrors.invalid("spec.ipFamilyPolicy", policy, text))
    for index, item in enumerate(families):
        if item != family:
            errors.append(fielderrors.invalid(f"spec.ipFamilies[{index}]", item, "not configured on this cluster"))
    for index, address in enumerate(given):
        found = _family(address)
        if found and found != family:
            text = f"{found} is not configured on this cluster"
            errors.append(fielderrors.invalid(f"spec.clusterIPs[{index}]", given, text))
    return errors


def _family(address: str) -> str:
    """IPv4 or IPv6; "" for what is no address (validation says so)."""
    try:
        return f"IPv{ipaddress.ip_address(address).version}"
    except ValueError:
        return ""
