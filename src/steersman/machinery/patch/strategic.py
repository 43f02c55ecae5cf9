"""Strategic merge patch, applied: maps and keyed lists merge by the kind's metadata, directives say the rest.

Source: API conventions, "Strategic Merge Patch". Making such patches is strategic_diff's work. Rules in short: null deletes,
`$patch` replaces or deletes a map or element, `$retainKeys` drops all other members, `$deleteFromPrimitiveList/<f>` removes
scalars, `$setElementOrder/<f>` orders a list; items that only the server has stay before whatever followed them.
"""

from __future__ import annotations

from typing import Any

from steersman.machinery import depth
from steersman.machinery.errors import BadRequest
from steersman.machinery.patch.errors import PatchFailed, PatchRejected, go_print, go_type
from steersman.machinery.patch.meta import PatchMeta
from steersman.machinery.patch.strategic_diff import diff, three_way
from steersman.machinery.patch.strategic_keys import (
    DELETE_FROM_LIST,
    DIRECTIVE,
    RETAIN_KEYS,
    SET_ORDER,
    identity,
    merge_key_of,
    order_of,
)

__all__ = ["apply", "decode", "diff", "three_way"]

Map = dict[str, Any]


def decode(body: bytes) -> Map:
    """The patch document of a request body. Raises BadRequest."""
    try:
        patch = depth.loads(body)
    except depth.TooDeep:
        raise depth.error() from None
    except ValueError:
        patch = None
    if not isinstance(patch, dict):
        raise BadRequest("invalid JSON document")
    return patch


def apply(doc: Map, patch: Map, meta: PatchMeta | None) -> Map:
    """The patched object. Raises BadRequest, PatchRejected or PatchFailed."""
    return _merge_map(doc, patch, meta)


def _merge_map(live: Map, patch: Map, meta: PatchMeta | None) -> Map:
    if DIRECTIVE in patch:
        directive = patch[DIRECTIVE]
        if directive == "replace":
            return {key: value for key, value in patch.items() if key != DIRECTIVE}
        if directive == "delete":
            return {}
        raise PatchFailed(f"unknown patch type: {go_print(directive)} in map: {go_print(patch)}")
    merged, patch = _retain_keys(live, patch)
    ordered = [key for key in patch if key.startswith(SET_ORDER)]
    done = {field for key in ordered if (field := _merge_ordered(merged, patch, key, meta)) is not None}
    for key, value in patch.items():
        if key.startswith(SET_ORDER) or key in done:
            continue
        if key.startswith(DELETE_FROM_LIST):
            _delete_scalars(merged, key.removeprefix(DELETE_FROM_LIST), value)
        elif value is None:
            merged.pop(key, None)
        elif key not in merged or _shape(merged[key]) is not _shape(value):
            fresh, kept = _without_directives(value)
            if kept:
                merged[key] = fresh
        else:
            merged[key] = _merge_value(merged[key], value, _child(meta, key))
    return merged


def _child(meta: PatchMeta | None, key: str) -> PatchMeta | None:
    return meta.field(key) if meta is not None else None


def _shape(value: Any) -> type:
    return dict if isinstance(value, dict) else list if isinstance(value, list) else object


def _merge_value(live: Any, value: Any, meta: PatchMeta | None) -> Any:
    """Both are maps, both are lists, or neither is a container."""
    if isinstance(value, dict):
        if meta is not None and "replace" in meta.strategy:
            return _without_directives({key: inner for key, inner in value.items() if key != DIRECTIVE})[0]
        return _merge_map(live, value, meta)
    if isinstance(value, list):
        return _merge_list(live, value, meta)
    return value


def _retain_keys(live: Map, patch: Map) -> tuple[Map, Map]:
    """A copy of the live map reduced to `$retainKeys`, and the patch without that directive."""
    if RETAIN_KEYS not in patch:
        return dict(live), patch
    retained = patch[RETAIN_KEYS]
    if not isinstance(retained, list):
        raise BadRequest("invalid patch format of retainKeys")
    names = {name for name in retained if isinstance(name, str)}
    rest = {key: value for key, value in patch.items() if key != RETAIN_KEYS}
    for key, value in rest.items():
        if value is not None and not key.startswith((DELETE_FROM_LIST, SET_ORDER)) and key not in names:
            raise PatchRejected("patch content doesn't match retainKeys list")
    return {key: value for key, value in live.items() if key in names}, rest


def _delete_scalars(merged: Map, field: str, doomed: Any) -> None:
    if not isinstance(doomed, list):
        raise BadRequest("invalid patch format of primitive list")
    live = merged.get(field)
    if isinstance(live, list):
        gone = {identity(item) for item in doomed}
        merged[field] = [item for item in live if identity(item) not in gone]


def _without_directives(value: Any) -> tuple[Any, bool]:
    """A brand-new value as it is stored: no nulls in maps, no directives. False: the value was nothing but a directive."""
    if isinstance(value, dict):
        if DIRECTIVE in value:
            return None, False
        fresh: Map = {}
        for key, inner in value.items():
            if inner is None or key == RETAIN_KEYS or key.startswith((SET_ORDER, DELETE_FROM_LIST)):
                continue
            clean, kept = _without_directives(inner)
            if kept:
                fresh[key] = clean
        return fresh, True
    if isinstance(value, list):
        cleaned = [_without_directives(item) for item in value]
        return [item for item, kept in cleaned if kept], True
    return value, True


