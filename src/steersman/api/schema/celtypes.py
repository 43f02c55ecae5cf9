"""Kinds as types of CEL, from the schema facts and from the schemas of custom resources: for checking the types of expressions.

Expressions of policies run on whatever an object holds; these types only say beforehand what is likely wrong.
Source: upstream apiserver pkg/cel/common/schemas.go, as pkg/cel/openapi applies it to built-in kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache

from steersman.api.schema.loader import Definition, definition
from steersman.api.schema.loader import Type as Word
from steersman.machinery.cel import types
from steersman.machinery.cel.types import Field, Type

_SCALARS = {
    "string": types.STRING,
    "quantity": types.STRING,
    "bytes": types.BYTES,
    "boolean": types.BOOL,
    "int32": types.INT,
    "int64": types.INT,
    "integer": types.INT,
    "double": types.DOUBLE,
    "number": types.DOUBLE,
    "time": types.TIMESTAMP,
    "micro-time": types.TIMESTAMP,
}


class _Fields(Mapping[str, Field]):
    """The fields of a definition, made when they are needed: definitions may contain themselves."""

    def __init__(self, found: Definition, spelt: Callable[[str], str | None]) -> None:
        self._names = {shown: name for name in found.fields if (shown := spelt(name)) is not None}
        self._found = found

    def __getitem__(self, name: str) -> Field:
        key = self._names.get(name, name)
        return Field(_of_word(self._found.fields[key].type), key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@cache
def of_definition(name: str) -> Type:
    """The type of a definition of the schema facts (`io.k8s.api.core.v1.Pod`)."""
    # Here, not above: it belongs to structural schemas, which are built on this package.
    from steersman.api.structural.rules.naming import escape

    return types.object_of(name, _Fields(definition(name), escape))


def _of_word(word: Word) -> Type:
    if word.kind == "ref":
        return of_definition(word.ref)
    if word.kind == "list" and word.item is not None:
        return types.list_of(_of_word(word.item))
    if word.kind == "map" and word.item is not None:
        return types.map_of(types.STRING, _of_word(word.item))
    return _SCALARS.get(word.kind, types.DYN)
