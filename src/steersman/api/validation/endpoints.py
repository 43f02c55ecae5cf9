"""Validation of Endpoints and EndpointSlices."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from steersman.api.equality import same
from steersman.api.validation.common import Errors, complain, immutable, label, needs, one_of, port, subdomain, unique
from steersman.api.validation.service import endpoint_ip
from steersman.machinery import names
from steersman.machinery.fielderrors import FieldError, invalid, required, too_many
from steersman.machinery.meta import Obj

_PROTOCOLS = ("SCTP", "TCP", "UDP")
_ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
_MAX_ENDPOINTS, _MAX_ADDRESSES, _MAX_PORTS, _MAX_HINTS = 1000, 100, 20000, 8


def validate_endpoints(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    for index, subset in enumerate(obj.get("subsets") or ()):
        inner = f"subsets[{index}]"
        ready, waiting = subset.get("addresses") or (), subset.get("notReadyAddresses") or ()
        if not ready and not waiting:
            errors.append(required(inner, "must specify `addresses` or `notReadyAddresses`"))
        _addresses(errors, f"{inner}.addresses", ready)
        _addresses(errors, f"{inner}.notReadyAddresses", waiting)
        ports = subset.get("ports") or ()
        for position, item in enumerate(ports):
            _endpoint_port(errors, f"{inner}.ports[{position}]", item, len(ports) > 1)
    return errors


def validate_endpoints_update(new: Obj, old: Obj) -> list[FieldError]:
    return [] if same(new.get("subsets"), old.get("subsets")) else validate_endpoints(new)


def endpoints_warnings(new: Obj, old: Obj | None) -> list[str]:
    return ["v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"]


def _addresses(errors: Errors, path: str, items: Sequence[Obj]) -> None:
    for index, item in enumerate(items):
        inner, value = f"{path}[{index}]", item.get("ip") or ""
        texts = names.ip(value)
        complain(errors, f"{inner}.ip", value, texts)
        if item.get("hostname"):
            label(errors, f"{inner}.hostname", item["hostname"])
        if item.get("nodeName") is not None:
            subdomain(errors, f"{inner}.nodeName", item["nodeName"])
        if not texts:
            endpoint_ip(errors, f"{inner}.ip", value)


def _endpoint_port(errors: Errors, path: str, item: Obj, needs_name: bool) -> None:
    if needs_name and not item.get("name"):
        errors.append(required(f"{path}.name"))
    elif item.get("name"):
        label(errors, f"{path}.name", item["name"])
    port(errors, f"{path}.port", item.get("port", 0))
    one_of(errors, f"{path}.protocol", item.get("protocol"), _PROTOCOLS, optional=False)
    if item.get("appProtocol") is not None:
        complain(errors, f"{path}.appProtocol", item["appProtocol"], names.qualified_name(item["appProtocol"]))


def validate_slice(obj: Obj) -> list[FieldError]:
    return _slice(obj, check_endpoints=True)


def validate_slice_update(new: Obj, old: Obj) -> list[FieldError]:
    errors = _slice(new, check_endpoints=not same(new.get("endpoints"), old.get("endpoints")))
    immutable(errors, "addressType", new.get("addressType"), old.get("addressType"))
    return errors


def _slice(obj: Obj, *, check_endpoints: bool) -> Errors:
    errors: Errors = []
    kind = obj.get("addressType") or ""
    one_of(errors, "addressType", kind, _ADDRESS_TYPES, optional=False)
    if check_endpoints:
        items = obj.get("endpoints") or ()
        if len(items) > _MAX_ENDPOINTS:
            errors.append(too_many("endpoints", len(items), _MAX_ENDPOINTS))
        else:
            for index, item in enumerate(items):
                _endpoint(errors, f"endpoints[{index}]", item, kind)
    _slice_ports(errors, obj.get("ports") or ())
    return errors


def _endpoint(errors: Errors, path: str, item: Obj, kind: str) -> None:
    addresses = item.get("addresses") or ()
    if not addresses:
        errors.append(required(f"{path}.addresses", "must contain at least 1 address"))
    elif len(addresses) > _MAX_ADDRESSES:
        errors.append(too_many(f"{path}.addresses", len(addresses), _MAX_ADDRESSES))
    for position, address in enumerate(addresses):
        _slice_address(errors, f"{path}.addresses[{position}]", address, kind)
    if item.get("nodeName") is not None:
        subdomain(errors, f"{path}.nodeName", item["nodeName"])
    if item.get("hostname") is not None:
        label(errors, f"{path}.hostname", item["hostname"])
    for key in ("forZones", "forNodes"):
        hints = (item.get("hints") or {}).get(key) or ()
        inner = f"{path}.hints.{key}"
        if len(hints) > _MAX_HINTS:
            errors.append(too_many(inner, len(hints), _MAX_HINTS))
            continue
        seen: set[str] = set()
        for position, hint in enumerate(hints):
            name = hint.get("name") or ""
            if unique(errors, f"{inner}[{position}].name", name, seen):
                complain(errors, f"{inner}[{position}].name", name, names.label_value(name) if name else [])


def _slice_address(errors: Errors, path: str, address: str, kind: str) -> None:
    if kind == "FQDN":
        name = address.removesuffix(".")
        subdomain(errors, path, name)
        if "." not in name:
            errors.append(invalid(path, address, "should be a domain with at least two segments separated by dots"))
        return
    if kind not in ("IPv4", "IPv6"):
        return
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        errors.append(invalid(path, address, f"must be an {kind} address"))
        return
    if f"IPv{parsed.version}" != kind:
        errors.append(invalid(path, address, f"must be an {kind} address"))
    elif kind == "IPv6" and str(parsed) != address:
        errors.append(invalid(path, address, f"must be in canonical form ({parsed})"))
    else:
        endpoint_ip(errors, path, address)


def _slice_ports(errors: Errors, items: Sequence[Obj]) -> None:
    if len(items) > _MAX_PORTS:
        errors.append(too_many("ports", len(items), _MAX_PORTS))
        return
    seen: set[str] = set()
    for index, item in enumerate(items):
        inner, name = f"ports[{index}]", item.get("name") or ""
        if name:
            label(errors, f"{inner}.name", name)
        unique(errors, f"{inner}.name", name, seen)
        needs(errors, f"{inner}.protocol", item.get("protocol"))
        one_of(errors, f"{inner}.protocol", item.get("protocol"), _PROTOCOLS)
        if item.get("appProtocol") is not None:
            complain(errors, f"{inner}.appProtocol", item["appProtocol"], names.qualified_name(item["appProtocol"]))


def slice_warnings(new: Obj, old: Obj | None) -> list[str]:
    if new.get("addressType") == "FQDN" and old is None:
        return ["addressType: FQDN endpoints are deprecated"]
    return []
