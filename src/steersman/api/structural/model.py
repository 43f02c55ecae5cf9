"""A structural schema as a tree of Nodes, made once from the JSONSchemaProps of a CustomResourceDefinition's version.

A Node is one level: what its objects may contain (`properties`, `additional`, `items`), what the x-kubernetes-* extensions say,
and the JSONSchemaProps themselves (`raw`) for what only validation and OpenAPI read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from steersman.machinery.meta import Obj

MISSING: Final = object()
RESOURCE_FIELDS = ("apiVersion", "kind", "metadata")
"""What a whole resource has besides what its schema says."""


@dataclass(slots=True)
class Node:
    """One level of a schema."""

    raw: Obj
    type: str = ""
    properties: dict[str, Node] = field(default_factory=dict)
    additional: Node | None = None
    """Schema of values under further keys. With `additionalProperties: true` there is none, and `open_keys` is set."""
    open_keys: bool = False
    items: Node | None = None
    default: Any = MISSING
    default_json: bytes = field(default=b"", compare=False, repr=False)
    """The same, encoded when it is first needed."""
    nullable: bool = False
    preserve: bool = False
    """x-kubernetes-preserve-unknown-fields."""
    embedded: bool = False
    """x-kubernetes-embedded-resource."""
    int_or_string: bool = False
    list_type: str = ""
    list_map_keys: tuple[str, ...] = ()
    map_type: str = ""
    embeds: bool = False
    """Whether a resource is embedded here or further down."""

    def of(self, key: str) -> Node | None:
        """The schema of the value at a key; None where there is none."""
        found = self.properties.get(key)
        return found if found is not None else self.additional


def build(raw: Obj | None) -> Node:
    """The tree of a JSONSchemaProps, which has passed check.py. An absent schema has no fields."""
    raw = raw or {}
    additional = raw.get("additionalProperties")
    items = raw.get("items")
    node = Node(
        raw,
        type=raw.get("type") or "",
        properties={key: build(value) for key, value in (raw.get("properties") or {}).items()},
        additional=build(additional) if isinstance(additional, dict) else None,
        open_keys=additional is not None and additional is not False,
        items=build(items) if isinstance(items, dict) else None,
        default=MISSING if raw.get("default") is None else raw["default"],
        nullable=bool(raw.get("nullable")),
        preserve=bool(raw.get("x-kubernetes-preserve-unknown-fields")),
        embedded=bool(raw.get("x-kubernetes-embedded-resource")),
        int_or_string=bool(raw.get("x-kubernetes-int-or-string")),
        list_type=raw.get("x-kubernetes-list-type") or "",
        list_map_keys=tuple(raw.get("x-kubernetes-list-map-keys") or ()),
        map_type=raw.get("x-kubernetes-map-type") or "",
    )
    inner = [*node.properties.values(), *(part for part in (node.additional, node.items) if part is not None)]
    node.embeds = node.embedded or any(part.embeds for part in inner)
    return node


def join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
