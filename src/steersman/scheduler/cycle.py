"""One scheduling decision: a pod and the node table in, a node or the reasons against all nodes out. Pure but for its dice.

Unlike upstream every node is looked at, always (no sampling): the choice is the best there is, ties broken by chance.
Source of the message's form: upstream FitError.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np

from steersman.machinery.meta import controller_of
from steersman.scheduler.columns import Bools
from steersman.scheduler.framework import Profile, Reasons
from steersman.scheduler.nodetable import NodeTable
from steersman.scheduler.nominations import Nominations
from steersman.scheduler.outlook import Outlook, Questions, Refusal, questions_of
from steersman.scheduler.podinfo import PodInfo
from steersman.scheduler.preemption import Attempt, Decision, told
from steersman.scheduler.surroundings import Surroundings
from steersman.scheduler.volumes import Plan

_OUTLOOKS_KEPT = 128
_QUESTIONS_KEPT = 10_000

NO_NODES = "no nodes available to schedule pods"
NO_CLAIMS = "no new claims to deallocate"
"""What the DynamicResources plugin says of every pod that preemption does not help: it is asked before."""


@dataclass(frozen=True, slots=True)
class Placed:
    """`plan`: what must come true before the binding."""

    node: str
    plan: Plan | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """`plugins`: whose changed mind could help. `decision`: what preemption makes of it."""

    message: str
    plugins: frozenset[str]
    decision: Decision


class Cycle:
    """Decides for one profile over one table."""

    def __init__(
        self,
        profile: Profile,
        table: NodeTable,
        rng: random.Random,
        around: Surroundings | None = None,
        nominations: Nominations | None = None,
    ) -> None:
        self._profile, self._table, self._rng = profile, table, rng
        self._around = around if around is not None else Surroundings()
        self._nominations = nominations if nominations is not None else Nominations()
        self._outlooks: OrderedDict[Hashable, Outlook] = OrderedDict()
        self._questions: dict[Hashable, Questions] = {}
        self._questions_of: tuple[int, int] = (-1, -1)

    def schedule(self, pod: PodInfo) -> Placed | Rejected:
        """Does not count the pod on the node: that is the caller's assumption to make."""
        if self._table.count == 0:
            # Whatever kept it from having a node, a node is what it waits for.
            return Rejected(NO_NODES, frozenset(plugin.name for plugin in self._profile.filters), Decision(node=""))
        outlook = self._outlook(pod)
        if outlook.conflict is not None:
            plugin, reason = outlook.conflict
            message = f"0/{self._table.count} nodes are available: {reason}."
            return self._rejected(pod, outlook, message, frozenset((plugin,)), {})
        barred = self._barred(pod, outlook)
        fits: Bools | None = None
        if barred:
            fits = outlook.fits.copy()
            fits[list(barred)] = False
        if (nominated := self._nominated(pod, outlook.fits if fits is None else fits)) is not None:
            return self._placed(pod, nominated)
        best = outlook.best(fits)
        if not len(best):
            return self._rejected(pod, outlook, *_explained(outlook, barred), barred)
        row = best[self._rng.randrange(len(best))] if len(best) > 1 else best[0]
        return self._placed(pod, self._table.name(int(row)))

    def _placed(self, pod: PodInfo, node: str) -> Placed:
        pre_bind = self._profile.pre_bind
        return Placed(node, pre_bind.plan(pod, node, self._table, self._around) if pre_bind is not None else None)

    def _outlook(self, pod: PodInfo) -> Outlook:
        questions = self._asked(pod)
        key = (pod.signature, questions)
        outlook = self._outlooks.get(key)
        if outlook is None or not outlook.refresh():
            outlook = self._outlooks[key] = Outlook(pod, self._profile, self._table, self._around, questions)
            if len(self._outlooks) > _OUTLOOKS_KEPT:
                self._outlooks.popitem(last=False)
        self._outlooks.move_to_end(key)
        return outlook

    def _asked(self, pod: PodInfo) -> Questions:
        """What wide plugins want to know for this pod, worked out once for pods that are alike."""
        state = (self._around.version, self._table.census.terms_version)
        if state != self._questions_of or len(self._questions) > _QUESTIONS_KEPT:
            self._questions.clear()
            self._questions_of = state
        owner = controller_of(pod.obj)
        key = (pod.signature, pod.group, owner["uid"] if owner is not None else "")
        found = self._questions.get(key)
        if found is None:
            found = self._questions[key] = questions_of(pod, self._profile, self._table, self._around)
        return found

    def _barred(self, pod: PodInfo, outlook: Outlook) -> dict[int, Refusal]:
        """Rows where the pod fits only as long as pods nominated there have not come, and what is then in its way."""
        barred: dict[int, Refusal] = {}
        for node, ahead in self._nominations.ahead_of(pod):
            row = self._table.row(node)
            if row is None or not outlook.fits[row]:
                continue
            outlook.suppose(row, ahead, 1)
            refusal = outlook.refusal(row)
            outlook.suppose(row, ahead, -1)
            if refusal is not None:
                barred[row] = refusal
        return barred

    def _nominated(self, pod: PodInfo, fits: Bools) -> str | None:
        """A node promised to the pod (status.nominatedNodeName) is taken if it fits, whatever its score."""
        name = self._nominations.node_of(pod.uid) or (pod.obj.get("status") or {}).get("nominatedNodeName")
        row = self._table.row(name) if name else None
        return name if row is not None and fits[row] else None

    def _rejected(
        self, pod: PodInfo, outlook: Outlook, message: str, plugins: frozenset[str], barred: Mapping[int, Refusal]
    ) -> Rejected:
        if self._profile.post_filter is None:
            return Rejected(message, plugins, Decision(node=""))
        start = self._rng.randrange(self._table.count)
        attempt = Attempt(outlook, barred, self._nominations, self._around, start)
        decision = self._profile.post_filter.post_filter(pod, attempt)
        return Rejected(f"{message} {NO_CLAIMS}, {decision.message}" if decision.message else message, plugins, decision)


def _explained(outlook: Outlook, barred: Mapping[int, Refusal]) -> tuple[str, frozenset[str]]:
    """The message and the plugins it names. Each node counts under all reasons of its first failing plugin."""
    counts, plugins = Reasons(), set[str]()
    if outlook.only_rows is not None and not outlook.only_rows.all():
        names = outlook.narrowed_by
        listed = f"[{' '.join(names)}] simultaneously" if len(names) > 1 else f"[{names[0]}]"
        counts[f"node(s) didn't satisfy plugin(s) {listed}"] = int(np.count_nonzero(~outlook.only_rows))
        plugins.update(names)
    for place, rows in outlook.refused():
        plugin, needs = outlook.filters[place]
        plugins.add(plugin.name)
        counts += plugin.reasons(needs, outlook.table, rows)
    for refusal in barred.values():
        plugins.add(outlook.filters[refusal.place][0].name)
        counts += refusal.reasons
    return told(outlook.table.count, counts), frozenset(plugins)
