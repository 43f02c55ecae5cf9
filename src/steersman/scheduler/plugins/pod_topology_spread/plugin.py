"""PodTopologySpread at the scheduler's extension points. Source: KEP-895; upstream plugins/podtopologyspread."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from steersman.machinery.labels import nothing
from steersman.scheduler.columns import Bools, Ints, Rows
from steersman.scheduler.framework import Code, Happening, Hint, Reasons
from steersman.scheduler.nodetable import NodeTable
from steersman.scheduler.plugins.pod_topology_spread import hints
from steersman.scheduler.plugins.pod_topology_spread.filtering import FilterSurvey
from steersman.scheduler.plugins.pod_topology_spread.question import HOSTNAME, Question
from steersman.scheduler.plugins.pod_topology_spread.scoring import ScoreSurvey
from steersman.scheduler.podinfo import PodInfo
from steersman.scheduler.relations import Constraint
from steersman.scheduler.surroundings import Surroundings

SYSTEM_DEFAULTS = (
    Constraint(HOSTNAME, 3, False, nothing()),
    Constraint("topology.kubernetes.io/zone", 5, False, nothing()),
)
"""For pods that have no constraints but are selected by a Service or a controller (defaultingType System)."""


class PodTopologySpread:
    """`defaults`: instead of the system's (defaultingType List); their selectors are made per pod."""

    name = "PodTopologySpread"
    weight = 2

    def __init__(self, defaults: tuple[Constraint, ...] | None = None) -> None:
        self._defaults = SYSTEM_DEFAULTS if defaults is None else defaults
        self._system = defaults is None

    def question(self, pod: PodInfo, table: NodeTable, around: Surroundings) -> Question | None:
        return self._question(pod, around, hard=True)

    def survey(self, question: Question, pod: PodInfo, table: NodeTable, around: Surroundings) -> FilterSurvey:
        return FilterSurvey(question, pod, table)

    def filter(self, needs: FilterSurvey, table: NodeTable, rows: Rows) -> Ints:
        return needs.codes(rows)

    def reasons(self, needs: FilterSurvey, table: NodeTable, rows: Ints) -> Reasons:
        text = "node(s) didn't match pod topology spread constraints"
        lacking = int(np.count_nonzero(needs.codes(rows) == Code.UNRESOLVABLE))
        return Reasons({text: len(rows) - lacking, f"{text} (missing required label)": lacking})

    def score_question(self, pod: PodInfo, table: NodeTable, around: Surroundings) -> Question | None:
        return self._question(pod, around, hard=False)

    def score_survey(self, question: Question, pod: PodInfo, table: NodeTable, around: Surroundings) -> ScoreSurvey:
        return ScoreSurvey(question, pod, table)

    def wide_score(self, survey: ScoreSurvey, fits: Bools) -> Ints:
        return survey.score(fits)

    def hints(self) -> Mapping[Happening, Hint]:
        return hints.HINTS

    def _question(self, pod: PodInfo, around: Surroundings, *, hard: bool) -> Question | None:
        constraints = tuple(item for item in pod.constraints if item.hard is hard)
        if not pod.constraints:
            constraints = self._defaults_for(pod, around, hard)
        if not constraints:
            return None
        matches_self = tuple(item.selector.matches(pod.group.labels) for item in constraints)
        all_keys = bool(pod.constraints) or not self._system
        return Question(pod.group.namespace, constraints, matches_self, all_keys)

    def _defaults_for(self, pod: PodInfo, around: Surroundings, hard: bool) -> tuple[Constraint, ...]:
        defaults = [item for item in self._defaults if item.hard is hard]
        selector = around.selecting(pod) if defaults else None
        if selector is None or selector.empty:
            return ()
        return tuple(
            Constraint(item.topology_key, item.max_skew, hard, selector, item.min_domains, item.honor_affinity, item.honor_taints)
            for item in defaults
        )
