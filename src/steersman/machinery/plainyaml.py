"""The plainest YAML, fast: block maps and lists whose scalars can only be text. It is what tools write as kubeconfigs.

Loading a whole YAML library costs a short command more than its work. Whatever is not that plain is yamlio's.
"""

from __future__ import annotations

import re
from typing import Any

_LINE = re.compile(
    r"( *)((?:- )*)([A-Za-z][\w\-]*):(?: (?:([A-Za-z/][\w\-./:+=@]*[\w\-./+=@]|[A-Za-z])|(\"\"|\{\}|\[\])))?", re.ASCII
)
_NOT_TEXT = frozenset(("y", "n", "yes", "no", "on", "off", "null"))
_BOOLS = {"true": True, "false": False}
_EMPTY: dict[str, Any] = {'""': "", "{}": {}, "[]": []}


class NotPlain(ValueError):
    """The text may well be YAML, but is none of this module's."""


def load(text: str) -> Any:
    """The value of a document, equal to what yamlio.load gives. Raises NotPlain."""
    entries: list[tuple[int, str, Any]] = []
    for line in text.splitlines():
        if not line:
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise NotPlain(line)
        indent, dashes, key, plain, empty = found.groups()
        if len(dashes) > 2:
            raise NotPlain(line)
        value = _scalar(plain) if plain else _copy(empty) if empty else _Open
        # A dash opens an item; its first key stands two columns further in, as those that follow it do.
        if dashes:
            entries.append((len(indent), "-", _Open))
        entries.append((len(indent) + len(dashes), key, value))
    value, end = _block(entries, 0, entries[0][0] if entries else 0)
    if end != len(entries) or not entries:
        raise NotPlain("indentation")
    return value


class _Open:
    """Marks a key whose value is what follows."""


def _scalar(text: str) -> Any:
    lowered = text.lower()
    if lowered in _BOOLS:
        return _BOOLS[lowered]
    if lowered in _NOT_TEXT:
        raise NotPlain(text)
    return text


def _copy(empty: str) -> Any:
    value = _EMPTY[empty]
    return value if isinstance(value, str) else type(value)()


def _block(entries: list[tuple[int, str, Any]], place: int, indent: int) -> tuple[Any, int]:
    """The map or list that begins at a place, and where it ends."""
    if place < len(entries) and entries[place][1] == "-":
        return _list(entries, place, indent)
    fields: dict[str, Any] = {}
    while place < len(entries) and entries[place][0] == indent and entries[place][1] != "-":
        _, key, value = entries[place]
        place += 1
        if key in fields:
            raise NotPlain(key)
        if value is _Open:
            value, place = _below(entries, place, indent)
        fields[key] = value
    return fields, place


def _below(entries: list[tuple[int, str, Any]], place: int, indent: int) -> tuple[Any, int]:
    """The value of a key that has none on its line. A list may stand as far out as its key."""
    if place < len(entries):
        inner, key, _ = entries[place]
        if inner > indent or (inner == indent and key == "-"):
            return _block(entries, place, inner)
    return None, place


def _list(entries: list[tuple[int, str, Any]], place: int, indent: int) -> tuple[list[Any], int]:
    items: list[Any] = []
    while place < len(entries) and entries[place][:2] == (indent, "-"):
        item, place = _block(entries, place + 1, indent + 2)
        items.append(item)
    return items, place
