"""Outlook: what all filters and scores say of all nodes for one kind of pod, kept up to date cheaply.

Pods that are alike share one Outlook. Placing a pod changes one row of the table, so the next pod of the kind costs one
row of work and one look for the maximum, not a pass over all nodes: that is where the scheduler's speed is. Only wide
plugins, whose answers one pod changes for many nodes, are asked anew each time, on counts that are only moved along.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from steersman.scheduler.census import Move
from steersman.scheduler.columns import ALL, Bools, Ints, Rows
from steersman.scheduler.framework import (
    MAX_SCORE,
    AnyFilter,
    Code,
    Filter,
    Normalize,
    Profile,
    Reasons,
    Score,
    Survey,
    WideFilter,
    WideScore,
    is_conflicting,
    is_narrowing,
)
from steersman.scheduler.nodetable import NodeTable
from steersman.scheduler.podinfo import PodInfo
from steersman.scheduler.surroundings import Surroundings

_UNFIT = -1

Questions = tuple[Any, ...]
"""The questions of a profile's wide plugins: filters, then scores; None where one has nothing to say."""


def questions_of(pod: PodInfo, profile: Profile, table: NodeTable, around: Surroundings) -> Questions:
    asked = [wide.question(pod, table, around) for _, wide in profile.sorted_filters if wide is not None]
    scored = [wide.score_question(pod, table, around) for _, wide in profile.sorted_scores if wide is not None]
    return (*asked, *scored)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The place of the filter that refuses a row, and why it does."""

    place: int
    reasons: Reasons


class Outlook:
    """Valid for one `table.version`; `refresh` follows the pods that came and went."""

    def __init__(self, pod: PodInfo, profile: Profile, table: NodeTable, around: Surroundings, questions: Questions) -> None:
        self.table = table
        self._version, self._around, self._around_version = table.version, around, around.version
        self._position = table.position
        self.filters: list[tuple[AnyFilter, Any]] = []
        self.only_rows: Bools | None = None
        self.narrowed_by: list[str] = []
        self.conflict: tuple[str, str] | None = None
        self._moving: list[tuple[int, Filter]] = []
        self._wide: list[tuple[int, WideFilter]] = []
        self._surveys: list[Survey] = []
        self._filter_surveys: list[Survey] = []
        asked = iter(questions)
        for plain, wide in profile.sorted_filters:
            if wide is not None and (question := next(asked)) is not None:
                self._add_wide(wide, wide.survey(question, pod, table, around))
            elif plain is not None and (needs := plain.prepare(pod)) is not None:
                self._add(plain, needs)
        self._scores: list[tuple[Score, Any]] = []
        self._wide_scores: list[tuple[WideScore, Survey]] = []
        for score, wide_score in profile.sorted_scores:
            if wide_score is not None and (question := next(asked)) is not None:
                survey = wide_score.score_survey(question, pod, table, around)
                self._surveys.append(survey)
                self._wide_scores.append((wide_score, survey))
            elif score is not None and (needs := score.prepare_score(pod)) is not None:
                self._scores.append((score, needs))
        self._moving_scores = [pair for pair in self._scores if pair[0].uses_pods]
        self._mobile = tuple(place for place, _ in (*self._moving, *self._wide))
        self.trials: dict[int, Any] = {}
        """What preemption found out about rows, by row: worth keeping for the next pod of the kind."""
        self.codes: list[Ints] = [plugin.filter(needs, table, ALL) for plugin, needs in self.filters]
        self._fixed_fits = self._steady()
        self._base = self.fits = self._passing(ALL)
        self._judge_wide()
        self._fixed, self._relative = self._fixed_scores()
        self._totals = self._scored(ALL)
        self._ranks: Ints = np.where(self._base, self._totals, _UNFIT)

    def refresh(self) -> bool:
        """Follow changes of pods. False if this can't be brought up to date: make a new one."""
        if self._version != self.table.version or (self._surveys and self._around_version != self._around.version):
            return False
        position = self.table.position
        if position == self._position:
            return True
        moves = self.table.moves_since(self._position)
        if moves is None:
            return False
        self._position = position
        for survey in self._surveys:
            for move in moves:
                survey.move(*move)
        self._follow(moves)
        self._judge_wide()
        return True

    def best(self, fits: Bools | None = None) -> Ints:
        """The rows with the highest total among those that fit (or the given ones of them); empty if none does."""
        ranks = self._ranks
        if self._wide or self._relative or self._wide_scores or fits is not None:
            fits = self.fits if fits is None else fits
            ranks = np.where(fits, ranks, _UNFIT)
            if self._relative or self._wide_scores:
                self._rank_among(ranks, fits)
        if not len(ranks):
            return np.zeros(0, np.int64)
        highest = ranks.max()
        return np.flatnonzero(ranks == highest) if highest > _UNFIT else np.zeros(0, np.int64)

    # --- experiments: what if other pods were on a row ---------------------------------------------------------------

    def suppose(self, row: int, pods: Sequence[PodInfo], sign: int) -> None:
        """Add pods to a row or take them off, for `refusal` to see; must be undone. `codes` and `fits` stay as they are."""
        for pod in pods:
            self.table.suppose(row, pod, sign)
            for survey in self._filter_surveys:
                survey.move(row, pod.group, pod.terms, sign)

    def refusal(self, row: int) -> Refusal | None:
        """What refuses the row as things are supposed to be; None if it fits."""
        place = self._refused_by(row)
        if place is None:
            return None
        plugin, needs = self.filters[place]
        return Refusal(place, plugin.reasons(needs, self.table, np.array([row])))

    def would_fit(self, row: int) -> bool:
        if not self._fixed_fits[row]:
            return False
        rows = np.array([row])
        moving = (self.filters[place] for place in self._mobile)
        return not any(plugin.filter(needs, self.table, rows)[0] for plugin, needs in moving)

    def stamp(self, row: int) -> int:
        """Changes whenever the answer for the row may: with the row's own pods, or with all pods if any filter is wide."""
        return self.table.position if self._wide else self.table.stamp(row)

    def _refused_by(self, row: int) -> int | None:
        rows = np.array([row])
        for place, (plugin, needs) in enumerate(self.filters):
            if plugin.filter(needs, self.table, rows)[0] if place in self._mobile else self.codes[place][row]:
                return place
        return None

    # --- what is refused -------------------------------------------------------------------------------------------

    def refused(self) -> Iterator[tuple[int, Ints]]:
        """For each filter that is the first to refuse some rows: its place and these rows."""
        left = np.ones(self.table.count, np.bool_) if self.only_rows is None else self.only_rows.copy()
        for place, codes in enumerate(self.codes):
            rows = np.flatnonzero(left & (codes != 0))
            if len(rows):
                yield place, rows
                left[rows] = False

    def code(self, row: int) -> Code:
        """What is said of a row: the code of the first filter that refuses it."""
        if self.only_rows is not None and not self.only_rows[row]:
            return Code.UNRESOLVABLE
        return next((Code(int(codes[row])) for codes in self.codes if codes[row]), Code.FITS)

    # --- inside ----------------------------------------------------------------------------------------------------

    def _add(self, plugin: Filter, needs: Any) -> None:
        if plugin.uses_pods:
            self._moving.append((len(self.filters), plugin))
        self.filters.append((plugin, needs))
        if not is_narrowing(plugin) or (names := plugin.narrow(needs)) is None:
            return
        if not names:
            self.conflict = (plugin.name, plugin.conflict())
        chosen = np.zeros(self.table.count, np.bool_)
        for name in names:
            if (row := self.table.row(name)) is not None:
                chosen[row] = True
        self.only_rows = chosen if self.only_rows is None else self.only_rows & chosen
        self.narrowed_by.append(plugin.name)

    def _add_wide(self, plugin: WideFilter, survey: Survey) -> None:
        self._wide.append((len(self.filters), plugin))
        self._surveys.append(survey)
        self._filter_surveys.append(survey)
        self.filters.append((plugin, survey))
        if is_conflicting(plugin) and self.conflict is None and (why := plugin.conflict_of(survey)):
            self.conflict = (plugin.name, why)

    def _follow(self, moves: Sequence[Move]) -> None:
        rows = np.array([moves[0].row] if len(moves) == 1 else sorted({move.row for move in moves}), np.int64)
        for place, plugin in self._moving:
            self.codes[place][rows] = plugin.filter(self.filters[place][1], self.table, rows)
        passing, totals = self._passing(rows), self._scored(rows)
        self._base[rows] = passing
        self._totals[rows] = totals
        self._ranks[rows] = np.where(passing, totals, _UNFIT)

    def _judge_wide(self) -> None:
        """`fits` is `_base` itself where there is no wide filter."""
        fits = self._base
        for place, plugin in self._wide:
            self.codes[place] = plugin.filter(self.filters[place][1], self.table, ALL)
            fits = fits & (self.codes[place] == 0)
        self.fits = fits

    def _steady(self) -> Bools:
        """What the filters say that only nodes change."""
        passing: Bools = np.ones(self.table.count, np.bool_) if self.only_rows is None else self.only_rows.copy()
        for place, codes in enumerate(self.codes):
            if place not in self._mobile:
                passing &= codes == 0
        return passing

    def _passing(self, rows: Rows) -> Bools:
        """What all filters but the wide ones say."""
        passing = self._fixed_fits[rows].copy()
        for place, _ in self._moving:
            passing &= self.codes[place][rows] == 0
        return passing

    def _fixed_scores(self) -> tuple[Ints, list[tuple[Score, Ints]]]:
        """The sum of absolute scores that only nodes change, and those that depend on which other nodes fit."""
        fixed = np.zeros(self.table.count, np.int64)
        relative: list[tuple[Score, Ints]] = []
        for plugin, needs in self._scores:
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

    def _rank_among(self, ranks: Ints, fits: Bools) -> None:
        """Add the scores that depend on which other nodes fit."""
        for plugin, raw in self._relative:
            ranks += plugin.weight * _normalized(plugin.normalize, raw, fits)
        for wide, survey in self._wide_scores:
            ranks += wide.weight * wide.wide_score(survey, fits)
        ranks[~fits] = _UNFIT


def _normalized(how: Normalize, raw: Ints, fits: Bools) -> Ints:
    """0 … 100, relative to the highest raw score of a node that fits."""
    highest = int(raw[fits].max(initial=0))
    if highest == 0:
        return np.full(len(raw), MAX_SCORE if how is Normalize.REVERSED else 0, np.int64)
    scaled: Ints = MAX_SCORE * raw // highest
    return MAX_SCORE - scaled if how is Normalize.REVERSED else scaled
