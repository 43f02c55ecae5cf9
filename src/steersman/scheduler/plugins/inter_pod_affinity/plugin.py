"""InterPodAffinity at the scheduler's extension points. Source: upstream plugins/interpodaffinity; KEP-2249 (namespaces)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from steersman.scheduler.columns import Bools, Ints, Rows
from steersman.scheduler.framework import Code, Happening, Hint, Reasons
from steersman.scheduler.nodetable import NodeTable
from steersman.scheduler.plugins.inter_pod_affinity import filtering, hints, scoring
from steersman.scheduler.podinfo import PodInfo
from steersman.scheduler.surroundings import Surroundings

_CODES = np.array([Code.FITS, Code.UNRESOLVABLE, Code.UNSCHEDULABLE, Code.UNSCHEDULABLE], np.int64)
_TEXTS = {
    filtering.NOT_NEAR: "node(s) didn't match pod affinity rules",
    filtering.TOO_NEAR: "node(s) didn't match pod anti-affinity rules",
    filtering.UNWANTED: "node(s) didn't satisfy existing pods anti-affinity rules",
}


class InterPodAffinity:
    """`hard_pod_affinity_weight`: how much the required affinity of pods that are there draws those they mean."""

    name = "InterPodAffinity"
    weight = 2

    def __init__(self, hard_pod_affinity_weight: int = 1, ignore_preferred_terms_of_existing_pods: bool = False) -> None:
        self._hard_weight, self._ignore_theirs = hard_pod_affinity_weight, ignore_preferred_terms_of_existing_pods

    def question(self, pod: PodInfo, table: NodeTable, around: Surroundings) -> filtering.Question | None:
        return filtering.question_of(pod.terms, pod.group, table.census, around.namespaces)

    def survey(
        self, question: filtering.Question, pod: PodInfo, table: NodeTable, around: Surroundings
    ) -> filtering.FilterSurvey:
        return filtering.FilterSurvey(question, table, around.namespaces)

    def filter(self, needs: filtering.FilterSurvey, table: NodeTable, rows: Rows) -> Ints:
        return _CODES[needs.judge(rows)]

    def reasons(self, needs: filtering.FilterSurvey, table: NodeTable, rows: Ints) -> Reasons:
        wrong = needs.judge(rows)
        return Reasons({text: int(np.count_nonzero(wrong == name)) for name, text in _TEXTS.items()})

    def score_question(self, pod: PodInfo, table: NodeTable, around: Surroundings) -> scoring.Question | None:
        return scoring.question_of(pod.terms, pod.group, table.census, around.namespaces, self._hard_weight, self._ignore_theirs)

    def score_survey(
        self, question: scoring.Question, pod: PodInfo, table: NodeTable, around: Surroundings
    ) -> scoring.ScoreSurvey:
        return scoring.ScoreSurvey(question, table, around.namespaces, self._hard_weight)

    def wide_score(self, survey: scoring.ScoreSurvey, fits: Bools) -> Ints:
        return survey.score(fits)

    def hints(self) -> Mapping[Happening, Hint]:
        return hints.HINTS
