"""Defaults of a structural schema, and nulls that it does not allow.

A default fills a field that is missing, or null where null is not allowed; its parents are never made. Nulls that are neither
allowed nor defaulted are dropped. Both happen to requests, and to stored objects when they are read.

Defaults in lists, and within defaults, multiply: a few hundred bytes of schema can make any object gigabytes large. So what they
add to an object is bounded.
"""

from __future__ import annotations

from typing import Any

import orjson

from steersman.api.structural.model import MISSING, Node
from steersman.machinery.meta import Obj

_MOST_ADDED = 3 * 1024 * 1024
"""Bytes of JSON that defaults may add: as many as a request may have."""
_VALUE = 16
"""What a value takes besides, so that many small ones are not free."""


def default(value: Any, node: Node) -> bool:
    """Set defaults and drop nulls in a value of this schema, in place. False: not all defaults, as they would be too large."""
    try:
        _Run().default(value, node)
    except _TooLarge:
        return False
    return True


class _TooLarge(Exception):
    """There is no room for more defaults."""


class _Run:
    """left: what defaults may still add."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = _MOST_ADDED

    def made(self, node: Node) -> Any:
        """A default, as a value of its own. Raises _TooLarge."""
        if not node.default_json:
            node.default_json = orjson.dumps(node.default)
        text = node.default_json
        self.left -= len(text) + _VALUE * (1 + text.count(b",") + text.count(b"{") + text.count(b"["))
        if self.left < 0:
            raise _TooLarge
        return orjson.loads(text)

    def default(self, value: Any, node: Node) -> None:
        if isinstance(value, dict):
            self._object(value, node)
        elif isinstance(value, list) and node.items is not None:
            items = node.items
            for index, item in enumerate(value):
                if item is None and not items.nullable and items.default is not MISSING:
                    value[index] = self.made(items)
                self.default(value[index], items)

    def _object(self, value: Obj, node: Node) -> None:
        for key, known in node.properties.items():
            if known.default is not MISSING and value.get(key) is None and (key not in value or not known.nullable):
                value[key] = self.made(known)
        gone: list[str] = []
        for key, item in value.items():
            inner = node.of(key)
            if inner is None:
                continue
            if item is None and not inner.nullable:
                if inner.default is MISSING:
                    gone.append(key)
                    continue
                value[key] = self.made(inner)
            self.default(value[key], inner)
        for key in gone:
            del value[key]
