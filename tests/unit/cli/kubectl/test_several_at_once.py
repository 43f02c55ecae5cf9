"""Verbs that do several things at once: what goes wrong in one of them is told as if it were the only one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.fakes.kubectl import Told, kubectl
from tests.fakes.server import pod, world

from steersman.api.resources import PODS


@pytest.mark.parametrize("line", ["logs web -f --all-containers", "logs web -f -c c"])
def test_a_log_that_cannot_be_followed_is_told_in_a_line(line: str, tmp_path: Path) -> None:
    """The pod's node is gone, so that there is nobody who could be asked."""

    async def scenario() -> Told:
        async with world() as w:
            made = pod()
            made["spec"]["nodeName"] = "gone"
            made["spec"]["containers"].append({"name": "d", "image": "nginx"})
            await w.client.create(PODS, made)
            return await kubectl(w.transport, tmp_path, *line.split(), clock=w.clock)

    told = asyncio.run(scenario())
    assert (told.code, told.out) == (1, "")
    assert told.err.startswith("Error from server") and told.err.count("\n") == 1
