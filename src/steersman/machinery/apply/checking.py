"""Whether an object fits its type, in upstream's words: what is applied must, before anything is merged.

Source: sigs.k8s.io/structured-merge-diff, typed/validate.go. Finer rules (formats, ranges) are for decoding and validation.
"""

from __future__ import annotations

from typing import Any

import orjson

from steersman.machinery.apply import elements
from steersman.machinery.apply.types import KeyFault, Type, resolve
from steersman.machinery.patch.errors import go_print, go_type

_ACCEPTED: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "numeric": (int, float),
    "boolean": (bool,),
    "untyped": (str, int, float, bool),
}
_EXPECTED = {"string": "string", "numeric": "numeric (int or float)", "boolean": "boolean", "untyped": "any scalar"}


def faults(value: Any, kind: Type) -> list[str]:
    """What is wrong with an object, each with its path: `.spec.foo: field not declared in schema`."""
    found: list[str] = []
    _check(value, kind, "", found)
    return found


def text(found: list[str]) -> str:
    """Several faults as one error."""
    return found[0] if len(found) == 1 else "errors:\n" + "\n".join(f"  {fault}" for fault in found)


def _check(value: Any, kind: Type, path: str, found: list[str]) -> None:
    if value is None or kind.kind == "any":
        return
    kind = resolve(kind, value)
    if kind.kind == "scalar":
        _check_scalar(value, kind, path, found)
    elif kind.kind == "map":
        if not isinstance(value, dict):
            _add(found, path, f"expected map, got &{{{go_print(value)}}}")
            return
        for key, inner in value.items():
            if key not in kind.fields and kind.element is None:
                _add(found, f"{path}.{key}", "field not declared in schema")
            else:
                _check(inner, kind.of(key), f"{path}.{key}", found)
    elif not isinstance(value, list):
        _add(found, path, f"expected list, got &{{{go_print(value)}}}")
    else:
        _check_items(value, kind, path, found)


def _check_items(items: list[Any], kind: Type, path: str, found: list[str]) -> None:
    if kind.atomic:
        for index, item in enumerate(items):
            _check(item, kind.items, f"{path}[{index}]", found)
        return
    seen: set[str] = set()
    for index, item in enumerate(items):
        try:
            element = kind.item(item)
        except KeyFault as fault:
            _add(found, path, f"element {index}: {fault}")
            continue
        shown = elements.text((element,))
        if element in seen:
            _add(found, path, f"duplicate entries for key {shown}")
        seen.add(element)
        _check(item, kind.items, path + shown, found)


def _check_scalar(value: Any, kind: Type, path: str, found: list[str]) -> None:
    if isinstance(value, _ACCEPTED[kind.scalar]) and (kind.scalar != "numeric" or not isinstance(value, bool)):
        return
    match kind.scalar:
        case "string":
            got = f"&value.valueUnstructured{{Value:{_go_syntax(value)}}}"
        case "numeric":
            got = go_type(value)
        case _:
            got = f"&{{{go_print(value)}}}"
    _add(found, path, f"expected {_EXPECTED[kind.scalar]}, got {got}")


def _go_syntax(value: Any) -> str:
    """Go's %#v of decoded JSON."""
    if isinstance(value, dict):
        inner = ", ".join(f"{orjson.dumps(key).decode()}:{_go_syntax(item)}" for key, item in sorted(value.items()))
        return f"map[string]interface {{}}{{{inner}}}"
    if isinstance(value, list):
        return f"[]interface {{}}{{{', '.join(map(_go_syntax, value))}}}"
    return "interface {}(nil)" if value is None else orjson.dumps(value).decode()


def _add(found: list[str], path: str, what: str) -> None:
    found.append(f"{path}: {what}" if path else what)
