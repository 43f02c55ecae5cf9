"""What the proxy makes of Services and EndpointSlices: one ServicePort per port, with the endpoints each kind of traffic gets.

Pure. Source: upstream pkg/proxy topology and serviceport; KEP-1669 (terminating endpoints), KEP-2433 (topology hints),
KEP-2086 (internalTrafficPolicy). IPv4 only for now.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from steersman.machinery.meta import Key, Obj, dig, key_of, labels_of, namespace_of

SERVICE_NAME = "kubernetes.io/service-name"
PROXY_NAME = "service.kubernetes.io/service-proxy-name"
HEADLESS = "service.kubernetes.io/headless"


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """A backend address and port, and whether it is on this node."""

    ip: str
    port: int
    local: bool = False


@dataclass(frozen=True, slots=True)
class NodeView:
    """What the proxy knows of its own node."""

    name: str
    zone: str = ""


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a Service. `cluster` and `local`: endpoints under the Cluster and Local policies.

    `any_endpoint`: there are usable endpoints somewhere, so Local traffic without a local one is dropped, not rejected.
    `serving`: endpoints that may have connections, terminating ones among them. `local_ready`: addresses of ready ones here,
    which is what a load balancer asks `health_port` for.
    """

    namespace: str
    name: str
    port_name: str
    protocol: str
    port: int
    node_port: int
    cluster_ips: tuple[str, ...]
    external_ips: tuple[str, ...]
    source_ranges: tuple[str, ...]
    balancer_ips: tuple[str, ...]
    external_local: bool
    internal_local: bool
    affinity_s: int
    cluster: tuple[Endpoint, ...]
    local: tuple[Endpoint, ...]
    serving: tuple[Endpoint, ...] = ()
    health_port: int = 0
    local_ready: frozenset[str] = frozenset()

    @property
    def id(self) -> str:
        return f"{self.namespace}/{self.name}/{self.protocol}/{self.port_name or self.port}"

    @property
    def any_endpoint(self) -> bool:
        return bool(self.cluster or self.local)


@dataclass(frozen=True, slots=True)
class _Candidate:
    endpoint: Endpoint
    ready: bool
    serving_terminating: bool
    zones: frozenset[str]
    nodes: frozenset[str]


def service_ports(services: Iterable[Obj], slices: Iterable[Obj], node: NodeView) -> list[ServicePort]:
    """All ports this proxy serves, in a stable order."""
    by_service: dict[Key, list[Obj]] = defaultdict(list)
    for item in slices:
        if item.get("addressType") == "IPv4":
            by_service[namespace_of(item), labels_of(item).get(SERVICE_NAME, "")].append(item)
    found: list[ServicePort] = []
    for service in services:
        if _is_served(service):
            found += _ports_of(service, by_service.get(key_of(service), []), node)
    return sorted(found, key=lambda port: port.id)


def _is_served(service: Obj) -> bool:
    spec = service.get("spec") or {}
    headless = spec.get("clusterIP") in (None, "", "None")
    elsewhere = labels_of(service).keys() & {PROXY_NAME, HEADLESS}
    return not headless and spec.get("type") != "ExternalName" and not elsewhere


def _ports_of(service: Obj, slices: list[Obj], node: NodeView) -> Iterable[ServicePort]:
    spec = service["spec"]
    affinity = spec.get("sessionAffinity") == "ClientIP"
    seconds = dig(spec, "sessionAffinityConfig", "clientIP", "timeoutSeconds", default=10800)
    namespace, name = key_of(service)
    is_balancer = spec.get("type") == "LoadBalancer"
    external_local = spec.get("externalTrafficPolicy") == "Local"
    ingress = dig(service, "status", "loadBalancer", "ingress", default=[]) if is_balancer else []
    for port in spec.get("ports") or ():
        protocol = port.get("protocol", "TCP")
        candidates = _candidates(slices, port.get("name", ""), protocol, node)
        yield ServicePort(
            namespace=namespace,
            name=name,
            port_name=port.get("name", ""),
            protocol=protocol.lower(),
            port=port["port"],
            node_port=port.get("nodePort", 0),
            cluster_ips=_ipv4(spec.get("clusterIPs") or [spec["clusterIP"]]),
            external_ips=_ipv4(spec.get("externalIPs") or ()),
            source_ranges=_ipv4(spec.get("loadBalancerSourceRanges") or ()) if is_balancer else (),
            balancer_ips=_ipv4(item["ip"] for item in ingress if item.get("ip") and item.get("ipMode", "VIP") == "VIP"),
            external_local=external_local,
            internal_local=spec.get("internalTrafficPolicy") == "Local",
            affinity_s=seconds if affinity else 0,
            cluster=_for_cluster(candidates, node),
            local=_for_local(candidates),
            serving=_sorted(item for item in candidates if item.ready or item.serving_terminating),
            health_port=spec.get("healthCheckNodePort", 0) if is_balancer and external_local else 0,
            local_ready=frozenset(item.endpoint.ip for item in candidates if item.ready and item.endpoint.local),
        )


def _ipv4(addresses: Iterable[str]) -> tuple[str, ...]:
    return tuple(address.strip() for address in addresses if ":" not in address)


def _candidates(slices: list[Obj], port_name: str, protocol: str, node: NodeView) -> list[_Candidate]:
    found: dict[Endpoint, _Candidate] = {}
    for item in slices:
        number = _port_number(item, port_name, protocol)
        if not number:
            continue
        for endpoint in item.get("endpoints") or ():
            conditions = endpoint.get("conditions") or {}
            ready = conditions.get("ready") is not False
            serving = conditions.get("serving", ready) is not False
            hints = endpoint.get("hints") or {}
            for address in endpoint.get("addresses", ())[:1]:
                key = Endpoint(address, number, endpoint.get("nodeName") == node.name)
                found[key] = _Candidate(
                    key,
                    ready,
                    serving and bool(conditions.get("terminating")),
                    frozenset(zone["name"] for zone in hints.get("forZones") or ()),
                    frozenset(each["name"] for each in hints.get("forNodes") or ()),
                )
    return list(found.values())


def _port_number(item: Obj, port_name: str, protocol: str) -> int:
    for port in item.get("ports") or ():
        if (port.get("name") or "") == port_name and port.get("protocol", "TCP") == protocol:
            return int(port.get("port") or 0)
    return 0


def _for_cluster(candidates: list[_Candidate], node: NodeView) -> tuple[Endpoint, ...]:
    ready = [item for item in candidates if item.ready]
    if not ready:
        return _sorted(item for item in candidates if item.serving_terminating)
    if all(item.nodes for item in ready) and any(node.name in item.nodes for item in ready):
        return _sorted(item for item in ready if node.name in item.nodes)
    if node.zone and all(item.zones for item in ready) and any(node.zone in item.zones for item in ready):
        return _sorted(item for item in ready if node.zone in item.zones)
    return _sorted(ready)


def _for_local(candidates: list[_Candidate]) -> tuple[Endpoint, ...]:
    here = [item for item in candidates if item.endpoint.local]
    ready = [item for item in here if item.ready]
    return _sorted(ready or [item for item in here if item.serving_terminating])


def _sorted(candidates: Iterable[_Candidate]) -> tuple[Endpoint, ...]:
    return tuple(sorted(item.endpoint for item in candidates))
