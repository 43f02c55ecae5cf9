"""Outlook: what all filters and scores say of all nodes for one kind of pod, kept up to date cheaply.

Pods with equal signatures share one Outlook. Placing a pod changes one row of the table, so the next pod of the kind
costs one row of work and one look for the maximum, not a pass over all nodes: that is where the scheduler's speed is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from steersman.scheduler.columns import ALL, Bools, Ints, Rows
from steersman.scheduler.framework import MAX_SCORE, Filter, Narrowing, Normalize, Profile, Reason, Score
from steersman.scheduler.nodetable import NodeTable
from steersman.scheduler.podinfo import PodInfo

_UNFIT = -1


class Outlook:
    """Valid for one `table.version`; `refresh` follows the pods that came and went."""

    def __init__(self, pod: PodInfo, profile: Profile, table: NodeTable) -> None:
        self.table = table
        self.version = table.version
        self._position = table.position
        self.filters: list[tuple[Filter, Any]] = []
        self.only_rows: Bools | None = None
        self.narrowed_by: list[str] = []
        self.conflict: tuple[str, Reason] | None = None
        for plugin in profile.filters:
            if (needs := plugin.prepare(pod)) is not None:
                self.filters.append((plugin, needs))
                self._narrow(plugin, needs)
        scores = [(plugin, needs) for plugin in profile.scores if (needs := plugin.prepare_score(pod)) is not None]
        self._moving_filters = [(place, *pair) for place, pair in enumerate(self.filters) if pair[0].uses_pods]
        self._moving_scores = [pair for pair in scores if pair[0].uses_pods]
        self.failures: list[Ints] = [plugin.filter(needs, table, ALL) for plugin, needs in self.filters]
        self.fits = self._fitting(ALL)
        self._fixed, self._relative = self._fixed_scores(scores)
        self._totals = self._scored(ALL)
        self._ranks: Ints = np.where(self.fits, self._totals, _UNFIT)

    def refresh(self) -> bool:
        """Follow changes of pods. False if this can't be brought up to date: make a new one."""
        if self.version != self.table.version:
            return False
        position = self.table.position
        if position == self._position:
            return True
        rows = self.table.rows_changed_since(self._position)
        if rows is None:
            return False
        self._position = position
        for place, plugin, needs in self._moving_filters:
            self.failures[place][rows] = plugin.filter(needs, self.table, rows)
        fits = self._fitting(rows)
        totals = self._scored(rows)
        self.fits[rows] = fits
        self._totals[rows] = totals
        self._ranks[rows] = np.where(fits, totals, _UNFIT)
        return True

    def best(self) -> Ints:
        """The rows with the highest total among those that fit; empty if none fits."""
        ranks = self._ranks
        if self._relative:
            ranks = ranks.copy()
            for plugin, raw in self._relative:
                ranks += plugin.weight * _normalized(plugin.normalize, raw, self.fits)
            ranks[~self.fits] = _UNFIT
        if not len(ranks):
            return np.zeros(0, np.int64)
        highest = ranks.max()
        return np.flatnonzero(ranks == highest) if highest > _UNFIT else np.zeros(0, np.int64)

    def _narrow(self, plugin: Filter, needs: Any) -> None:
        if not isinstance(plugin, Narrowing) or (names := plugin.narrow(needs)) is None:
            return
        if not names:
            self.conflict = (plugin.name, plugin.conflict())
        chosen = np.zeros(self.table.count, np.bool_)
        for name in names:
            if (row := self.table.row(name)) is not None:
                chosen[row] = True
        self.only_rows = chosen if self.only_rows is None else self.only_rows & chosen
        self.narrowed_by.append(plugin.name)

    def _fitting(self, rows: Rows) -> Bools:
        fits: Bools = np.ones(self.table.size_of(rows), np.bool_) if self.only_rows is None else self.only_rows[rows].copy()
        for bits in self.failures:
            fits &= bits[rows] == 0
        return fits

    def _fixed_scores(self, scores: Sequence[tuple[Score, Any]]) -> tuple[Ints, list[tuple[Score, Ints]]]:
        """The sum of absolute scores that only nodes change, and those that depend on which other nodes fit."""
        fixed = np.zeros(self.table.count, np.int64)
        relative: list[tuple[Score, Ints]] = []
        for plugin, needs in scores:
            if plugin.uses_pods:
                continue
            raw = plugin.score(needs, self.table, ALL)
            if plugin.normalize is Normalize.NONE:
                fixed += plugin.weight * raw
            elif raw.any():
                # All zero would give every node the same.
                relative.append((plugin, raw))
        return fixed, relative

    def _scored(self, rows: Rows) -> Ints:
        totals = self._fixed[rows].copy()
        for plugin, needs in self._moving_scores:
            totals += plugin.weight * plugin.score(needs, self.table, rows)
        return totals


def _normalized(how: Normalize, raw: Ints, fits: Bools) -> Ints:
    """0 … 100, relative to the highest raw score of a node that fits."""
    highest = int(raw[fits].max(initial=0))
    if highest == 0:
        return np.full(len(raw), MAX_SCORE if how is Normalize.REVERSED else 0, np.int64)
    scaled: Ints = MAX_SCORE * raw // highest
    return MAX_SCORE - scaled if how is Normalize.REVERSED else scaled
