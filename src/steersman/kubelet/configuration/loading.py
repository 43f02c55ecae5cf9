"""Reading a KubeletConfiguration: a file, and the drop-ins of a directory that are laid over it in order.

What the files say is checked for type as upstream checks it; unknown and repeated fields are told in a warning and left out: for
v1beta1, upstream decodes leniently when strict decoding fails. Source: upstream pkg/kubelet/kubeletconfig, cmd/kubelet/app.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from steersman.api.schema.walk import json_kind
from steersman.kubelet.configuration.fields import API_VERSION, FIELDS, KIND, PATHS, Field
from steersman.machinery import duration, quantity, yamlio
from steersman.machinery.meta import Obj

log = logging.getLogger(__name__)

DROP_IN = ".conf"
_JSON = {"bool": "bool", "string": "string", "duration": "string", "struct": "object"}
_RANGES = {"int32": (-(1 << 31), (1 << 31) - 1), "int64": (-(1 << 63), (1 << 63) - 1), "uint32": (0, (1 << 32) - 1)}


class BadConfiguration(ValueError):
    """A configuration that can't be used, in upstream's words."""


def load(path: Path | None, directory: Path | None = None) -> Obj:
    """What the file says, with the directory's drop-ins laid over it. Without defaults. Raises BadConfiguration."""
    found: Obj = {}
    if path is not None:
        found = _file(path)
    if directory is not None:
        for each in _drop_ins(directory):
            found = _laid_over(found, _file(each))
    return found


def _drop_ins(directory: Path) -> Iterator[Path]:
    """Files that end in .conf, in the order of their names, also those of subdirectories."""
    if not directory.is_dir():
        raise BadConfiguration(f"failed to merge kubelet configs: failed to walk through kubelet dropin directory {directory!s}")
    yield from sorted(each for each in directory.rglob(f"*{DROP_IN}") if each.is_file())


def _file(path: Path) -> Obj:
    lead = f"failed to load kubelet config file, path: {path}, error: "
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadConfiguration(f'{lead}failed to read kubelet config file "{path}", error: {error.strerror}') from None
    if not content.strip():
        raise BadConfiguration(f'{lead}kubelet config file "{path}" was empty')
    try:
        given, strict = decode(content)
    except ValueError as error:
        raise BadConfiguration(f"{lead}failed to decode: {error}") from None
    if strict:
        text = f"strict decoding error: {', '.join(strict)}"
        log.warning("Using lenient decoding as strict decoding failed path=%s err=%s", path, text)
    _resolve(given, path.absolute().parent)
    return given


def decode(content: bytes) -> tuple[Obj, list[str]]:
    """(the configuration without unknown fields, what is wrong with it strictly). Raises ValueError for what can't be decoded."""
    doubled: list[str] = []
    found = yamlio.load(content, doubled)
    if not isinstance(found, dict):
        raise ValueError(f"json: cannot unmarshal {json_kind(found)} into Go value of type v1beta1.{KIND}")
    for key, name in (("kind", "Kind"), ("apiVersion", "apiVersion")):
        if not found.get(key):
            raise ValueError(f"Object '{name}' is missing")
    if (found["kind"], found["apiVersion"]) != (KIND, API_VERSION):
        raise ValueError(f'no kind "{found["kind"]}" is registered for version "{found["apiVersion"]}"')
    unknown: list[str] = []
    body = {key: value for key, value in found.items() if key not in ("kind", "apiVersion")}
    cleaned = _struct(body, FIELDS, "", unknown)
    return cleaned, [f'unknown field "{name}"' for name in unknown] + doubled


def _struct(given: Obj, fields: Mapping[str, Field], path: str, unknown: list[str]) -> Obj:
    made: Obj = {}
    for name, value in given.items():
        field, inner = fields.get(name), f"{path}.{name}".lstrip(".")
        if field is None:
            unknown.append(inner)
        elif value is not None:
            made[name] = _value(value, field, inner, unknown)
    return made


def _value(value: Any, field: Field, path: str, unknown: list[str]) -> Any:
    kind = field.type
    if kind.startswith("[]"):
        if not isinstance(value, list):
            raise _mismatch(value, field, path)
        inner = Field(kind[2:], None, field.fields)
        return [_value(item, inner, path, unknown) for item in value]
    if kind.startswith("map[string]"):
        if not isinstance(value, dict):
            raise _mismatch(value, field, path)
        inner = Field(kind.removeprefix("map[string]"))
        return {str(key): _value(item, inner, path, unknown) for key, item in value.items()}
    if kind == "struct":
        if not isinstance(value, dict):
            raise _mismatch(value, field, path)
        return _struct(value, field.fields or {}, path, unknown)
    if kind == "duration or nanoseconds":
        if isinstance(value, int) and not isinstance(value, bool):
            return duration.format_go(value / 1e9)
        return _value(value, Field("duration"), path, unknown)
    if kind == "quantity" and isinstance(value, str | int | float):
        return quantity.canonical(value)
    if kind in _RANGES:
        low, high = _RANGES[kind]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise _mismatch(value, field, path)
        return value
    if kind == "float64" and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if _JSON.get(kind) != json_kind(value):
        raise _mismatch(value, field, path)
    return duration.format_go(duration.parse_go(value)) if kind == "duration" else value


def _mismatch(value: Any, field: Field, path: str) -> ValueError:
    seen = f"number {value}" if isinstance(value, int | float) and not isinstance(value, bool) else json_kind(value)
    kind = {"struct": "struct", "duration": "string"}.get(field.type, field.type)
    return ValueError(f"json: cannot unmarshal {seen} into Go struct field {KIND}.{path} of type {kind}")


def _laid_over(base: Obj, over: Obj) -> Obj:
    """As a JSON merge patch: structs and maps field by field, lists as a whole."""
    made = dict(base)
    for key, value in over.items():
        below = made.get(key)
        made[key] = _laid_over(below, value) if isinstance(value, dict) and isinstance(below, dict) else value
    return made


def _resolve(given: Obj, folder: Path) -> None:
    for *way, last in PATHS:
        inner = given
        for step in way:
            inner = inner.get(step) or {}
        if inner.get(last) and not inner[last].startswith("/"):
            inner[last] = str(folder / inner[last])
