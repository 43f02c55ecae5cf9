"""Objects as YAML, as JSON, and by name: `-o yaml`, `-o json`, `-o name`, and `pod/web created`."""

from __future__ import annotations

import json
import re
from typing import Any, TextIO

from steersman.machinery.gvk import split_api_version
from steersman.machinery.meta import Obj

# encoding/json writes these so that its output may stand in a page.
_HTML = re.compile("[<>&\u2028\u2029]")
_WHOLE_FLOAT_LIMIT = 1e21


def encode(value: Any, *, indent: int | None = None, in_order: bool = False) -> str:
    """JSON as Go's encoding/json writes it: keys sorted (of structs `in_order`), `<`, `>` and `&` escaped, 3.0 as 3."""
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(_plain(value), indent=indent, sort_keys=not in_order, ensure_ascii=False, separators=separators)
    return _HTML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def without_managed_fields(obj: Obj) -> Obj:
    """The object, or the list and its items, without metadata.managedFields. What was given is not changed."""
    metadata = obj.get("metadata")
    if isinstance(metadata, dict) and "managedFields" in metadata:
        obj = {**obj, "metadata": {key: value for key, value in metadata.items() if key != "managedFields"}}
    if isinstance(obj.get("items"), list) and str(obj.get("kind") or "").endswith("List"):
        obj = {**obj, "items": [without_managed_fields(item) for item in obj["items"]]}
    return obj


def title(obj: Obj) -> str:
    """`pod/web`, `deployment.apps/web`: how messages name an object."""
    group, _ = split_api_version(str(obj.get("apiVersion") or ""))
    kind = str(obj.get("kind") or "<unknown>").lower()
    name = str((obj.get("metadata") or {}).get("name") or "<unknown>")
    return f"{kind}.{group}/{name}" if group else f"{kind}/{name}"


class JSONPrinter:
    """Four spaces. managedFields are shown only if asked for."""

    def __init__(self, *, managed_fields: bool = False) -> None:
        self._managed_fields = managed_fields

    def print(self, obj: Obj, out: TextIO) -> None:
        out.write(encode(obj if self._managed_fields else without_managed_fields(obj), indent=4) + "\n")


class YAMLPrinter:
    """A `---` stands between two objects."""

    def __init__(self, *, managed_fields: bool = False) -> None:
        self._managed_fields = managed_fields
        self._printed = 0

    def print(self, obj: Obj, out: TextIO) -> None:
        from steersman.machinery import yamlio

        if self._printed:
            out.write("---\n")
        self._printed += 1
        out.write(yamlio.dump(obj if self._managed_fields else without_managed_fields(obj)))


class NamePrinter:
    """`pod/web`, or `pod/web created` with an operation. A list prints its items."""

    def __init__(self, operation: str = "") -> None:
        self._operation = operation

    def print(self, obj: Obj, out: TextIO) -> None:
        if isinstance(obj.get("items"), list) and str(obj.get("kind") or "").endswith("List"):
            for item in obj["items"]:
                self.print(item, out)
            return
        out.write(f"{title(obj)} {self._operation}".rstrip() + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < _WHOLE_FLOAT_LIMIT:
        return int(value)
    return value
