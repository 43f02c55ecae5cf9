"""Text columns as Go's text/tabwriter aligns them: what `describe` and other upstream tables are laid out with.

A cell ends with a tab; what follows the last tab of a line is no cell and aligns nothing. A column is a run of neighbouring lines
that have such a cell, and is as wide as its widest. So a line without a tab ends every column above it.

Not here: tables that the server makes (output/table.py has its own rules for them).
"""

from __future__ import annotations

import re

_CELL_ENDS = re.compile(r"[\t\v]")


def align(text: str, *, min_width: int = 0, padding: int = 2, remembered: list[int] | None = None) -> str:
    """`text` with its tabs replaced by spaces. Widths count characters, as Go counts runes; cells are never cut.

    `remembered` are the widths that columns have had so far, which they keep as their least: it is read and written.

    >>> align("a\\tb\\nlong\\tc\\n")
    'a     b\\nlong  c\\n'
    """
    lines = [_CELL_ENDS.split(line) for line in re.split(r"[\n\f]", text)]
    widths: list[list[int]] = [[] for _ in lines]
    deepest = max(len(line) for line in lines) - 1
    for column in range(deepest):
        start = 0
        while start < len(lines):
            end = start
            while end < len(lines) and len(lines[end]) > column + 1:
                end += 1
            if end > start:
                least = remembered[column] if remembered is not None and column < len(remembered) else min_width
                width = max(least, *(len(line[column]) + padding for line in lines[start:end]))
                if remembered is not None:
                    remembered[column : column + 1] = [width]
                for place in range(start, end):
                    widths[place].append(width)
            start = end + 1
    return "\n".join(_joined(line, wide) for line, wide in zip(lines, widths, strict=True))


class Table:
    """The columns that upstream prints tables of its own with: wider apart, and as wide as they ever were."""

    def __init__(self) -> None:
        self._widths: list[int] = []

    def align(self, text: str) -> str:
        return align(text, min_width=6, padding=3, remembered=self._widths)


def _joined(cells: list[str], widths: list[int]) -> str:
    return "".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=False)) + cells[-1]
