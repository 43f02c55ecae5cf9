"""The native runtime's answers to what goes wrong around it while it works, and callers who leave meanwhile."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from steersman.cri.interface import RuntimeFault
from steersman.cri.native.files import locked
from steersman.cri.native.images import NativeImages
from steersman.cri.native.runtime import NativeRuntime
from steersman.cri.native.threads import off_loop
from steersman.machinery.clock import RealClock, VirtualClock


def test_a_pull_that_is_given_up_while_another_process_sweeps_keeps_nobody_from_sweeping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counted as under way for ever after: no image that was removed gave any room back."""
    images, clock = NativeImages(str(tmp_path), RealClock()), RealClock()
    stray = tmp_path / "blobs" / "sha256" / "stray"

    async def scenario() -> None:
        waiting = asyncio.Event()

        async def noted(function: Callable[..., Any], *args: Any) -> Any:
            waiting.set()
            return await off_loop(function, *args)

        monkeypatch.setattr("steersman.cri.native.images.off_loop", noted)
        async with asyncio.TaskGroup() as group:
            with locked(str(tmp_path / "installing")):
                pulling = group.create_task(images.pull_image("127.0.0.1:1/x"))
                await waiting.wait()
                pulling.cancel()
                # Whoever waits for a lock between processes goes on waiting: only then is the task over.
                await clock.sleep(0)
        monkeypatch.undo()
        stray.touch()
        await images.sweep()
        assert not stray.exists()
        with locked(str(tmp_path / "installing"), wait=False) as free:
            assert free

    asyncio.run(scenario())


@pytest.mark.parametrize("fault", [OSError(16, os.strerror(16)), OSError("nft did not end within 30 s")])
def test_a_node_network_that_can_not_be_set_up_is_a_fault_of_the_runtime(tmp_path: Path, fault: OSError) -> None:
    """Whoever tells it the range of addresses tries again after a fault; an error of another kind ended the whole kubelet."""

    class Network:
        async def set_pod_cidr(self, pod_cidr: str) -> None:
            raise fault

    async def scenario() -> None:
        network: Any = Network()
        images = NativeImages(str(tmp_path), VirtualClock())
        runtime = NativeRuntime(
            root=str(tmp_path), run_dir=str(tmp_path / "run"), images=images, network=network, clock=VirtualClock()
        )  # fmt: skip
        with pytest.raises(RuntimeFault, match="the pod network could not be set up: "):
            await runtime.update_runtime_config("10.244.0.0/24")

    asyncio.run(scenario())
