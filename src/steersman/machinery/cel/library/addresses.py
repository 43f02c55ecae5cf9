"""Kubernetes' IP and CIDR libraries. Addresses are Python's own; a Cidr keeps its host bits."""

from __future__ import annotations

import ipaddress
from typing import Any

from steersman.machinery.cel.errors import CelRuntimeError, no_such_overload
from steersman.machinery.cel.functions import Overload, overload
from steersman.machinery.cel.types import CIDR

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_LOCAL_V4 = ipaddress.IPv4Network("224.0.0.0/24")
_BROADCAST = ipaddress.IPv4Address("255.255.255.255")


class Cidr:
    """An address and how many bits of it are the network's."""

    __slots__ = ("address", "bits")
    cel_type = CIDR

    def __init__(self, address: Address, bits: int) -> None:
        self.address = address
        self.bits = bits

    @property
    def cost_size(self) -> int:
        return -(-self.bits // 8)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cidr) and (self.address, self.bits) == (other.address, other.bits)

    def __hash__(self) -> int:
        return hash((self.address, self.bits))

    def __str__(self) -> str:
        return f"{self.address}/{self.bits}"

    def masked(self) -> Cidr:
        shift = self.address.max_prefixlen - self.bits
        return Cidr(type(self.address)((int(self.address) >> shift) << shift), self.bits)

    def holds(self, address: Address) -> bool:
        shift = self.address.max_prefixlen - self.bits
        return address.version == self.address.version and int(address) >> shift == int(self.address) >> shift


def _address(text: str) -> Address:
    """Raises ValueError."""
    if "%" in text:
        _bare(text.partition("%")[0])
        raise ValueError(f'IP address "{text}" with zone value is not allowed')
    found = _bare(text)
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        raise ValueError(f'IPv4-mapped IPv6 address "{text}" is not allowed')
    return found


def _bare(text: str) -> Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        reason = "unable to parse IP"
        raise ValueError(
            f'IP Address "{text}" parse error during conversion from string: ParseAddr("{text}"): {reason}'
        ) from None


def parse_ip(text: str) -> Address:
    try:
        return _address(text)
    except ValueError as fault:
        raise CelRuntimeError(str(fault)) from None


def _is_ip(text: str) -> bool:
    try:
        _address(text)
    except ValueError:
        return False
    return True


def parse_cidr(text: str) -> Cidr:
    lead = "network address parse error during conversion from string: "
    address, slash, bits = text.rpartition("/")
    if not slash:
        raise CelRuntimeError(f"{lead}{lead}netip.ParsePrefix(\"{text}\"): no '/'")
    try:
        if "%" in address:
            raise ValueError("IPv6 zones cannot be present in a prefix")
        found = ipaddress.ip_address(address)
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
            raise CelRuntimeError(f'{lead}IPv4-mapped IPv6 address "{text}" is not allowed')
    except ValueError:
        raise CelRuntimeError(f'{lead}{lead}netip.ParsePrefix("{text}"): ParseAddr("{address}"): unable to parse IP') from None
    if not (bits.isascii() and bits.isdigit()) or (len(bits) > 1 and bits[0] == "0") or len(bits) > 3:
        raise CelRuntimeError(f'{lead}{lead}netip.ParsePrefix("{text}"): bad bits after slash: "{bits}"')
    if int(bits) > found.max_prefixlen:
        raise CelRuntimeError(f'{lead}{lead}netip.ParsePrefix("{text}"): prefix length out of range')
    return Cidr(found, int(bits))


def _is_cidr(text: str) -> bool:
    try:
        parse_cidr(text)
    except CelRuntimeError:
        return False
    return True


def _contains_ip_text(cidr: Cidr, text: str) -> bool:
    try:
        return cidr.holds(_address(text))
    except ValueError:
        raise no_such_overload() from None


def _contains_cidr(cidr: Cidr, other: Cidr) -> bool:
    return cidr.bits <= other.bits and cidr.holds(other.address)


def _global_unicast(ip: Any) -> bool:
    none = ip.is_unspecified or ip.is_loopback or ip.is_multicast or ip.is_link_local
    return not none and ip != _BROADCAST


def _link_local_multicast(ip: Any) -> bool:
    if ip.version == 4:
        return ip in _LOCAL_V4
    return bool(int(ip) >> 120 == 0xFF and (int(ip) >> 112) & 0x0F == 2)


OVERLOADS: tuple[Overload, ...] = (
    overload("ip", "(string) -> ip", parse_ip, "first"),
    overload("isIP", "(string) -> bool", _is_ip, "first"),
    overload("ip.isCanonical", "(string) -> bool", lambda text: str(parse_ip(text)) == text, "first_twice"),
    overload("family", "ip.() -> int", lambda ip: ip.version),
    overload("isUnspecified", "ip.() -> bool", lambda ip: ip.is_unspecified),
    overload("isLoopback", "ip.() -> bool", lambda ip: ip.is_loopback),
    overload("isLinkLocalMulticast", "ip.() -> bool", _link_local_multicast),
    overload("isLinkLocalUnicast", "ip.() -> bool", lambda ip: ip.is_link_local),
    overload("isGlobalUnicast", "ip.() -> bool", _global_unicast),
    overload("string", "(ip) -> string", str),
    overload("cidr", "(string) -> cidr", parse_cidr, "first"),
    overload("isCIDR", "(string) -> bool", _is_cidr, "first"),
    overload("containsIP", "cidr.(string) -> bool", _contains_ip_text, "contains_ip"),
    overload("containsIP", "cidr.(ip) -> bool", lambda cidr, ip: cidr.holds(ip), "contains_ip"),
    overload("containsCIDR", "cidr.(string) -> bool", lambda cidr, text: _contains_cidr(cidr, parse_cidr(text)), "contains_cidr"),
    overload("containsCIDR", "cidr.(cidr) -> bool", _contains_cidr, "contains_cidr"),
    overload("ip", "cidr.() -> ip", lambda cidr: cidr.address),
    overload("masked", "cidr.() -> cidr", lambda cidr: cidr.masked()),
    overload("prefixLength", "cidr.() -> int", lambda cidr: cidr.bits),
    overload("string", "(cidr) -> string", str),
)
