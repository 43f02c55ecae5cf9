"""The CRI contract's fixtures: images without the internet, and a scenario's run on every runtime."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from tests.contract.cri.bench import LIMIT_S, Bench
from tests.fakes import containerd as containerds
from tests.fakes.containerd import Containerd

from steersman.cri.native import build
from steersman.cri.native.cgroups import Cgroups, unsettle_hybrid

_numbers = itertools.count()
Scenario = Callable[[Bench], Awaitable[None]]


@pytest.fixture(scope="session")
def busybox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "busybox.tar"
    build.build_busybox(str(path))
    return path


@pytest.fixture(scope="session", autouse=True)
def _controllers_taken_back() -> Iterator[None]:
    """Not after each test: the containerd of other tests would lose a controller it works with."""
    yield
    unsettle_hybrid()


@pytest.fixture(scope="session")
def containerd(tmp_path_factory: pytest.TempPathFactory, busybox: Path) -> Iterator[Containerd]:
    """A containerd of these tests' own."""
    if lacking := containerds.lacking():
        pytest.skip(f"needs {lacking}")
    with containerds.running(tmp_path_factory.mktemp("containerd"), [busybox]) as made:
        yield made


@pytest.fixture(params=["crun", "runc", "containerd"])
def run(request: pytest.FixtureRequest, tmp_path: Path, busybox: Path) -> Iterator[Callable[[Scenario], None]]:
    """Runs a scenario on each runtime in a place of its own; afterwards nothing of it may be left on the machine."""
    if request.param != "containerd":
        yield from _native(request.param, tmp_path, busybox)
        return
    yield from _containerd(request.getfixturevalue("containerd"), tmp_path, busybox)


@pytest.fixture
def run_containerd(containerd: Containerd, tmp_path: Path, busybox: Path) -> Iterator[Callable[[Scenario], None]]:
    """As `run`, for what only containerd says."""
    yield from _containerd(containerd, tmp_path, busybox)


@pytest.fixture(params=["crun", "runc"])
def run_native(request: pytest.FixtureRequest, tmp_path: Path, busybox: Path) -> Iterator[Callable[[Scenario], None]]:
    """As `run`, for what only our own runtime promises."""
    yield from _native(request.param, tmp_path, busybox)


def _native(oci: str, tmp_path: Path, busybox: Path) -> Iterator[Callable[[Scenario], None]]:
    if os.geteuid() or not shutil.which(oci, path=f"{os.environ['PATH']}:/usr/sbin"):
        pytest.skip(f"needs root and {oci}")
    yield from _on(Bench(oci, tmp_path, busybox, _cgroup()))


def _containerd(daemon: Containerd, tmp_path: Path, busybox: Path) -> Iterator[Callable[[Scenario], None]]:
    daemon.forget_network_calls()
    yield from _on(Bench("runc", tmp_path, busybox, _cgroup(), daemon, counts_processes=False))


def _on(bench: Bench) -> Iterator[Callable[[Scenario], None]]:
    async def main(scenario: Scenario) -> None:
        try:
            await asyncio.wait_for(scenario(bench), LIMIT_S)
        finally:
            await bench.remove_everything()
        assert await bench.leftovers() == []

    yield lambda scenario: asyncio.run(main(scenario))
    Cgroups().remove(f"/{bench.cgroup}")


def _cgroup() -> str:
    return f"steersman-test-{os.getpid()}-{next(_numbers)}"
