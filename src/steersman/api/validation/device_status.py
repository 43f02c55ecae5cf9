"""Validation of the status of resource claims: what was allocated, for whom, and what drivers say of it."""

from __future__ import annotations

import ipaddress

from steersman.api.equality import same
from steersman.api.validation.common import IMMUTABLE, Errors, each, immutable, needs, one_of, unique
from steersman.api.validation.conditions import conditions
from steersman.api.validation.devices import MANY, at_most, data, driver, opaque, references, request_names, toleration
from steersman.api.validation.scheduling import node_selector
from steersman.machinery.fielderrors import FieldError, forbidden, invalid, too_long
from steersman.machinery.meta import Obj, is_deleting

_CONSUMERS, _CONDITIONS, _INTERFACE_LIMIT, _HARDWARE_LIMIT = 256, 8, 256, 128
_SOURCES = ("FromClaim", "FromClass")


def validate_claim_status(new: Obj, old: Obj) -> list[FieldError]:
    errors: Errors = []
    immutable(errors, "spec", new.get("spec"), old.get("spec"))
    status, stored = new.get("status") or {}, old.get("status") or {}
    allocation, before = status.get("allocation"), stored.get("allocation")
    if allocation is not None and before is not None:
        if not same(allocation, before):
            errors.append(invalid("status.allocation", allocation, IMMUTABLE))
    elif allocation is not None:
        _allocation(errors, "status.allocation", allocation, request_names((new.get("spec") or {}).get("devices") or {}))
    _reserved(errors, new, status, stored)
    _devices(errors, status, allocation or {})
    return errors


def _allocation(errors: Errors, path: str, allocation: Obj, known: set[str]) -> None:
    devices, path_devices = allocation.get("devices") or {}, f"{path}.devices"
    results, config = devices.get("results"), devices.get("config")
    at_most(errors, f"{path_devices}.results", results, MANY)
    for index, result in enumerate(results or ()):
        inner = f"{path_devices}.results[{index}]"
        references(errors, f"{inner}.request", [result.get("request") or ""], known)
        driver(errors, f"{inner}.driver", result.get("driver"))
        for key in ("pool", "device"):
            needs(errors, f"{inner}.{key}", result.get(key))
        each(errors, f"{inner}.tolerations", result.get("tolerations"), toleration)
    at_most(errors, f"{path_devices}.config", config, 2 * MANY)
    for index, item in enumerate(config or ()):
        inner = f"{path_devices}.config[{index}]"
        one_of(errors, f"{inner}.source", item.get("source"), _SOURCES, optional=False)
        references(errors, f"{inner}.requests", item.get("requests"), known)
        opaque(errors, inner, item)
    if allocation.get("nodeSelector") is not None:
        node_selector(errors, f"{path}.nodeSelector", allocation["nodeSelector"])


def _reserved(errors: Errors, claim: Obj, status: Obj, stored: Obj) -> None:
    path, consumers = "status.reservedFor", status.get("reservedFor") or []
    at_most(errors, path, consumers, _CONSUMERS)
    seen: set[str] = set()
    for index, item in enumerate(consumers):
        for key in ("resource", "name", "uid"):
            needs(errors, f"{path}[{index}].{key}", item.get(key))
        unique(errors, f"{path}[{index}].uid", item.get("uid") or "", seen)
    if consumers and status.get("allocation") is None:
        errors.append(forbidden(path, "may not be specified when `allocated` is not set"))
    elif is_deleting(claim) and seen - {item.get("uid") or "" for item in stored.get("reservedFor") or ()}:
        errors.append(
            forbidden(path, "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set")
        )


def _key(item: Obj) -> str:
    return "/".join(item[key] for key in ("driver", "pool", "device", "shareID") if item.get(key))


def _devices(errors: Errors, status: Obj, allocation: Obj) -> None:
    allocated = {_key(item) for item in (allocation.get("devices") or {}).get("results") or ()}
    seen: set[str] = set()
    for index, item in enumerate(status.get("devices") or ()):
        path = f"status.devices[{index}]"
        unique(errors, path, _key(item), seen)
        if _key(item) not in allocated:
            errors.append(invalid(path, _key(item), "must be an allocated device in the claim"))
        at_most(errors, f"{path}.conditions", item.get("conditions"), _CONDITIONS)
        conditions(errors, f"{path}.conditions", item.get("conditions"))
        if item.get("data") is not None:
            data(errors, f"{path}.data", item["data"])
        _network(errors, f"{path}.networkData", item.get("networkData") or {})


def _network(errors: Errors, path: str, value: Obj) -> None:
    for key, limit in (("interfaceName", _INTERFACE_LIMIT), ("hardwareAddress", _HARDWARE_LIMIT)):
        if len(value.get(key) or "") > limit:
            errors.append(too_long(f"{path}.{key}", limit))
    for index, item in enumerate(value.get("ips") or ()):
        try:
            ipaddress.ip_interface(item)
        except ValueError:
            errors.append(invalid(f"{path}.ips[{index}]", item, "must be a valid address in CIDR form"))
