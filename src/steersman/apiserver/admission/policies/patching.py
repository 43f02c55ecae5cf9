"""What a mutation makes of an object: an ApplyConfiguration merged into it, or a JSON patch applied. Pure.

The merge is that of server-side apply, by the kind's schema, but nobody comes to own anything. The result has defaults again.
Source: upstream apiserver pkg/admission/plugin/policy/mutating/patch, KEP-3962.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Mapping
from typing import Any

from steersman.api.decode import typecheck
from steersman.api.kinds import KindSpec
from steersman.api.managedfields import type_of
from steersman.apiserver.admission.policies.compiled import Mutation
from steersman.apiserver.admission.policies.evaluation import Fault
from steersman.machinery.apply import checking
from steersman.machinery.apply.merging import merge
from steersman.machinery.apply.types import KeyFault, Type
from steersman.machinery.cel import timetext
from steersman.machinery.cel.library.mutations import misnamed
from steersman.machinery.cel.values import Duration, ObjectValue, Optional, Timestamp, key_value
from steersman.machinery.errors import InternalError
from steersman.machinery.meta import Obj
from steersman.machinery.patch import json_patch
from steersman.machinery.patch.errors import PatchRejected

_EXACT = 1 << 53
_UNMARSHALLABLE = "JSONPath valueExpression evaluated to a type that could not marshal to JSON"


def mutated(obj: Obj, mutation: Mutation, value: Any, spec: KindSpec) -> Obj:
    """The object afterwards, with defaults; `obj` is left as it is. value: what the expression came to.

    Raises Fault, and InternalError for a patch whose result is no object of the kind.
    """
    made = _applied(obj, value, spec) if mutation.patch_type == "ApplyConfiguration" else _patched(obj, value, spec)
    spec.default(made)
    return made


# --- ApplyConfiguration ------------------------------------------------------------------------------------------------


def _applied(obj: Obj, value: Any, spec: KindSpec) -> Obj:
    wrong = misnamed(value)
    if wrong:
        raise Fault("type mismatch: " + "\n".join(wrong))
    config = {**_native(value), "apiVersion": obj.get("apiVersion"), "kind": obj.get("kind")}
    kind = type_of(spec)
    faults = checking.faults(config, kind)
    if faults:
        raise Fault(f"error applying patch: failed to convert patch object to typed object: {checking.text(faults)}")
    atomic = _atomics(config, kind, "")
    if atomic:
        text = f"may not mutate atomic arrays, maps or structs: {', '.join(atomic)}"
        raise Fault(f"error applying patch: invalid ApplyConfiguration: {text}")
    try:
        made: Obj = copy.deepcopy(merge(obj, config, kind))
    except KeyFault as fault:
        raise Fault(f"error applying patch: failed to merge patch: {fault}") from None
    checked = typecheck(made, spec)
    if checked.errors:
        raise Fault(f"error applying patch: failed to convert typed object to object: {checked.errors[0]}")
    return made


def _atomics(value: Any, kind: Type, path: str) -> list[str]:
    """Where a configuration has something that can only be replaced as a whole: what it does not repeat would be lost."""
    if isinstance(value, dict) and kind.kind == "map":
        found = [path] if kind.atomic else []
        for key, item in value.items():
            if key in kind.fields:
                found += _atomics(item, kind.fields[key], f"{path}.{key}")
        return found
    if isinstance(value, list) and kind.kind == "list":
        found = [path] if kind.atomic else []
        for index, item in enumerate(value):
            found += _atomics(item, kind.items, f"{path}[{index}]")
        return found
    return []


# --- JSONPatch ---------------------------------------------------------------------------------------------------------


def _patched(obj: Obj, value: Any, spec: KindSpec) -> Obj:
    operations = [_operation(item) for item in value]
    try:
        made: Obj = copy.deepcopy(json_patch.apply(obj, operations))
    except PatchRejected as fault:
        if fault.why.endswith("test failed"):
            return copy.deepcopy(obj)
        raise Fault(f"JSON Patch: {fault.why}") from None
    checked = typecheck(made, spec)
    if checked.errors or checked.strict:
        raise InternalError.of((checked.errors or [f"strict decoding error: {', '.join(checked.strict)}"])[0])
    return made


def _operation(item: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"op": item.get("op", ""), "path": item.get("path", "")}
    if item.get("from"):
        found["from"] = item["from"]
    if "value" in item:
        value = item["value"]
        wrong = misnamed(value, "Object") if isinstance(value, ObjectValue) else []
        if wrong:
            raise Fault("type mismatch: " + "\n".join(wrong))
        found["value"] = _native(value, as_json=True)
    return found


# --- values ------------------------------------------------------------------------------------------------------------


def _native(value: Any, *, as_json: bool = False) -> Any:
    """A value of the language as JSON has it. as_json: by way of protobuf's JSON, whose integers have 53 bits."""
    if value is None or isinstance(value, bool | str | float):
        return value
    if isinstance(value, int):
        return str(int(value)) if as_json and not -_EXACT < value < _EXACT else int(value)
    if isinstance(value, list):
        return [_native(item, as_json=as_json) for item in value]
    if isinstance(value, Mapping):
        made: dict[str, Any] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise Fault(f"map key {key_value(key)!r} is not string")
            made[key] = _native(item, as_json=as_json)
        return made
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Timestamp):
        return timetext.timestamp_text(value.ns, value.offset_s)
    if isinstance(value, Duration):
        return timetext.duration_text(value.ns)
    if isinstance(value, Optional):
        return _native(value.value, as_json=as_json) if value.present else None
    raise Fault(_UNMARSHALLABLE)
