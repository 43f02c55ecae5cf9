"""Reads the schema facts (v1.36.json) lazily: definitions, their fields, and what patches need to know of them.

Parsed on first use (about 1 ms); definitions become objects when asked for. The file, as tools/build_schema.py writes it:
`{"api.core.v1.Pod": {"fields": {name: TYPE | {"type": TYPE, "list": .., "keys": [..], "patch": .., "mergeKey": .., "map": ..}},
"required": [..], "gvk": [[group, version, kind]], "map": ..}}`, without the leading `io.k8s.`.
TYPE is a word: `string`, `boolean`, `int32`, `int64`, `double`, `bytes` (base64), `time`, `micro-time`, `quantity`,
`int-or-string`, `raw` (any object), `any` (any JSON), `#<definition>`, `[TYPE]` (list), `{TYPE}` (map with string keys).
Not here: defaults and enumerations (api/defaults, api/validation), decoding (api/decode.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from steersman.machinery.gvk import GroupVersionKind

PREFIX = "io.k8s."
_NO_STRATEGY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Type:
    """A parsed type word. `kind` is the word itself for scalars, or `ref`, `list`, `map`."""

    kind: str
    ref: str = ""
    """Full name of the definition, for kind `ref`."""
    item: Type | None = None
    """Type of the elements or values, for kinds `list` and `map`."""

    @property
    def leaf(self) -> Type:
        """The type inside all lists and maps."""
        return self.item.leaf if self.item is not None else self


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a definition, with its list and patch markers (empty where upstream sets none)."""

    name: str
    type: Type
    required: bool = False
    list_type: str = ""
    list_map_keys: tuple[str, ...] = ()
    map_type: str = ""
    patch_strategy: frozenset[str] = _NO_STRATEGY
    merge_key: str = ""


@dataclass(frozen=True, slots=True)
class Definition:
    """A named object type."""

    name: str
    fields: Mapping[str, Field]
    required: frozenset[str]
    gvks: tuple[GroupVersionKind, ...]
    map_type: str = ""

    @property
    def short_name(self) -> str:
        """The Go type's name: `PodSpec`."""
        return self.name.rpartition(".")[2]


class Schema:
    """All definitions of one version; made once, by `schema()`."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self._raw = raw
        self._made: dict[str, Definition] = {}
        self._by_gvk = {
            GroupVersionKind(*gvk): PREFIX + name for name, body in raw.items() if "gvk" in body for gvk in body["gvk"]
        }

    def __contains__(self, name: str) -> bool:
        return name.removeprefix(PREFIX) in self._raw

    def names(self) -> list[str]:
        """Full names of all definitions."""
        return [PREFIX + name for name in self._raw]

    def definition(self, name: str) -> Definition:
        """The definition of a full name (`io.k8s.api.core.v1.Pod`). Raises KeyError for one that is not there."""
        found = self._made.get(name)
        if found is None:
            found = self._made[name] = _definition(name, self._raw[name.removeprefix(PREFIX)])
        return found

    def name_for(self, gvk: GroupVersionKind) -> str | None:
        """The definition that a kind's objects have; None for kinds that upstream does not have."""
        return self._by_gvk.get(gvk)


def _definition(name: str, body: Mapping[str, Any]) -> Definition:
    required = frozenset(body.get("required", ()))
    return Definition(
        name=name,
        fields={key: _field(key, facts, key in required) for key, facts in body.get("fields", {}).items()},
        required=required,
        gvks=tuple(GroupVersionKind(*gvk) for gvk in body.get("gvk", ())),
        map_type=body.get("map", ""),
    )


def _field(name: str, facts: Any, required: bool) -> Field:
    if isinstance(facts, str):
        return Field(name, parse_type(facts), required)
    return Field(
        name=name,
        type=parse_type(facts["type"]),
        required=required,
        list_type=facts.get("list", ""),
        list_map_keys=tuple(facts.get("keys", ())),
        map_type=facts.get("map", ""),
        patch_strategy=frozenset(facts["patch"].split(",")) if "patch" in facts else _NO_STRATEGY,
        merge_key=facts.get("mergeKey", ""),
    )


@cache
def parse_type(word: str) -> Type:
    """A type word of the facts file as a Type."""
    match word[0]:
        case "#":
            return Type("ref", ref=PREFIX + word[1:])
        case "[":
            return Type("list", item=parse_type(word[1:-1]))
        case "{":
            return Type("map", item=parse_type(word[1:-1]))
        case _:
            return Type(word)


@cache
def schema() -> Schema:
    """The facts of the version that this release serves."""
    return Schema(orjson.loads(Path(__file__).with_name("v1.36.json").read_bytes()))


def definition(name: str) -> Definition:
    return schema().definition(name)


@dataclass(frozen=True, slots=True)
class FieldMeta:
    """PatchMeta (machinery/patch) of a value in a built-in kind: where it may be merged and by which key."""

    type: Type
    strategy: frozenset[str] = _NO_STRATEGY
    merge_key: str = ""

    @property
    def is_list(self) -> bool:
        return self.type.kind == "list"

    def field(self, name: str) -> FieldMeta | None:
        """Metadata of a member; None where the schema knows nothing (free-form objects, unknown fields)."""
        if self.type.kind == "map":
            assert self.type.item is not None
            return FieldMeta(self.type.item)
        return _members(self.type.ref).get(name) if self.type.kind == "ref" else None

    def items(self) -> FieldMeta | None:
        """Metadata of a list's elements; None for anything else."""
        return FieldMeta(self.type.item) if self.type.kind == "list" and self.type.item is not None else None


@cache
def _members(name: str) -> dict[str, FieldMeta]:
    return {
        field.name: FieldMeta(field.type, field.patch_strategy, field.merge_key) for field in definition(name).fields.values()
    }


def patch_meta(name: str) -> FieldMeta:
    """PatchMeta of a whole object, by its definition's full name."""
    return FieldMeta(Type("ref", ref=name))
