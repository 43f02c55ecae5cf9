"""What custom resources are to server-side apply, from their structural schemas."""

from __future__ import annotations

from collections.abc import Mapping

from steersman.api.schema.applytypes import NOT_OWNED, OBJECT_META, object_meta, of_definition
from steersman.api.structural.model import MISSING, Node
from steersman.machinery.apply.types import ANY, UNTYPED, Type

_SCALARS = {
    "string": Type("scalar", scalar="string"),
    "integer": Type("scalar", scalar="numeric"),
    "number": Type("scalar", scalar="numeric"),
    "boolean": Type("scalar", scalar="boolean"),
}
_NAMES: Mapping[str, Type] = {"apiVersion": _SCALARS["string"], "kind": _SCALARS["string"]}


def of_root(root: Node) -> Type:
    """The type of whole objects."""

    def members() -> tuple[Mapping[str, Type], Type | None]:
        fields, element = _members(root)
        return {**fields, **_NAMES, "metadata": object_meta()}, element

    return Type("map", always={"metadata": {}}, ignored=NOT_OWNED, members=members)


def of_node(node: Node) -> Type:
    if node.int_or_string:
        return UNTYPED
    if node.type == "array":
        keys = node.list_map_keys if node.list_type == "map" else ()
        item = node.items
        return Type(
            "list",
            atomic=node.list_type not in ("map", "set"),
            keys=keys,
            key_defaults=_key_defaults(item, keys),
            members=lambda: ({}, of_node(item) if item is not None else ANY),
        )
    if node.type == "object" or node.properties or node.additional is not None:
        if not (node.properties or node.additional is not None or node.embedded or node.map_type == "atomic"):
            return ANY
        return Type("map", atomic=node.map_type == "atomic", members=lambda: _members(node))
    if node.type == "string" and node.raw.get("format") not in (None, "", "byte"):
        return UNTYPED
    return _SCALARS.get(node.type, ANY)


def _members(node: Node) -> tuple[Mapping[str, Type], Type | None]:
    fields = {key: of_node(inner) for key, inner in node.properties.items()}
    if node.embedded:
        fields |= {**_NAMES, "metadata": of_definition(OBJECT_META)}
    if node.additional is not None:
        return fields, of_node(node.additional)
    return fields, ANY if node.preserve or node.open_keys or not fields else None


def _key_defaults(item: Node | None, keys: tuple[str, ...]) -> dict[str, object]:
    if item is None:
        return {}
    found = ((key, item.properties[key].default) for key in keys if key in item.properties)
    return {key: default for key, default in found if default is not MISSING}
