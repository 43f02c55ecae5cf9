"""Topology domains: the nodes sorted by the value of one label, as numbers to count by."""

from __future__ import annotations

import numpy as np

from steersman.scheduler.columns import ABSENT, Bools, Ints
from steersman.scheduler.nodetable import NodeTable


class Domains:
    """Domains 0 … count−1 are the values that some of the `among` rows have. Rows with another value are in domain
    `count` (elsewhere), rows without the label in `count` + 1 (nowhere): arrays of `size` can be indexed with `of_row`.
    """

    def __init__(self, table: NodeTable, key: str, among: Bools | None = None) -> None:
        codes, column = table.label_codes(key), table.labels.column(key)
        if codes is None or column is None:
            codes, known = np.full(table.count, ABSENT, np.int64), 0
        else:
            known = len(column.dictionary.values)
        self.labelled: Bools = codes != ABSENT
        chosen = self.labelled if among is None else self.labelled & among
        values = np.unique(codes[chosen])
        self.count = len(values)
        self.elsewhere, self.nowhere, self.size = self.count, self.count + 1, self.count + 2
        # One more at the end: what ABSENT (−1) finds.
        number = np.full(known + 1, self.elsewhere, np.int64)
        number[values] = np.arange(self.count)
        number[ABSENT] = self.nowhere
        self.of_row: Ints = number[codes]

    def zeros(self) -> Ints:
        return np.zeros(self.size, np.int64)
