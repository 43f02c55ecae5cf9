"""From request bodies to objects: parsing, type check, unknown and duplicate fields, canonical values, defaults.

Objects stay the dicts that were parsed, with what the client sent, but for zero values that Go leaves out. The hot path is one
orjson parse, one msgspec parse that only checks, and a short pass over quantities and times; everything slower (schema/zeros.py,
schema/walk.py, duplicate search) runs only when that finds something.
Messages: upstream endpoints/handlers/rest.go, apimachinery runtime, sigs.k8s.io/json.
Not here: validation of values, admission, name and namespace checks against the URL.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import orjson

from steersman.api import duplicates
from steersman.api.kinds import KindSpec
from steersman.api.protobuf import envelope
from steersman.api.protobuf.decode import decode as decode_message
from steersman.api.protobuf.facts import known
from steersman.api.protobuf.wire import Malformed
from steersman.api.schema import zeros
from steersman.api.schema.checker import checker
from steersman.api.schema.loader import schema
from steersman.api.schema.walk import json_kind, walk
from steersman.machinery import bulk, depth
from steersman.machinery.errors import BadRequest, UnsupportedMediaType
from steersman.machinery.gvk import GroupVersionKind, split_api_version
from steersman.machinery.meta import Obj

FieldValidation = Literal["Ignore", "Warn", "Strict"]

MEDIA_TYPES = ("application/json", "application/yaml", envelope.MEDIA_TYPE)
_SCHEME = "k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30"
_SUMMARY = 30


@dataclass(frozen=True, slots=True)
class Checked:
    """What `typecheck` found. `errors` are fatal (upstream reports the first); `strict` matter as fieldValidation says."""

    errors: list[str] = field(default_factory=list)
    strict: list[str] = field(default_factory=list)


def decode(body: bytes, media_type: str, spec: KindSpec, field_validation: FieldValidation = "Warn") -> tuple[Obj, list[str]]:
    """The object in a request body of the expected kind, with defaults set, and texts for Warning headers.

    kind and apiVersion may be missing and are filled in. Raises BadRequest, UnsupportedMediaType.
    """
    if media_type == envelope.MEDIA_TYPE and known(spec.schema):
        return _from_protobuf(body, spec), []
    obj, repeated = _parse(body, media_type, spec)
    gvk = _identify(obj, spec) if spec.schema else _identify_custom(obj, body, spec)
    doubled = duplicates.in_json(body, obj) if repeated is None and field_validation != "Ignore" else repeated or []
    checked = _check(obj, body, spec, from_json=repeated is None) if spec.settle is None else _settled(obj, spec.settle)
    if checked.errors:
        raise _not_handled(gvk, spec, checked.errors[0])
    warnings: list[str] = []
    if field_validation != "Ignore":
        warnings = checked.strict + doubled
        if warnings and field_validation == "Strict":
            raise _not_handled(gvk, spec, f"strict decoding error: {', '.join(warnings)}")
    if spec.schema:
        obj["kind"], obj["apiVersion"] = spec.kind, spec.resource.api_version
    spec.default(obj)
    return obj, warnings


def _check(obj: Obj, body: bytes, spec: KindSpec, *, from_json: bool) -> Checked:
    """Check what was parsed of a body, by the schema facts, and clean it in place."""
    check = checker(spec.schema)
    tight = from_json and check.accepts_tight_json(body)
    fast = tight or (check.accepts_json(body) if from_json else check.accepts(obj))
    return _settle(obj, spec, fast, has_nulls=not from_json or b"null" in body, has_zeros=not tight)


def _settled(obj: Obj, settle: Callable[[Obj], tuple[list[str], list[str]]]) -> Checked:
    """The same for kinds that check themselves."""
    errors, unknown = settle(obj)
    return Checked(errors, [f'unknown field "{path}"' for path in unknown])


def _from_protobuf(body: bytes, spec: KindSpec) -> Obj:
    """As `decode`. There are no strict errors: fields that nobody knows are none in protobuf."""
    try:
        said = envelope.unpack(body)
    except Malformed as error:
        raise _unrecognized(body, spec, str(error)) from None
    names = {"kind": said.kind, "apiVersion": said.api_version}
    gvk = _identify({key: value for key, value in names.items() if value}, spec)
    try:
        obj = decode_message(spec.schema, said.raw)
    except Malformed as error:
        raise _not_handled(gvk, spec, str(error)) from None
    except RecursionError:
        raise _not_handled(gvk, spec, depth.EXCEEDED) from None
    if depth.exceeded(obj):
        raise _not_handled(gvk, spec, depth.EXCEEDED)
    checked = _settle(obj, spec, True, has_nulls=False, has_zeros=True)
    if checked.errors:
        raise _not_handled(gvk, spec, checked.errors[0])
    obj["kind"], obj["apiVersion"] = spec.kind, spec.resource.api_version
    spec.default(obj)
    return obj


def typecheck(obj: Obj, spec: KindSpec) -> Checked:
    """Check an object made by a patch and clean it in place: nulls and unknown fields go, values become canonical."""
    if spec.settle is not None:
        return _settled(obj, spec.settle)
    return _settle(obj, spec, checker(spec.schema).accepts(obj), has_nulls=True, has_zeros=True)


def _settle(obj: Obj, spec: KindSpec, accepted: bool, *, has_nulls: bool, has_zeros: bool) -> Checked:
    check = checker(spec.schema)
    if accepted and (not has_nulls or check.drop_nulls(obj)) and check.canonicalize(obj):
        if has_zeros:
            zeros.drop(obj, spec.schema)
        return Checked()
    cleaned, findings = walk(obj, spec.schema)
    obj.clear()
    obj.update(cleaned)
    zeros.drop(obj, spec.schema)
    return Checked(findings.errors, [f'unknown field "{path}"' for path in findings.unknown])


def _parse(body: bytes, media_type: str, spec: KindSpec) -> tuple[Obj, list[str] | None]:
    """The parsed body. The second value is None for JSON, else the repeated keys that the YAML reader found."""
    repeated: list[str] | None = None
    kind = media_type.partition(";")[0].strip().lower()
    if kind in ("", "application/json", "*/*"):
        try:
            obj = depth.loads(body)
        except ValueError as error:
            why = _go_syntax_error(body, error)
            raise _unrecognized(body, spec, f"couldn't get version/kind; json parse error: {why}") from None
    elif kind == "application/yaml":
        from steersman.machinery import yamlio  # PyYAML is not needed by most processes

        try:
            repeated = []
            obj = yamlio.load(body, repeated, bulk.MOST_VALUES)
            if depth.exceeded(obj):
                raise depth.TooDeep
        except ValueError as error:
            raise _unrecognized(body, spec, f"couldn't get version/kind; json parse error: {error}") from None
    else:
        accepted = ", ".join(MEDIA_TYPES)
        raise UnsupportedMediaType(
            f"the body of the request was in an unknown format - accepted media types include: {accepted}", details={}
        )
    if not isinstance(obj, dict):
        got = json_kind(obj)
        target = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
        raise _unrecognized(
            body,
            spec,
            f"couldn't get version/kind; json parse error: json: cannot unmarshal {got} into Go value of type {target}",
        )
    return obj, repeated


def _identify(obj: Obj, spec: KindSpec) -> GroupVersionKind:
    """The object's kind as it says itself, completed from what is expected. Raises BadRequest if that is another kind."""
    expected = spec.resource
    kind, version = obj.get("kind"), obj.get("apiVersion")
    if kind == spec.kind and version == expected.api_version:
        return GroupVersionKind(expected.group, expected.version, spec.kind)
    for name, value in (("kind", kind), ("apiVersion", version)):
        if value is not None and not isinstance(value, str):
            got = json_kind(value)
            why = f"json: cannot unmarshal {got} into Go struct field .{name} of type string"
            raise _unrecognized(orjson.dumps(obj), spec, f"couldn't get version/kind; json parse error: {why}")
    group, short = split_api_version(version) if version else (expected.group, expected.version)
    gvk = GroupVersionKind(group, short, kind or spec.kind)
    if (
        gvk.api_version == expected.api_version
        and gvk.kind == spec.kind
        or spec.kind == "DeleteOptions"
        and gvk.kind == spec.kind
    ):
        return gvk
    if schema().name_for(gvk) is None:
        raise _not_handled(gvk, spec, f'no kind "{gvk.kind}" is registered for version "{gvk.api_version}" in scheme "{_SCHEME}"')
    if gvk.kind != spec.kind:
        internal = f"({expected.group.partition('.')[0] or 'core'}.{spec.kind})"
        raise _not_handled(gvk, spec, f"converting ({gvk.version}.{gvk.kind}) to {internal}: unknown conversion")
    raise _other_version(gvk, spec)


