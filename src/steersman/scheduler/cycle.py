"""One scheduling decision: a pod and the node table in, a node or the reasons against all nodes out. Pure but for its dice.

Unlike upstream every node is looked at, always (no sampling): the choice is the best there is, ties broken by chance.
Source of the message's form: upstream FitError.
"""

from __future__ import annotations

import random
from collections import Counter, OrderedDict
from dataclasses import dataclass

import numpy as np

from steersman.scheduler.framework import Profile
from steersman.scheduler.nodetable import NodeTable
from steersman.scheduler.outlook import Outlook
from steersman.scheduler.podinfo import PodInfo

_OUTLOOKS_KEPT = 64

NO_NODES = "no nodes available to schedule pods"


@dataclass(frozen=True, slots=True)
class Placed:
    node: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """`plugins`: whose changed mind could help."""

    message: str
    plugins: frozenset[str]


class Cycle:
    """Decides for one profile over one table."""

    def __init__(self, profile: Profile, table: NodeTable, rng: random.Random) -> None:
        self._profile, self._table, self._rng = profile, table, rng
        self._outlooks: OrderedDict[bytes, Outlook] = OrderedDict()

    def schedule(self, pod: PodInfo) -> Placed | Rejected:
        """Does not count the pod on the node: that is the caller's assumption to make."""
        if self._table.count == 0:
            # Whatever kept it from having a node, a node is what it waits for.
            return Rejected(NO_NODES, frozenset(plugin.name for plugin in self._profile.filters))
        outlook = self._outlook(pod)
        if outlook.conflict is not None:
            plugin, reason = outlook.conflict
            return Rejected(f"0/{self._table.count} nodes are available: {reason.text}.", frozenset((plugin,)))
        if (nominated := self._nominated(pod, outlook)) is not None:
            return Placed(nominated)
        best = outlook.best()
        if not len(best):
            return explain(outlook)
        row = best[self._rng.randrange(len(best))] if len(best) > 1 else best[0]
        return Placed(self._table.name(int(row)))

    def _outlook(self, pod: PodInfo) -> Outlook:
        outlook = self._outlooks.get(pod.signature)
        if outlook is None or not outlook.refresh():
            outlook = self._outlooks[pod.signature] = Outlook(pod, self._profile, self._table)
            if len(self._outlooks) > _OUTLOOKS_KEPT:
                self._outlooks.popitem(last=False)
        self._outlooks.move_to_end(pod.signature)
        return outlook

    def _nominated(self, pod: PodInfo, outlook: Outlook) -> str | None:
        """A node promised to the pod (status.nominatedNodeName) is taken if it fits, whatever its score."""
        name = (pod.obj.get("status") or {}).get("nominatedNodeName")
        row = self._table.row(name) if name else None
        return name if row is not None and outlook.fits[row] else None


def explain(outlook: Outlook) -> Rejected:
    """Each node counts under all reasons of its first failing plugin."""
    counts: Counter[str] = Counter()
    plugins: set[str] = set()
    left = np.ones(outlook.table.count, np.bool_)
    if outlook.only_rows is not None and not outlook.only_rows.all():
        names = outlook.narrowed_by
        listed = f"[{' '.join(names)}] simultaneously" if len(names) > 1 else f"[{names[0]}]"
        counts[f"node(s) didn't satisfy plugin(s) {listed}"] = int(np.count_nonzero(~outlook.only_rows))
        plugins.update(names)
        left = outlook.only_rows.copy()
    for (plugin, needs), bits in zip(outlook.filters, outlook.failures, strict=True):
        failing = bits[left]
        if failing.any():
            plugins.add(plugin.name)
            for place, reason in enumerate(plugin.reasons(needs)):
                if number := int(np.count_nonzero(failing & (1 << place))):
                    counts[reason.text] += number
            left &= bits == 0
    told = ", ".join(sorted(f"{number} {text}" for text, number in counts.items()))
    return Rejected(f"0/{outlook.table.count} nodes are available: {told}.", frozenset(plugins))
