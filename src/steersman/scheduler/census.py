"""Which pods are where, as selectors see it: how many of each group on each node, and who carries which affinity term.

It lets plugins that look at other pods begin without going through all of them; from then on they follow the moves.
Pods on nodes that are not known are not counted. Pure; kept by the node table.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

from steersman.scheduler.relations import Group, RoleTerm, Terms

_K = TypeVar("_K")


class Move(NamedTuple):
    """A pod came to a row (sign 1) or went from it (−1)."""

    row: int
    group: Group
    terms: Terms
    sign: int


class Census:
    """Numbers by node name. `terms_version` grows when a term is new or no pod has it any more."""

    def __init__(self) -> None:
        self.groups: dict[Group, dict[str, int]] = {}
        self.terms: dict[RoleTerm, dict[str, int]] = {}
        self.terms_version = 0

    def count(self, node: str, group: Group, terms: Terms, sign: int) -> None:
        _count(self.groups, group, node, sign)
        for item in terms.all:
            known = len(self.terms)
            _count(self.terms, item, node, sign)
            if len(self.terms) != known:
                self.terms_version += 1


def _count(index: dict[_K, dict[str, int]], key: _K, node: str, sign: int) -> None:
    by_node = index.get(key)
    if by_node is None:
        by_node = index[key] = {}
    number = by_node.get(node, 0) + sign
    if number:
        by_node[node] = number
        return
    del by_node[node]
    if not by_node:
        del index[key]
