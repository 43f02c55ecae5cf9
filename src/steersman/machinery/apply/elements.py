"""Path elements of field sets, as FieldsV1 writes them, and as people read them in conflicts.

`f:replicas` a field or map key; `k:{"name":"a"}` the item of a keyed list, its keys sorted; `v:"x"` the item of a set; `i:3` an
index. Source: sigs.k8s.io/structured-merge-diff, fieldpath.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from steersman.machinery import depth

_ORDER = {".": 0, "f": 1, "k": 2, "v": 3, "i": 4}


def of_value(value: Any) -> str:
    return f"v:{orjson.dumps(value).decode()}"


def of_keys(keys: dict[str, Any]) -> str:
    return f"k:{orjson.dumps(keys, option=orjson.OPT_SORT_KEYS).decode()}"


def canonical(element: str) -> str | None:
    """An element from outside, in the form that the functions above give; None for a kind that nobody knows.

    Raises ValueError for one that is malformed.
    """
    kind, colon, rest = element.partition(":")
    if not colon:
        raise ValueError(f"{element!r} is no path element")
    match kind:
        case "f":
            return element
        case "v":
            return of_value(depth.loads(rest.encode()))
        case "k":
            keys = depth.loads(rest.encode())
            if not isinstance(keys, dict):
                raise ValueError(f"{element!r} has no keys")
            return of_keys(keys)
        case "i":
            return f"i:{int(rest)}"
        case _:
            return None


def order(element: str) -> tuple[Any, ...]:
    """The sort key of an element among its siblings."""
    kind = _ORDER[element[0]]
    if kind < 2:
        return (kind, element)
    value = orjson.loads(element[2:])
    return (kind, *_order_of(value))


def _order_of(value: Any) -> tuple[Any, ...]:
    """Values compare by type first, as upstream has it: floats and integers, text, booleans, lists, maps."""
    if isinstance(value, bool):
        return (2, value)
    if isinstance(value, int | float):
        return (0, value)
    if isinstance(value, str):
        return (1, value)
    if isinstance(value, dict):
        return (4, tuple((key, _order_of(inner)) for key, inner in sorted(value.items())))
    return (3, orjson.dumps(value))


def text(path: Iterable[str]) -> str:
    """`.spec.containers[name="a"].image`."""
    return "".join(map(_text, path))


def _text(element: str) -> str:
    kind, rest = element[0], element[2:]
    match kind:
        case "f":
            return f".{rest}"
        case "i":
            return f"[{rest}]"
        case "v":
            return f"[={_value_text(orjson.loads(rest))}]"
        case _:
            keys = orjson.loads(rest)
            return f"[{','.join(f'{key}={_value_text(value)}' for key, value in keys.items())}]"


def _value_text(value: Any) -> str:
    return orjson.dumps(value).decode()
