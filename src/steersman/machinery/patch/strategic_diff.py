"""Makes strategic merge patches: the difference of two objects, and client-side apply's three-way patch.

Applying them is strategic.py's work. Source: API conventions, "Strategic Merge Patch"; KEP-555 (apply).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from steersman.machinery.patch.merge import same
from steersman.machinery.patch.meta import PatchMeta
from steersman.machinery.patch.strategic_keys import (
    DELETE_FROM_LIST,
    DIRECTIVE,
    RETAIN_KEYS,
    SET_ORDER,
    identity,
    merge_key_of,
    order_of,
)

Map = dict[str, Any]


class ApplyConflict(Exception):
    """A three-way patch that would overwrite what someone else changed, and must not."""

    def __init__(self, patch: Map, changed: Map) -> None:
        shown, by_others = (orjson.dumps(part, option=orjson.OPT_SORT_KEYS).decode() for part in (patch, changed))
        super().__init__(f"patch:\n{shown}\nconflicts with changes made from original to current:\n{by_others}\n")


@dataclass(frozen=True, slots=True)
class _Halves:
    """Which half of a difference is wanted. Both by default; three-way patches take one half of each of two."""

    additions: bool = True
    deletions: bool = True


def diff(a: Map, b: Map, meta: PatchMeta | None) -> Map:
    """The patch that makes b of a; {} when they are equal."""
    return _diff_map(a, b, meta, _Halves(), retain=False)


def three_way(original: Map, modified: Map, current: Map, meta: PatchMeta | None, *, overwrite: bool = True) -> Map:
    """What `modified` says beyond `current`, plus the deletion of what `original` had and `modified` has not.

    With overwrite=False it raises ApplyConflict when a field of the patch was changed from original to current as well.
    """
    additions = _diff_map(current, modified, meta, _Halves(deletions=False), retain=False)
    deletions = _diff_map(original, modified, meta, _Halves(additions=False), retain=False)
    patch = _combine(deletions, additions, meta)
    if not overwrite:
        changed = diff(original, current, meta)
        if _conflicts(patch, changed, meta):
            raise ApplyConflict(patch, changed)
    return patch


def _child(meta: PatchMeta | None, key: str) -> PatchMeta | None:
    return meta.field(key) if meta is not None else None


def _diff_map(a: Map, b: Map, meta: PatchMeta | None, halves: _Halves, *, retain: bool) -> Map:
    patch: Map = {}
    for key, new in b.items():
        if key not in a:
            if halves.additions:
                patch[key] = new
            continue
        old = a[key]
        if isinstance(old, dict) and isinstance(new, dict):
            _diff_map_field(patch, key, old, new, _child(meta, key), halves)
        elif isinstance(old, list) and isinstance(new, list):
            _diff_list_field(patch, key, old, new, _child(meta, key), halves)
        elif halves.additions and not same(old, new):
            patch[key] = new
    if halves.deletions:
        patch.update((key, None) for key in a if key not in b)
    if retain:
        kept = sorted(key for key, value in b.items() if value is not None)
        lost = any(value is not None and key not in b for key, value in a.items())
        if kept and (patch or lost):
            patch[RETAIN_KEYS] = kept
    return patch


def _diff_map_field(patch: Map, key: str, old: Map, new: Map, meta: PatchMeta | None, halves: _Halves) -> None:
    strategy = meta.strategy if meta is not None else frozenset[str]()
    if "replace" in strategy:
        if halves.additions and not same(old, new):
            patch[key] = {**new, DIRECTIVE: "replace"}
        return
    inner = _diff_map(old, new, meta, halves, retain="retainKeys" in strategy)
    if inner:
        patch[key] = inner


def _diff_list_field(patch: Map, key: str, old: list[Any], new: list[Any], meta: PatchMeta | None, halves: _Halves) -> None:
    if meta is None or "merge" not in meta.strategy:
        if halves.additions and not same(old, new):
            patch[key] = new
        return
    if not old:
        if new and halves.additions:
            patch[key] = new
        return
    if meta.merge_key:
        changes, reordered = _diff_items(old, new, meta, halves)
        order: list[Any] = [{meta.merge_key: item[meta.merge_key]} for item in new]
        changed = bool(changes)
    else:
        known, wanted = order_of(old, ""), order_of(new, "")
        changes = [item for item in new if identity(item) not in known] if halves.additions else []
        gone = [item for item in old if identity(item) not in wanted] if halves.deletions else []
        if gone:
            patch[DELETE_FROM_LIST + key] = gone
        reordered, order, changed = not same(old, new), new, bool(gone)
    if changes:
        patch[key] = changes
    if order and ((halves.additions and (changed or reordered)) or (halves.deletions and changed)):
        patch[SET_ORDER + key] = order


def _diff_items(old: list[Map], new: list[Map], meta: PatchMeta, halves: _Halves) -> tuple[list[Map], bool]:
    """Changed and new items in the new order, then deletions; and whether the keys' order differs."""
    key = meta.merge_key
    before = {identity(merge_key_of(item, key)): item for item in old}
    after = order_of(new, key)
    changes: list[Map] = []
    for item in new:
        known = before.get(identity(merge_key_of(item, key)))
        if known is None:
            if halves.additions:
                changes.append(item)
            continue
        inner = _diff_map(known, item, meta.items(), halves, retain="retainKeys" in meta.strategy)
        if inner:
            changes.append({**inner, key: item[key]})
    if halves.deletions:
        changes += [{DIRECTIVE: "delete", key: item[key]} for item in old if identity(item[key]) not in after]
    return changes, list(order_of(old, key)) != list(after)


