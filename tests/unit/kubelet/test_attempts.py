"""A container's number when the runtime has forgotten it: as its logs say, if anybody was shown that it ran."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from steersman.kubelet.attempts import counted
from steersman.kubelet.decide import Start
from steersman.machinery.meta import Obj

if TYPE_CHECKING:
    from tests.unit.kubelet.conftest import World

RAN = {"containerID": "x://1", "restartCount": 0}


@pytest.mark.parametrize(
    ("attempt", "status", "files", "number"),
    [
        (0, RAN, ["0.log"], 1),
        (0, RAN, ["0.log", "3.log.20260101-000000.gz", "2.log"], 4),
        (0, {"restartCount": 1}, ["0.log"], 1),
        (0, RAN, ["other"], 0),
        (0, RAN, [], 0),
        (0, RAN, None, 0),
        (0, {"restartCount": 0}, ["0.log"], 0),
        (5, RAN, ["0.log"], 5),
    ],
)
@pytest.mark.parametrize("where", ["containerStatuses", "initContainerStatuses"])
def test_a_number_follows_the_logs(
    attempt: int, status: Obj, files: list[str] | None, number: int, where: str, tmp_path: Path
) -> None:
    if files is not None:
        (tmp_path / "app").mkdir()
        for name in files:
            (tmp_path / "app" / name).touch()
    pod: Obj = {"status": {where: [{"name": "app", **status}, {"name": "other", **RAN}]}}
    assert counted(pod, Start({"name": "app"}, attempt, "regular"), str(tmp_path)).attempt == number


def test_a_count_does_not_fall_when_the_runtime_has_forgotten_all_containers(world: World) -> None:
    def status() -> Obj:
        found: Obj = (world.api.pod()["status"].get("containerStatuses") or [{}])[0]
        return found

    async def scenario() -> None:
        async with world.kubelet():
            world.create()
            await world.until(lambda: "running" in status().get("state", {}))
            Path(world.runtime.named("app").log_path).touch()
        world.runtime.containers.clear()
        world.runtime.sandboxes.clear()
        async with world.kubelet():
            await world.until(lambda: status()["restartCount"] == 1 and "running" in status()["state"])
            assert world.runtime.named("app").log_path.endswith("/app/1.log")
            assert status()["lastState"]["terminated"]["reason"] == "ContainerStatusUnknown"

    asyncio.run(scenario())
