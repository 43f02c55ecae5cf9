"""The simulated runtime keeps those parts of the contract that need no processes. It needs no root for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.contract.cri import test_lifecycle as lifecycle
from tests.contract.cri.bench import Bench
from tests.contract.cri.conftest import Scenario

from steersman.cri.interface import Runtime
from steersman.cri.simulated.images import SimulatedImages
from steersman.cri.simulated.runtime import SimulatedRuntime

Law = Callable[[Callable[[Scenario], None]], None]
LAWS: tuple[Law, ...] = (
    lifecycle.test_a_container_runs_logs_in_cri_format_and_leaves_its_exit_code,
    lifecycle.test_an_exit_without_failure_is_completed,
    lifecycle.test_a_stop_lets_the_program_finish_and_a_deaf_one_is_killed,
    lifecycle.test_stopping_a_sandbox_kills_what_runs_in_it_and_removing_takes_all,
    lifecycle.test_events_tell_of_every_step,
    lifecycle.test_who_listens_before_looking_misses_nothing,
    lifecycle.test_many_pods_at_once,
    lifecycle.test_a_cancelled_sandbox_is_whole_or_gone,
)


class SimulatedBench(Bench):
    @contextlib.asynccontextmanager
    async def runtime(self) -> AsyncIterator[Runtime]:
        images = SimulatedImages(self.clock, present=("busybox",))
        async with SimulatedRuntime(self.clock, images, log_files=True) as runtime, asyncio.TaskGroup() as group:
            await runtime.update_runtime_config("10.1.0.0/24")
            listening = group.create_task(self._listen(runtime.events()))
            try:
                yield runtime
            finally:
                listening.cancel()


@pytest.mark.parametrize("law", LAWS, ids=lambda law: str(law.__name__))
def test_the_simulated_runtime_keeps_the_contract(law: Law, tmp_path: Path) -> None:
    async def main(scenario: Scenario) -> None:
        await scenario(SimulatedBench("simulated", tmp_path, tmp_path, "steersman-simulated"))

    law(lambda scenario: asyncio.run(main(scenario)))
