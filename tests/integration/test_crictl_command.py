"""`steersman crictl` without a runtime that answers: one line says what is the matter. With one: which is asked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from steersman.__main__ import main
from steersman.cluster.settings import ClusterSettings, Paths, save
from steersman.cri.server.door import Door
from steersman.cri.simulated.images import SimulatedImages
from steersman.cri.simulated.runtime import SimulatedRuntime
from steersman.machinery.clock import RealClock


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    monkeypatch.setenv("STEERSMAN_STATE_DIR", str(tmp_path))
    for name in ("CONTAINER_RUNTIME_ENDPOINT", "IMAGE_SERVICE_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    return Paths(tmp_path)


@pytest.fixture
def served(state: Paths) -> Iterator[Path]:
    """A runtime at the state directory's socket, in a thread with a loop of its own."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    end = asyncio.Event()

    async def serve() -> None:
        clock = RealClock()
        images = SimulatedImages(clock, present=("busybox",))
        async with SimulatedRuntime(clock, images) as runtime, Door(str(state.cri_socket), runtime, images, clock):
            ready.set()
            await end.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(60)
    yield state.cri_socket
    loop.call_soon_threadsafe(end.set)
    thread.join(60)
    loop.close()


def told(capsys: pytest.CaptureFixture[str]) -> str:
    """The only line that was said."""
    said = capsys.readouterr()
    (line,) = (said.out + said.err).splitlines()
    return line


def test_without_a_cluster_it_says_how_to_get_one(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["crictl", "ps"]) == 1
    assert told(capsys) == (
        f"steersman crictl: there is no cluster in {tmp_path}: make one with `steersman up`, "
        "or name a runtime's socket with --runtime-endpoint"
    )


def test_without_a_node_it_says_that_none_runs(capsys: pytest.CaptureFixture[str], state: Paths) -> None:
    save(state, ClusterSettings(node_name="n", advertise_address="192.0.2.1"))
    assert main(["crictl", "pods"]) == 1
    assert told(capsys).startswith(f"steersman crictl: no node runs here: {state.cri_socket} is not there")


def test_a_runtime_that_does_not_answer_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["crictl", "-r", f"unix://{tmp_path}/none.sock", "ps"]) == 1
    assert told(capsys).startswith(f"steersman crictl: the container runtime at {tmp_path}/none.sock cannot be reached")


def test_the_nodes_own_socket_is_asked_if_nothing_else_is_said(
    served: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert main(["crictl", "version"]) == 0
    assert "RuntimeName:  simulated\n" in capsys.readouterr().out
    assert main(["crictl", "images"]) == 0
    assert "busybox" in capsys.readouterr().out
    assert main(["crictl", "inspect", "ffff"]) == 1
    assert told(capsys) == "steersman crictl: container 'ffff' not found"
    monkeypatch.setenv("CONTAINER_RUNTIME_ENDPOINT", f"unix://{tmp_path}/none.sock")
    assert main(["crictl", "version"]) == 1
    assert "cannot be reached" in told(capsys)
    assert main(["crictl", "-r", f"unix://{served}", "version"]) == 0
