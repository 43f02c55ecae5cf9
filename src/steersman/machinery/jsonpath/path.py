"""A single path, as custom resources have it in printer columns, scale subresources and selectable fields."""

from __future__ import annotations

import json
from typing import Any

from steersman.machinery.jsonpath.evaluate import JSONPath
from steersman.machinery.jsonpath.parse import JSONPathError
from steersman.machinery.meta import Obj


class Path:
    """A parsed path. `.spec.x`, `spec.x`, `{.spec.x}` and `$.spec.x` are the same. Raises JSONPathError for what is no path."""

    __slots__ = ("text", "_path")

    def __init__(self, text: str) -> None:
        self.text = text
        inner = text[1:-1] if text.startswith("{") and text.endswith("}") else text
        self._path = JSONPath(f"{{{inner if inner.startswith(('.', '[', '$', '@')) else f'.{inner}'}}}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Path) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def find(self, obj: Any) -> list[Any]:
        """All values there; what is missing, or of another shape than the path wants, gives none."""
        try:
            return [value for values in self._path.find(obj) for value in values]
        except JSONPathError:
            return []


def text_of(value: Obj | list[Any] | str | float | bool | None) -> str:
    """A value as JSONPath prints it: text as it is, maps and lists as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