def _merge_list(live: list[Any], patch: list[Any], meta: PatchMeta | None) -> list[Any]:
    if meta is None or "merge" not in meta.strategy:
        fresh: list[Any] = _without_directives(patch)[0]
        return fresh
    if not live and not patch:
        return live
    key = _element_key(live, patch, meta)
    merged = _merge_items(live, patch, key, meta) if key else _unique(live + patch)
    return _arrange(merged, order_of(patch, key), order_of(live, key), key)


def _element_key(live: list[Any], patch: list[Any], meta: PatchMeta) -> str:
    """The merge key of a list of maps, the empty string for a list of scalars. Raises for mixed or nested lists."""
    first = None
    for item in (*live, *patch):
        if isinstance(item, list):
            raise PatchRejected("lists of lists are not supported")
        shown = go_type(item)
        if first is not None and shown != first:
            raise PatchFailed(f"list element types are not identical: {first}, {shown}")
        first = shown
    if first != "map[string]interface {}":
        return ""
    if not meta.merge_key:
        raise PatchFailed("cannot merge lists without merge key for []interface {}")
    return meta.merge_key


def _unique(items: list[Any]) -> list[Any]:
    return list({identity(item): item for item in reversed(items)}.values())[::-1]


def _merge_items(live: list[Map], patch: list[Map], key: str, meta: PatchMeta) -> list[Map]:
    """Deletions first, then each patch item into the live item with its key, or appended."""
    plain: list[Map] = []
    replace = False
    merged = list(live)
    for item in patch:
        directive = item.get(DIRECTIVE)
        if DIRECTIVE not in item:
            plain.append(item)
        elif directive == "delete":
            gone = identity(merge_key_of(item, key))
            merged = [other for other in merged if identity(merge_key_of(other, key)) != gone]
        elif directive == "replace":
            replace = True
        elif directive == "merge":
            raise PatchFailed("merging lists cannot yet be specified in the patch")
        else:
            raise PatchFailed(f"unknown patch type: {go_print(directive)} in map: {go_print(item)}")
    if replace:
        return plain
    places = {identity(merge_key_of(other, key)): index for index, other in reversed(list(enumerate(merged)))}
    items = meta.items()
    for item in plain:
        place = places.get(identity(merge_key_of(item, key)))
        if place is not None:
            merged[place] = _merge_map(merged[place], item, items)
        else:
            places[identity(item[key])] = len(merged)
            merged.append(_without_directives(item)[0])
    return merged


def _merge_ordered(merged: Map, patch: Map, directive: str, meta: PatchMeta | None) -> str | None:
    """Merge the list beside a `$setElementOrder` and order it as that says. Returns the field that is done with."""
    field, order = directive.removeprefix(SET_ORDER), patch[directive]
    if not isinstance(order, list):
        raise BadRequest("invalid patch format of setElementOrder list")
    live, items = merged.get(field), patch.get(field)
    for value in (live, items):
        if value is not None and not isinstance(value, list):
            raise PatchFailed(f"expected a []interface {{}}, but received a {go_type(value)}")
    if live is None and items is None:
        return None
    child = _child(meta, field)
    key = child.merge_key if child is not None else ""
    if items:
        _check_order(items, order, key)
    if items is None:
        result = live
    elif live is None:
        result = _without_directives(items)[0]
    else:
        result = _merge_list(live, items, child)
    merged[field] = _arrange(result or [], order_of(order, key), order_of(live or [], key), key)
    return field


def _check_order(items: list[Any], order: list[Any], key: str) -> None:
    """Patch items (deletions aside) must be a subset of the order list, in its order."""
    wanted = [item for item in items if not (isinstance(item, dict) and item.get(DIRECTIVE) == "delete")]
    places = iter([identity(merge_key_of(item, key) if key else item) for item in order])
    for item in wanted:
        sought = identity(merge_key_of(item, key) if key else item)
        if sought not in places:
            raise PatchFailed(
                f"The order in patch list:\n{go_print(items)}\n doesn't match $setElementOrder list:\n{go_print(order)}\n"
            )


def _arrange(items: list[Any], wanted: dict[Any, int], live: dict[Any, int], key: str) -> list[Any]:
    """Items the patch names in its order; the others in live order, each before the named item that followed it live."""

    def place(item: Any) -> Any:
        return identity(merge_key_of(item, key) if key else item)

    beyond = len(items)
    named = sorted((item for item in items if place(item) in wanted), key=lambda item: wanted[place(item)])
    others = sorted((item for item in items if place(item) not in wanted), key=lambda item: live.get(place(item), beyond))
    result: list[Any] = []
    left = 0
    for item in named:
        here = live.get(place(item))
        while here is not None and left < len(others) and live.get(place(others[left]), beyond) < here:
            result.append(others[left])
            left += 1
        result.append(item)
    return result + others[left:]