def _identify_custom(obj: Obj, body: bytes, spec: KindSpec) -> GroupVersionKind:
    """As `_identify`. Custom resources must say what they are; a wrong kind is for validation to refuse."""
    for key, name in (("kind", "Kind"), ("apiVersion", "apiVersion")):
        value = obj.get(key)
        if value is not None and not isinstance(value, str):
            why = f"json: cannot unmarshal {json_kind(value)} into Go struct field .{key} of type string"
            raise _unrecognized(body, spec, f"couldn't get version/kind; json parse error: {why}")
        if not value:
            raise _unrecognized(body, spec, f"Object '{name}' is missing in '{body.decode('utf-8', 'replace')}'")
    gvk = GroupVersionKind(*split_api_version(obj["apiVersion"]), obj["kind"])
    if gvk.api_version != spec.resource.api_version:
        raise _other_version(gvk, spec)
    return gvk


def _other_version(gvk: GroupVersionKind, spec: KindSpec) -> BadRequest:
    expected = spec.resource.api_version
    return BadRequest(f"the API version in the data ({gvk.api_version}) does not match the expected API version ({expected})")


def _not_handled(gvk: GroupVersionKind, spec: KindSpec, why: str) -> BadRequest:
    return BadRequest(f'{gvk.kind} in version "{gvk.version}" cannot be handled as a {spec.kind}: {why}')


def _unrecognized(body: bytes, spec: KindSpec, why: str) -> BadRequest:
    return BadRequest(f"the object provided is unrecognized (must be of type {spec.kind}): {why} ({_summary(body)})")


def _summary(body: bytes) -> str:
    if not body:
        return "<empty>"
    more = " ..." if len(body) > _SUMMARY else ""
    head = body[:_SUMMARY]
    return (head.decode("utf-8", "replace") if head[:1] == b"{" else head.hex()) + more


def _go_syntax_error(body: bytes, error: ValueError) -> str:
    """The closest of Go's commonest complaints."""
    if not isinstance(error, orjson.JSONDecodeError) or error.msg.startswith("depth limit"):
        return depth.EXCEEDED
    text = body.decode("utf-8", "replace")
    if error.pos >= len(text.rstrip()) or "end of" in error.msg or "EOF" in error.msg:
        return "unexpected end of JSON input"
    return f"invalid character {text[error.pos]!r} looking for beginning of value"
