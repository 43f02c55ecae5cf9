"""Building blocks of the node table: growing number columns, and label columns that hold codes in place of strings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Rows: TypeAlias = slice | Ints
"""Which nodes: all of them (ALL) or those of the given row numbers."""

ALL = slice(None)
ABSENT = -1


def grown(column: npt.NDArray[np.int64], capacity: int, fill: int = 0) -> Ints:
    """A larger copy of a column."""
    larger = np.full(capacity, fill, dtype=np.int64)
    larger[: len(column)] = column
    return larger


class Dictionary:
    """Numbers for values, in order of first appearance."""

    def __init__(self) -> None:
        self.values: list[object] = []
        self._codes: dict[object, int] = {}

    def code(self, value: object) -> int:
        """The value's number, made if new."""
        code = self._codes.get(value)
        if code is None:
            code = self._codes[value] = len(self.values)
            self.values.append(value)
        return code

    def find(self, value: object) -> int:
        """The value's number; ABSENT if no row ever had it."""
        return self._codes.get(value, ABSENT)


class LabelColumn:
    """The codes of one label key's values, ABSENT where a node lacks the key."""

    def __init__(self, capacity: int) -> None:
        self.codes: Ints = np.full(capacity, ABSENT, dtype=np.int64)
        self.dictionary = Dictionary()


class LabelColumns:
    """One LabelColumn per key that any node has had."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._columns: dict[str, LabelColumn] = {}

    def column(self, key: str) -> LabelColumn | None:
        return self._columns.get(key)

    def set(self, row: int, old: Mapping[str, str], new: Mapping[str, str]) -> None:
        for key in old.keys() - new.keys():
            self._columns[key].codes[row] = ABSENT
        for key, value in new.items():
            column = self._columns.get(key)
            if column is None:
                column = self._columns[key] = LabelColumn(self._capacity)
            column.codes[row] = column.dictionary.code(value)

    def grow(self, capacity: int) -> None:
        self._capacity = capacity
        for column in self._columns.values():
            column.codes = grown(column.codes, capacity, ABSENT)

    def move(self, source: int, target: int) -> None:
        """Row `source` becomes row `target`; `source` is empty afterwards."""
        for column in self._columns.values():
            column.codes[target] = column.codes[source]
            column.codes[source] = ABSENT
