"""A thread of the runtime's own that is in a sandbox's group, as while it makes one, is no reason to end the runtime."""

from __future__ import annotations

import os
import threading

import pytest

from steersman.cri.native.cgroups import Cgroups

pytestmark = pytest.mark.root


def test_emptying_a_group_spares_who_empties_it() -> None:
    cgroups, path = Cgroups(), f"/steersman-test-{os.getpid()}-own"
    if os.geteuid() or cgroups.v2:
        pytest.skip("needs root, and version 1 of cgroups")
    joined, done = threading.Event(), threading.Event()

    def make() -> None:
        cgroups.join_this_thread(path)
        joined.set()
        done.wait(60)

    maker = threading.Thread(target=make)
    maker.start()
    try:
        assert joined.wait(60)
        assert cgroups.pids(path) == []
        cgroups.kill(path)
    finally:
        done.set()
        maker.join()
        cgroups.remove(path)
