"""Validation of config maps, secrets and service accounts."""

from __future__ import annotations

import json
from base64 import b64decode

from steersman.api.schema.walk import json_kind
from steersman.api.validation.common import Errors, complain, immutable
from steersman.machinery import names
from steersman.machinery.fielderrors import FieldError, forbidden, invalid, required, too_long
from steersman.machinery.meta import Obj, annotations_of

MAX_BYTES = 1024 * 1024
_FROZEN = "field is immutable when `immutable` is set"
_REDACTED = "<secret contents redacted>"
_ACCOUNT = "kubernetes.io/service-account.name"


def decoded_size(value: str) -> int:
    """Bytes behind base64 text."""
    return len(value) * 3 // 4 - (value.endswith("=") + value.endswith("=="))


def validate_config_map(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    total = 0
    for key, value in data.items():
        complain(errors, f"data[{key}]", key, names.config_map_key(key))
        if key in binary:
            errors.append(invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
        total += len(value) if value.isascii() else len(value.encode())
    for key, value in binary.items():
        complain(errors, f"binaryData[{key}]", key, names.config_map_key(key))
        total += decoded_size(value)
    if total > MAX_BYTES:
        errors.append(too_long("", MAX_BYTES))
    return errors


def _frozen(errors: Errors, new: Obj, old: Obj, keys: tuple[str, ...]) -> None:
    """What `immutable: true` on the stored object forbids."""
    if not old.get("immutable"):
        return
    if not new.get("immutable"):
        errors.append(forbidden("immutable", _FROZEN))
    for key in keys:
        if (new.get(key) or {}) != (old.get(key) or {}):
            errors.append(forbidden(key, _FROZEN))


def validate_config_map_update(new: Obj, old: Obj) -> list[FieldError]:
    errors: Errors = []
    _frozen(errors, new, old, ("data", "binaryData"))
    return errors + validate_config_map(new)


def validate_secret(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    data = obj.get("data") or {}
    for key in data:
        complain(errors, f"data[{key}]", key, names.config_map_key(key))
    if sum(decoded_size(value) for value in data.values()) > MAX_BYTES:
        errors.append(too_long("data", MAX_BYTES))
    _by_type(errors, obj, data, obj.get("type") or "")
    return errors


def _by_type(errors: Errors, obj: Obj, data: dict[str, str], kind: str) -> None:
    if kind == "kubernetes.io/service-account-token":
        if not annotations_of(obj).get(_ACCOUNT):
            errors.append(required(f"metadata.annotations[{_ACCOUNT}]"))
    elif kind == "kubernetes.io/dockercfg":
        _json_object(errors, data, ".dockercfg")
    elif kind == "kubernetes.io/dockerconfigjson":
        _json_object(errors, data, ".dockerconfigjson")
    elif kind == "kubernetes.io/basic-auth":
        if "username" not in data and "password" not in data:
            errors.append(required("data[username]"))
            errors.append(required("data[password]"))
    elif kind == "kubernetes.io/ssh-auth":
        if not data.get("ssh-privatekey"):
            errors.append(required("data[ssh-privatekey]"))
    elif kind == "kubernetes.io/tls":
        for key in ("tls.crt", "tls.key"):
            if key not in data:
                errors.append(required(f"data[{key}]"))


def _json_object(errors: Errors, data: dict[str, str], key: str) -> None:
    if key not in data:
        errors.append(required(f"data[{key}]"))
        return
    try:
        value = json.loads(b64decode(data[key]))
    except (ValueError, RecursionError) as error:
        errors.append(invalid(f"data[{key}]", _REDACTED, str(error)))
        return
    if not isinstance(value, dict):
        text = f"json: cannot unmarshal {json_kind(value)} into Go value of type map[string]interface {{}}"
        errors.append(invalid(f"data[{key}]", _REDACTED, text))


def validate_secret_update(new: Obj, old: Obj) -> list[FieldError]:
    errors: Errors = []
    immutable(errors, "type", new.get("type"), old.get("type"))
    _frozen(errors, new, old, ("data",))
    return errors + validate_secret(new)
