"""A start that was cut short by kill -9 of the runtime's process goes on: the program is run once, not twice."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from tests.contract.cri.bench import Bench, shell
from tests.contract.cri.conftest import Scenario

from steersman.cri.interface import ContainerState
from steersman.cri.native.oci import OciRuntime

pytestmark = pytest.mark.root

_SCRIPT = "echo up; while [ ! -e /stop ]; do sleep 0.05; done; exit 4"


async def _nothing(_oci: OciRuntime, _container_id: str) -> None:
    """In place of `crun start`: as far as it came."""


@pytest.mark.parametrize("made_only", [True, False], ids=["made", "started"])
def test_a_start_cut_short_goes_on(
    run_native: Callable[[Scenario], None], monkeypatch: pytest.MonkeyPatch, made_only: bool
) -> None:
    async def scenario(bench: Bench) -> None:
        with monkeypatch.context() as killed:
            if made_only:
                killed.setattr(OciRuntime, "start", _nothing)
            async with bench.runtime() as runtime:
                _, container = await bench.started(runtime, shell(_SCRIPT, name="once"))
        [path] = (bench.root / "state").glob(f"containers/{container}/record.json")
        record = json.loads(path.read_text())
        unnoted = {"state": ContainerState.CREATED.value, "starting": True, "process": None, "conmon": None, "started_at": None}
        path.write_text(json.dumps({**record, **unnoted}))
        async with bench.runtime() as runtime:
            assert (await runtime.container_status(container)).state is ContainerState.RUNNING
            await runtime.exec_sync(container, ["touch", "/stop"], 5)
            await bench.ended(runtime, container)
            assert (await runtime.container_status(container)).exit_code == 4

    run_native(scenario)
