"""Finds keys that occur twice in a JSON object, which parsers silently merge.

Repeats are rare and a full scan is slow, so two cheap comparisons with the parsed object's own encoding come first: equal length,
or an equal number of keys, means that nothing was lost.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

from steersman.machinery.meta import Obj


def in_json(body: bytes, parsed: Obj) -> list[str]:
    """`duplicate field "spec.bar"` for each repeated key, in document order. `parsed` is what a parser made of `body`."""
    encoded = orjson.dumps(parsed)
    if len(encoded) == len(body.rstrip()):
        return []
    if body.count(b'":') == encoded.count(b'":') and b'" :' not in body:
        return []
    found: list[str] = []
    _collect(json.loads(body, object_pairs_hook=_Pairs), "", found)
    return found


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with all its keys."""


def _collect(value: Any, path: str, found: list[str]) -> None:
    if isinstance(value, _Pairs):
        seen: set[str] = set()
        for key, item in value:
            inner = f"{path}.{key}" if path else key
            if key in seen:
                found.append(f'duplicate field "{inner}"')
            seen.add(key)
            _collect(item, inner, found)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _collect(item, f"{path}[{index}]", found)
