"""The same command line through upstream's kubectl and through ours, while nothing happens in between."""

from __future__ import annotations

import re

from tests.e2e.harness import Cluster

_TRIES, _WITH_AGES = 20, 5
_AGES = ((r"\b(AGE|LAST SEEN|DURATION|FIRST SEEN) +", r"\1 "), (r"(?<![^\s(])(\d+[smhdy]){1,2}(?![^\s)]) *", "SOME-TIME "))
"""How long ago things were, which moves what stands behind."""


def assert_same(cluster: Cluster, *arguments: str, code: int = 0, unordered: bool = False) -> None:
    """Ours, taken between two of upstream's that are equal: then no age ticked and nothing happened meanwhile.

    On a machine so busy that ages tick every time they are left out.
    `unordered`: lines come in any order, because upstream walks a Go map or sorts unstably.
    """
    before = _shown(cluster.kubectl(*arguments, code=code), unordered)
    for attempt in range(_TRIES):
        ours = _shown(cluster.steersman("kubectl", *arguments, code=code), unordered)
        after = _shown(cluster.kubectl(*arguments, code=code), unordered)
        if before == after:
            assert ours == after
            return
        if attempt >= _WITH_AGES and _ageless(before) == _ageless(after):
            assert _ageless(ours) == _ageless(after)
            return
        before = after
    raise AssertionError(f"upstream's own output never held still: {arguments}")


def _shown(output: str, unordered: bool) -> str:
    return "\n".join(sorted(output.split("\n"))) if unordered else output


def _ageless(output: str) -> str:
    for pattern, stand_in in _AGES:
        output = re.sub(pattern, stand_in, output)
    return output