def _combine(deletions: Map, additions: Map, meta: PatchMeta | None) -> Map:
    """Both halves in one patch. They never disagree on a member: what is added is in `modified`, what is deleted is not."""
    merged = dict(deletions)
    for key, value in additions.items():
        below = merged.get(key)
        if isinstance(below, dict) and isinstance(value, dict) and DIRECTIVE not in value:
            merged[key] = _combine(below, value, _child(meta, key))
        elif isinstance(below, list) and isinstance(value, list) and not key.startswith("$"):
            order = additions.get(SET_ORDER + key) or deletions.get(SET_ORDER + key) or []
            merged[key] = _combine_items(below, value, order, _child(meta, key))
        else:
            merged[key] = value
    return merged


def _combine_items(deletions: list[Any], additions: list[Any], order: list[Any], meta: PatchMeta | None) -> list[Any]:
    key = meta.merge_key if meta is not None else ""
    if meta is None or not key:
        return additions
    changed: dict[Any, Map] = {identity(item[key]): item for item in deletions if DIRECTIVE not in item}
    for item in additions:
        below = changed.get(identity(item[key]))
        changed[identity(item[key])] = _combine(below, item, meta.items()) if below is not None else item
    places = order_of(order, key)
    ordered = sorted(changed, key=lambda name: places.get(name, len(places)))
    return [changed[name] for name in ordered] + [item for item in deletions if DIRECTIVE in item]


def _conflicts(left: Any, right: Any, meta: PatchMeta | None) -> bool:
    """Whether two patches say different things of the same member."""
    if isinstance(left, dict) and isinstance(right, dict):
        return any(
            _conflicts(value, right[key], _child(meta, key)) for key, value in left.items() if key in right and key[:1] != "$"
        )
    if isinstance(left, list) and isinstance(right, list) and meta is not None and "merge" in meta.strategy:
        key = meta.merge_key
        if not key:
            return False
        others = {identity(item.get(key)): item for item in right}
        pairs = [(item, others[identity(item.get(key))]) for item in left if identity(item.get(key)) in others]
        return any(
            mine.get(DIRECTIVE) != theirs.get(DIRECTIVE) or _conflicts(mine, theirs, meta.items()) for mine, theirs in pairs
        )
    return not same(left, right)
