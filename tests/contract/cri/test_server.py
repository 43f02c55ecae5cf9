"""The native runtime behind its own CRI socket keeps the contract: our client of containerd's talks to it as to any other.

The same laws as for everybody else; the simulated runtime behind the socket keeps its own part of them, without root.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.contract.cri import test_inside as inside
from tests.contract.cri import test_lifecycle as lifecycle
from tests.contract.cri import test_streams as streams
from tests.contract.cri.bench import LIMIT_S, Bench, OutsideNetwork
from tests.contract.cri.conftest import Scenario
from tests.contract.cri.test_simulated import LAWS as SIMULATED

from steersman.cri.interface import ImageService, Runtime
from steersman.cri.native.cgroups import Cgroups
from steersman.cri.native.images import NativeImages
from steersman.cri.remote.calls import Endpoint
from steersman.cri.remote.images import RemoteImages
from steersman.cri.remote.runtime import RemoteRuntime
from steersman.cri.server.door import Door
from steersman.cri.simulated.images import SimulatedImages
from steersman.cri.simulated.runtime import SimulatedRuntime

Law = Callable[[Callable[[Scenario], None]], None]


def laws(*modules: Any) -> tuple[Law, ...]:
    """The tests of these modules that every runtime has to pass.

    But for one: a call whose caller went away goes on to its end behind the socket, and is whole or gone a moment later.
    """
    found = [each for module in modules for name, each in vars(module).items() if name.startswith("test_")]
    found.remove(lifecycle.test_a_cancelled_sandbox_is_whole_or_gone)
    return tuple(each for each in found if each.__code__.co_varnames[: each.__code__.co_argcount] == ("run",))


@dataclass(slots=True)
class BehindSocket(Bench):
    """Opens `behind` a socket, and is its client."""

    counts_processes: bool = False

    @contextlib.asynccontextmanager
    async def runtime(self) -> AsyncIterator[Runtime]:
        async with self.behind() as (runtime, images):
            path = self.root / "cri.sock"
            async with Door(str(path), runtime, images, self.clock):
                assert path.stat().st_mode & 0o777 == 0o600
                endpoint = Endpoint(f"unix://{path}", self.clock)
                async with RemoteRuntime(endpoint, OutsideNetwork(), self.clock) as client, asyncio.TaskGroup() as group:
                    await client.update_runtime_config("10.1.0.0/24")
                    await client.status()
                    listening = group.create_task(self._listen(client.events()))
                    try:
                        yield client
                    finally:
                        listening.cancel()
                        await RemoteImages(endpoint, self.clock).close()
        assert not path.exists() and not Path(f"{path}.d").exists()

    @contextlib.asynccontextmanager
    async def behind(self) -> AsyncIterator[tuple[Runtime, ImageService]]:
        async with Bench._native(self) as runtime:
            yield runtime, NativeImages(str(self.root / "state"), self.clock)


class SimulatedBehindSocket(BehindSocket):
    @contextlib.asynccontextmanager
    async def behind(self) -> AsyncIterator[tuple[Runtime, ImageService]]:
        images = SimulatedImages(self.clock, present=("busybox",))
        async with SimulatedRuntime(self.clock, images, log_files=True) as runtime:
            yield runtime, images


@pytest.mark.parametrize("law", SIMULATED, ids=lambda law: str(law.__name__))
def test_the_simulated_runtime_behind_its_socket_keeps_the_contract(law: Law, tmp_path: Path) -> None:
    async def main(scenario: Scenario) -> None:
        await asyncio.wait_for(scenario(SimulatedBehindSocket("simulated", tmp_path, tmp_path, "steersman-simulated")), LIMIT_S)

    law(lambda scenario: asyncio.run(main(scenario)))


@pytest.mark.root
@pytest.mark.parametrize("law", laws(lifecycle, inside, streams), ids=lambda law: str(law.__name__))
def test_the_native_runtime_behind_its_socket_keeps_the_contract(law: Law, tmp_path: Path, busybox: Path) -> None:
    if os.geteuid() or not shutil.which("crun"):
        pytest.skip("needs root and crun")
    bench = BehindSocket("crun", tmp_path, busybox, f"steersman-test-{os.getpid()}-socket")

    async def main(scenario: Scenario) -> None:
        try:
            await asyncio.wait_for(scenario(bench), LIMIT_S)
        finally:
            await bench.remove_everything()
        assert await bench.leftovers() == []

    law(lambda scenario: asyncio.run(main(scenario)))
    Cgroups().remove(f"/{bench.cgroup}")
