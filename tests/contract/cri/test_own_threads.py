"""Threads of the runtime's own that join a sandbox's group to make it: they neither end the runtime nor keep the group."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from steersman.cri.native.cgroups import Cgroups
from steersman.cri.native.threads import ended, in_own_thread

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
        ended(maker)
        cgroups.remove(path)
    assert not list(Path("/sys/fs/cgroup").glob(f"*{path}"))


def test_a_group_can_be_removed_once_its_thread_has_failed() -> None:
    cgroups, path = Cgroups(), f"/steersman-test-{os.getpid()}-gone"
    if os.geteuid() or cgroups.v2:
        pytest.skip("needs root, and version 1 of cgroups")

    def make() -> None:
        cgroups.join_this_thread(path)
        raise OSError(22, "no such sysctl")

    async def scenario() -> None:
        for _ in range(100):
            with pytest.raises(OSError):
                await in_own_thread(make)
            cgroups.remove(path)
            assert not list(Path("/sys/fs/cgroup").glob(f"*{path}"))

    asyncio.run(scenario())
