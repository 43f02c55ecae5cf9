"""Reads the numbers that fields have on the wire (schema/protobuf-v1.36.json), which tools/build_protobuf_facts.py writes.

The file: `{"api.core.v1.Pod": {"numbers": {field: N | [N, M]}, "zeros": [field, ..]}}`, without the leading `io.k8s.`.
`[N, M]` is field M of a message that JSON flattens, itself number N. `zeros` are optional scalar fields whose zero value JSON
has as well (pointers in Go; a plain field that is zero is sent all the same and has to go). Names and types: schema facts.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from steersman.api.protobuf import either
from steersman.api.schema.loader import PREFIX, Field, definition

_FACTS = Path(__file__).parent.parent / "schema/protobuf-v1.36.json"


class Numbered(NamedTuple):
    """A field of a message: the numbers of the embedded messages it is in, its own number, and whether zero is left out."""

    field: Field
    embedded: tuple[int, ...]
    number: int
    omit_zero: bool


@cache
def _facts() -> dict[str, Any]:
    facts: dict[str, Any] = orjson.loads(_FACTS.read_bytes())
    return facts


def known(name: str) -> bool:
    """Whether objects of this definition have a protobuf form."""
    return name.removeprefix(PREFIX) in _facts()


def numbered(name: str) -> list[Numbered]:
    """The fields of a definition (full name) with their numbers, in no order."""
    if name in either.MESSAGES:
        return [Numbered(Field(key, kind), (), number, False) for key, (number, kind) in either.MESSAGES[name].items()]
    types = either.FIELDS.get(name, {})
    facts = _facts()[name.removeprefix(PREFIX)]
    zeros = facts.get("zeros", ())
    found = []
    for key, field in definition(name).fields.items():
        number = facts["numbers"].get(key)
        if number is not None:
            path = number if isinstance(number, list) else [number]
            if key in types:
                field = replace(field, type=types[key])
            found.append(Numbered(field, tuple(path[:-1]), path[-1], not field.required and key not in zeros))
    return found
