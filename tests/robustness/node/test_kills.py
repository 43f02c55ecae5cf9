"""kill -9 of the node, of what runs a container, of containers, mid-start and mid-stop: nothing leaks, nothing starts twice.

A few rounds; two hundred and more are `make crash`, or `python -m tests.robustness.node`.
"""

from __future__ import annotations

import os

import pytest
from tests.fakes import containerd
from tests.robustness.node.breakable import cluster
from tests.robustness.node.rounds import Rounds

pytestmark = pytest.mark.root

_SEEDS = {"native": (7, 39, 103, 1016), "containerd": (8, 10)}
"""Native: the node killed mid-stop and again as it returned (7), pause (39), conmon (103), and pause before the first regular
container of a pod that never restarts (1016). Over containerd the first is how a leak was found, the second kills containerd
itself."""


@pytest.mark.parametrize("runtime", ["native", "containerd"])
def test_whoever_is_killed_nothing_leaks_and_nothing_is_started_twice(runtime: str) -> None:
    if runtime == "containerd" and containerd.lacking():
        pytest.skip(f"needs {containerd.lacking()}")
    with cluster(f"stm-kill-{os.getpid()}", runtime) as (made, api):
        rounds = Rounds(made, api)
        kills = [kill for seed in _SEEDS[runtime] for kill in rounds.run(seed)]
    assert sum(bool(kill.done) for kill in kills) > len(_SEEDS[runtime]) / 3
