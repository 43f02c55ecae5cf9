"""Tables that the server made (meta.k8s.io/v1 Table), laid out as `kubectl get` shows them.

Which columns there are and what stands in them is the server's business; here it is decided which are shown, and the columns that
kubectl adds (namespace, labels, kind prefix). Not here: asking for tables, sorting them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from steersman.machinery import govalues
from steersman.machinery.meta import Obj

_MIN_WIDTH, _PADDING = 6, 3
_NONE = "<none>"
_BREAK = re.compile("[\f\n\r]")


@dataclass(frozen=True, slots=True)
class TableOptions:
    """`kind`: `deployment.apps`, shown before the names if not empty."""

    wide: bool = False
    no_headers: bool = False
    with_namespace: bool = False
    kind: str = ""
    show_labels: bool = False
    label_columns: Sequence[str] = ()


class TablePrinter:
    """Headers come once, and again when the columns change. Column widths never shrink from one table to the next (watches)."""

    def __init__(self, options: TableOptions) -> None:
        self._options = options
        self._shown: list[str] = []
        self._widths: list[int] = []

    def print(self, obj: Obj, out: TextIO) -> None:
        """`obj` is a Table whose rows hold at least PartialObjectMetadata."""
        rows = self.rows(obj)
        if rows:
            text, self._widths = _laid_out(rows, self._widths)
            out.write(text)

    def rows(self, table: Obj) -> list[list[str]]:
        """The cells as shown; the first row is the headers, unless they have been there already."""
        definitions, contents = _decorated(table, self._options)
        if not contents:
            return []
        kept = [index for index, item in enumerate(definitions) if self._options.wide or not item.get("priority")]
        headers = [str(definitions[index].get("name") or "").upper() for index in kept]
        shown = [] if headers == self._shown or self._options.no_headers else [headers]
        if headers != self._shown:
            self._shown, self._widths = headers, []
        return shown + [[_text(cells[index]) if index < len(cells) else "" for index in kept] for cells in contents]


def layout(rows: Sequence[Sequence[str]]) -> str:
    """Rows as kubectl's columns: at least six wide, three spaces between.

    A line break in a cell ends the columns before it. Those that begin below are no narrower than the same columns above.
    """
    lines = [line.split("\t") for line in "\n".join("\t".join(row) for row in rows).split("\n")]
    widths: list[list[int]] = [[] for _ in lines]
    for column in range(max(map(len, lines)) - 1):
        width, start = _MIN_WIDTH, 0
        while start < len(lines):
            end = start
            while end < len(lines) and len(lines[end]) > column + 1:
                end += 1
            width = max([width, *(len(line[column]) + _PADDING for line in lines[start:end])])
            for wide in widths[start:end]:
                wide.append(width)
            start = end + 1
    return "".join(_joined(line, wide) + "\n" for line, wide in zip(lines, widths)) if rows else ""


def safe(text: str) -> str:
    """Without what would steer a terminal."""
    return text.replace("\x1b", "^[").replace("\r", "\\r")


def _laid_out(rows: list[list[str]], widths: list[int]) -> tuple[str, list[int]]:
    count = max(len(row) for row in rows) - 1
    found = [
        max([_MIN_WIDTH, *(len(row[index]) + _PADDING for row in rows), *widths[index : index + 1]]) for index in range(count)
    ]
    return "".join(_joined(row, found) + "\n" for row in rows), found


def _joined(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(cell.ljust(width) for cell, width in zip(cells, widths)) + cells[-1]


def _decorated(table: Obj, options: TableOptions) -> tuple[list[Obj], list[list[Any]]]:
    """Column definitions and cells, with the columns that kubectl adds."""
    definitions: list[Obj] = list(table.get("columnDefinitions") or ())
    place = -1
    if options.kind:
        places = (i for i, item in enumerate(definitions) if item.get("format") == "name" and item.get("type") == "string")
        place = next(places, -1)
    contents: list[list[Any]] = []
    for row in table.get("rows") or ():
        cells = list(row.get("cells") or ())
        metadata = (row.get("object") or {}).get("metadata") or {}
        labels = metadata.get("labels") or {}
        if 0 <= place < len(cells):
            cells[place] = f"{options.kind}/{_text(cells[place])}"
        if options.with_namespace:
            cells.insert(0, str(metadata.get("namespace") or ""))
        cells += [labels.get(key, "") for key in options.label_columns]
        if options.show_labels:
            cells.append(",".join(f"{key}={labels[key]}" for key in sorted(labels)) or _NONE)
        contents.append(cells)
    if options.with_namespace:
        definitions.insert(0, {"name": "Namespace"})
    definitions += [{"name": key.rpartition("/")[2]} for key in options.label_columns]
    if options.show_labels:
        definitions.append({"name": "Labels"})
    return definitions, contents


def _text(cell: Any) -> str:
    """One line of it: what comes after a line break is left out."""
    if cell is None:
        return ""
    if not isinstance(cell, str):
        return safe(govalues.plain(cell))
    lines = _BREAK.split(cell, maxsplit=1)
    return safe(lines[0]) + ("..." if len(lines) > 1 else "")
