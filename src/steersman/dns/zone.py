"""The cluster's zone as a plain table of records, made from Services and EndpointSlices. Pure.

Source: Kubernetes DNS-Based Service Discovery, schema 1.1.0.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from steersman.machinery.meta import Key, Obj, dig, key_of, labels_of, namespace_of

SCHEMA_VERSION = "1.1.0"
SERVICE_NAME = "kubernetes.io/service-name"


class Srv(NamedTuple):
    """An SRV target: port and absolute host name (without the last dot)."""

    port: int
    target: str


@dataclass(slots=True)
class Zone:
    """Lower-case absolute names without the last dot -> records. `names` also has names that only lead to deeper ones."""

    domain: str
    a: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    srv: dict[str, list[Srv]] = field(default_factory=lambda: defaultdict(list))
    cname: dict[str, str] = field(default_factory=dict)
    ptr: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    txt: dict[str, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    namespaces: set[str] = field(default_factory=set)

    def exists(self, name: str) -> bool:
        return name in self.names

    def pod_address(self, name: str) -> str:
        """The address in `a-b-c-d.<namespace>.pod.<domain>`, '' if the name is no such name of an existing namespace."""
        suffix = f".pod.{self.domain}"
        if not name.endswith(suffix):
            return ""
        dashed, _, namespace = name[: -len(suffix)].rpartition(".")
        if namespace not in self.namespaces:
            return ""
        try:
            return str(ipaddress.IPv4Address(dashed.replace("-", ".")))
        except ValueError:
            return ""


def build(domain: str, services: Iterable[Obj], slices: Iterable[Obj], namespaces: Iterable[str]) -> Zone:
    """All records of the zone."""
    zone = Zone(domain, namespaces=set(namespaces))
    by_service: dict[Key, list[Obj]] = defaultdict(list)
    for item in slices:
        if item.get("addressType") == "IPv4":
            by_service[namespace_of(item), labels_of(item).get(SERVICE_NAME, "")].append(item)
    zone.txt[f"dns-version.{domain}"] = SCHEMA_VERSION
    _mention(zone, f"dns-version.{domain}")
    for namespace in zone.namespaces:
        _mention(zone, f"{namespace}.svc.{domain}")
        _mention(zone, f"{namespace}.pod.{domain}")
    for service in services:
        _add_service(zone, service, by_service.get(key_of(service), []))
    return zone


def _add_service(zone: Zone, service: Obj, slices: list[Obj]) -> None:
    spec = service.get("spec") or {}
    namespace, name = key_of(service)
    base = f"{name}.{namespace}.svc.{zone.domain}".lower()
    if spec.get("type") == "ExternalName":
        zone.cname[base] = str(spec.get("externalName", "")).rstrip(".").lower()
        _mention(zone, base)
    elif spec.get("clusterIP") == "None":
        for item in slices:
            _add_headless(zone, base, item)
    else:
        addresses = [ip for ip in spec.get("clusterIPs") or [spec.get("clusterIP")] if ip and ":" not in ip]
        for ip in addresses:
            _add_address(zone, base, ip)
            zone.ptr[_reverse(ip)].append(base)
        for port in spec.get("ports") or () if addresses else ():
            _add_srv(zone, base, port.get("name", ""), port.get("protocol", "TCP"), port["port"], base)


def _add_headless(zone: Zone, base: str, item: Obj) -> None:
    for endpoint in item.get("endpoints") or ():
        if dig(endpoint, "conditions", "ready", default=True) is False:
            continue
        for ip in endpoint.get("addresses") or ():
            host = f"{endpoint.get('hostname') or ip.replace('.', '-')}.{base}".lower()
            _add_address(zone, base, ip)
            _add_address(zone, host, ip)
            zone.ptr[_reverse(ip)].append(host)
            for port in item.get("ports") or ():
                if port.get("port"):
                    _add_srv(zone, base, port.get("name") or "", port.get("protocol", "TCP"), port["port"], host)


def _add_address(zone: Zone, name: str, ip: str) -> None:
    if ip not in zone.a[name]:
        zone.a[name].append(ip)
    _mention(zone, name)


def _add_srv(zone: Zone, base: str, port_name: str, protocol: str, port: int, target: str) -> None:
    name = f"_{port_name}._{protocol.lower()}.{base}" if port_name else base
    record = Srv(port, target)
    if record not in zone.srv[name]:
        zone.srv[name].append(record)
    _mention(zone, name)


def _mention(zone: Zone, name: str) -> None:
    """The name and every name above it exist, down to the domain (RFC 8020: no NXDOMAIN above an existing name)."""
    while name and name not in zone.names:
        zone.names.add(name)
        if name == zone.domain:
            return
        _, _, name = name.partition(".")


def _reverse(ip: str) -> str:
    return ipaddress.ip_address(ip).reverse_pointer
