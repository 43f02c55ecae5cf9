"""The same command line through upstream's kubectl and through ours, while nothing happens in between."""

from __future__ import annotations

from tests.e2e.harness import Cluster

_TRIES = 20


def assert_same(cluster: Cluster, *arguments: str, code: int = 0, unordered: bool = False) -> None:
    """Ours, taken between two of upstream's that are equal: then no age ticked and nothing happened meanwhile.

    `unordered`: lines come in any order, because upstream walks a Go map or sorts unstably.
    """
    before = _shown(cluster.kubectl(*arguments, code=code), unordered)
    for _ in range(_TRIES):
        ours = _shown(cluster.steersman("kubectl", *arguments, code=code), unordered)
        after = _shown(cluster.kubectl(*arguments, code=code), unordered)
        if before == after:
            assert ours == after
            return
        before = after
    raise AssertionError(f"upstream's own output never held still: {arguments}")


def _shown(output: str, unordered: bool) -> str:
    return "\n".join(sorted(output.split("\n"))) if unordered else output
