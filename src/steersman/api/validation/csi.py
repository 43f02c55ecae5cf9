"""Validation of CSI drivers, of what nodes and drivers tell about themselves, and of storage capacities."""

from __future__ import annotations

from steersman.api.equality import same
from steersman.api.validation.common import (
    IMMUTABLE,
    NOT_NEGATIVE,
    Errors,
    immutable,
    label_selector,
    needs,
    one_of,
    subdomain,
    unique,
)  # fmt: skip
from steersman.api.validation.scheduling import label_key
from steersman.machinery import quantity
from steersman.machinery.fielderrors import FieldError, duplicate, invalid, not_supported, required, too_long
from steersman.machinery.meta import Obj

_FS_GROUP_POLICIES = ("File", "None", "ReadWriteOnceWithFSType")
_LIFECYCLE_MODES = ("Ephemeral", "Persistent")
_MIN_TOKEN_SECONDS, _MAX_TOKEN_SECONDS, _MIN_UPDATE_SECONDS = 600, 1 << 32, 10
_NAME_LIMIT, _NODE_ID_LIMIT = 63, 256


def _driver_name(errors: Errors, path: str, name: str) -> None:
    if needs(errors, path, name):
        if len(name) > _NAME_LIMIT:
            errors.append(too_long(path, _NAME_LIMIT))
        subdomain(errors, path, name.lower())


def validate_driver(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    _driver_name(errors, "name", (obj.get("metadata") or {}).get("name") or "")
    spec = obj.get("spec") or {}
    for key in ("attachRequired", "podInfoOnMount", "storageCapacity"):
        needs(errors, f"spec.{key}", spec.get(key) is not None)
    one_of(errors, "spec.fsGroupPolicy", spec.get("fsGroupPolicy"), _FS_GROUP_POLICIES, optional=False)
    _tokens(errors, spec)
    for index, mode in enumerate(spec.get("volumeLifecycleModes") or ()):
        if mode not in _LIFECYCLE_MODES:
            errors.append(not_supported(f"spec.volumeLifecycleModes[{index}]", mode, _LIFECYCLE_MODES))
    seconds = spec.get("nodeAllocatableUpdatePeriodSeconds")
    if seconds is not None and seconds < _MIN_UPDATE_SECONDS:
        text = f"must be greater than or equal to {_MIN_UPDATE_SECONDS} seconds"
        errors.append(invalid("spec.nodeAllocatableUpdatePeriodSeconds", seconds, text))
    if spec.get("serviceAccountTokenInSecrets") is not None and not spec.get("tokenRequests"):
        text = "serviceAccountTokenInSecrets is only valid when tokenRequests is specified"
        errors.append(invalid("spec.serviceAccountTokenInSecrets", spec["serviceAccountTokenInSecrets"], text))
    return errors


def _tokens(errors: Errors, spec: Obj) -> None:
    seen: set[str] = set()
    for index, item in enumerate(spec.get("tokenRequests") or ()):
        path, audience = f"spec.tokenRequests[{index}]", item.get("audience") or ""
        if audience in seen:
            errors.append(duplicate(f"{path}.audience", audience))
        seen.add(audience)
        seconds = item.get("expirationSeconds")
        if seconds is None:
            continue
        if seconds < _MIN_TOKEN_SECONDS:
            errors.append(invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes"))
        if seconds > _MAX_TOKEN_SECONDS:
            errors.append(invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds"))


def validate_driver_update(new: Obj, old: Obj) -> list[FieldError]:
    errors = validate_driver(new)
    spec, stored = new.get("spec") or {}, old.get("spec") or {}
    immutable(errors, "spec.attachedRequired", spec.get("attachRequired"), stored.get("attachRequired"))
    immutable(errors, "spec.volumeLifecycleModes", spec.get("volumeLifecycleModes"), stored.get("volumeLifecycleModes"))
    return errors


def validate_node(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    names: set[str] = set()
    for index, driver in enumerate((obj.get("spec") or {}).get("drivers") or ()):
        path, name = f"spec.drivers[{index}]", driver.get("name") or ""
        _driver_name(errors, f"{path}.name", name)
        node_id = driver.get("nodeID") or ""
        if not node_id:
            errors.append(required(f"{path}.nodeID"))
        elif len(node_id.encode()) > _NODE_ID_LIMIT:
            errors.append(invalid(f"{path}.nodeID", node_id, f"must be {_NODE_ID_LIMIT} characters or less"))
        count = (driver.get("allocatable") or {}).get("count")
        if count is not None and count < 0:
            errors.append(invalid(f"{path}.allocatable.count", count, NOT_NEGATIVE))
        if name:
            unique(errors, f"{path}.name", name, names)
        keys: set[str] = set()
        for position, key in enumerate(driver.get("topologyKeys") or ()):
            if unique(errors, f"{path}.topologyKeys", key, keys):
                label_key(errors, f"{path}.topologyKeys[{position}]", key)
    return errors


def validate_node_update(new: Obj, old: Obj) -> list[FieldError]:
    """Drivers come and go; one that stays keeps what it said, allocatable aside."""
    errors = validate_node(new)
    stored = {item.get("name"): item for item in (old.get("spec") or {}).get("drivers") or ()}
    for driver in (new.get("spec") or {}).get("drivers") or ():
        before = stored.get(driver.get("name"))
        if before is not None and not same({**driver, "allocatable": None}, {**before, "allocatable": None}):
            errors.append(invalid("spec.drivers", driver, IMMUTABLE))
    return errors


def validate_capacity(obj: Obj) -> list[FieldError]:
    return _capacity(obj, lenient_values=False)


def _capacity(obj: Obj, *, lenient_values: bool) -> Errors:
    errors: Errors = []
    label_selector(errors, "nodeTopology", obj.get("nodeTopology"), lenient_values=lenient_values)
    subdomain(errors, "storageClassName", obj.get("storageClassName") or "")
    for key in ("capacity", "maximumVolumeSize"):
        value = obj.get(key)
        if value is not None and quantity.parse(value).milli < 0:
            errors.append(invalid(key, value, NOT_NEGATIVE))
    return errors


def validate_capacity_update(new: Obj, old: Obj) -> list[FieldError]:
    errors = _capacity(new, lenient_values=bool(_capacity(old, lenient_values=False)))
    if not same(new.get("nodeTopology"), old.get("nodeTopology")):
        errors.append(invalid("nodeTopology", new.get("nodeTopology"), IMMUTABLE))
    immutable(errors, "storageClassName", new.get("storageClassName"), old.get("storageClassName"))
    return errors
