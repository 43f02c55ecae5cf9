"""What a write changes: the paths it adds, modifies and removes.

An atomic value or a scalar that differs is modified. A container that is new is added with everything in it; one that only has
other contents is not modified itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from steersman.machinery.apply.fieldset import EMPTY, LEAF, FieldSet, union
from steersman.machinery.apply.sets import of_new
from steersman.machinery.apply.types import ANY, MISSING, Type, resolve

_Node = FieldSet | None


class Comparison(NamedTuple):
    added: FieldSet
    modified: FieldSet
    removed: FieldSet

    @property
    def nothing(self) -> bool:
        return not (self.added or self.modified or self.removed)

    @property
    def touched(self) -> FieldSet:
        """What the writer now owns."""
        return union(self.modified, self.added)

    def without(self, reset: Callable[[FieldSet], FieldSet]) -> Comparison:
        """As if what `reset` leaves out had not been compared."""
        return self if self is NOTHING else Comparison(reset(self.added), reset(self.modified), reset(self.removed))


NOTHING = Comparison(EMPTY, EMPTY, EMPTY)
_MODIFIED: tuple[_Node, _Node, _Node] = (None, LEAF, None)


def compare(old: Any, new: Any, kind: Type) -> Comparison:
    """Both objects, as JSON has them; old is empty for one that is created. Raises KeyFault."""
    found = _compare(old, new, kind)
    return NOTHING if found is None else Comparison(*(node or EMPTY for node in found))


def _compare(old: Any, new: Any, kind: Type) -> tuple[_Node, _Node, _Node] | None:
    """The nodes of a value that is there before and after; None if it is the same."""
    if old == new and (kind.exact or (kind.leaf or kind.kind == "any") and _dump(old) == _dump(new)):
        return None
    if kind.leaf:
        return _MODIFIED
    if kind.kind == "any":
        old_kind, new_kind = resolve(kind, old), resolve(kind, new)
        if old_kind is not new_kind and old and new:
            # Another type: the value is modified, and what it has inside now is new.
            return _contents(new, new_kind), LEAF, _contents(old, old_kind)
        kind = new_kind if new else old_kind
        if kind.leaf:
            return _MODIFIED
    if not old and not new:
        return None if old == new else _MODIFIED
    shape = dict if kind.kind == "map" else list
    if not all(isinstance(value, shape) for value in (old, new) if value):
        # Not what the schema says: it has changed, or validation will refuse this.
        return _MODIFIED
    if shape is dict:
        return _compare_maps(old or {}, new or {}, kind)
    return _compare_lists(old or (), new or (), kind)


def _dump(value: Any) -> bytes:
    """Python's == takes True for 1; where no schema has checked types, equal values are compared as bytes again."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _contents(value: Any, kind: Type) -> _Node:
    node = of_new(value, kind)
    return {element: inner for element, inner in node.items() if element != "."} or None


def _compare_maps(old: dict[str, Any], new: dict[str, Any], kind: Type) -> tuple[_Node, _Node, _Node] | None:
    added: FieldSet = {}
    modified: FieldSet = {}
    removed: FieldSet = {}
    fields, element, always, ignored = kind.fields, kind.element or ANY, kind.always, kind.ignored
    for key, value in new.items():
        before = old.get(key, MISSING)
        if key in ignored:
            continue
        inner = fields.get(key, element)
        if before is MISSING and (before := always.get(key, MISSING)) is MISSING:
            added["f:" + key] = of_new(value, inner)
        elif before != value or not inner.exact:
            _put(_compare(before, value, inner), "f:" + key, added, modified, removed)
    for key in old.keys() - new.keys() - ignored:
        inner, after = fields.get(key, element), always.get(key, MISSING)
        if after is MISSING:
            removed["f:" + key] = of_new(old[key], inner)
        else:
            _put(_compare(old[key], after, inner), "f:" + key, added, modified, removed)
    return _found(added, modified, removed)


def _compare_lists(old: Any, new: Any, kind: Type) -> tuple[_Node, _Node, _Node] | None:
    before, after = _index(old, kind), _index(new, kind)
    items = kind.items
    added: FieldSet = {}
    modified: FieldSet = {}
    removed: FieldSet = {}
    for element, theirs in after.items():
        mine = before.get(element)
        if mine is None:
            added[element] = of_new(theirs[0], items) if len(theirs) == 1 else LEAF
        elif len(mine) == len(theirs) == 1:
            _put(_compare(mine[0], theirs[0], items), element, added, modified, removed)
        elif mine != theirs:
            # Items that are there several times are one thing: it is modified, and what single items had inside comes or goes.
            inside = (
                _contents(theirs[0], items) if len(theirs) == 1 else None,
                LEAF,
                _contents(mine[0], items) if len(mine) == 1 else None,
            )
            _put(inside, element, added, modified, removed)
    for element, mine in before.items():
        if element not in after:
            removed[element] = of_new(mine[0], items) if len(mine) == 1 else LEAF
    return _found(added, modified, removed)


def _found(added: FieldSet, modified: FieldSet, removed: FieldSet) -> tuple[_Node, _Node, _Node] | None:
    return (added or None, modified or None, removed or None) if added or modified or removed else None


def _index(items: Any, kind: Type) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for item in items:
        found.setdefault(kind.item(item), []).append(item)
    return found


def _put(found: tuple[_Node, _Node, _Node] | None, element: str, added: FieldSet, modified: FieldSet, removed: FieldSet) -> None:
    if found is None:
        return
    new, changed, gone = found
    if new is not None:
        added[element] = new
    if changed is not None:
        modified[element] = changed
    if gone is not None:
        removed[element] = gone
