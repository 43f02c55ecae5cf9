"""All pod workers of a node: which of them is meant by a pod's name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from steersman.kubelet.workers import PodWorkers


@pytest.mark.parametrize(
    ("workers", "meant"),
    [
        ([("web", "old", True), ("web", "new", True)], "new"),
        ([("web", "old", False), ("web", "new", True)], "new"),
        # Deleted by force and made anew while no kubelet was there: what is left of the old one is found on the node later.
        ([("web", "new", True), ("web", "left over", False)], "new"),
        ([("web", "ending", False)], "ending"),
        ([("db", "other", True)], ""),
    ],
)
def test_a_name_means_the_newest_pod_that_is_wanted(workers: list[tuple[str, str, bool]], meant: str) -> None:
    nothing: Any = None
    all_of_them = PodWorkers(nothing)
    for name, uid, wanted in workers:
        worker: Any = SimpleNamespace(
            uid=uid, wanted=wanted, pod={"metadata": {"name": name, "namespace": "default", "uid": uid}}
        )
        all_of_them.by_uid[uid] = worker
    found = all_of_them.find("default", "web")
    assert (found.uid if found is not None else "") == meant
