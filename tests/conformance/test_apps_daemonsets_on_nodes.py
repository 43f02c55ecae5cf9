"""[sig-apps] Daemon set: what takes several nodes to be seen, in virtual time on simulated ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.conformance.objects import container, named
from tests.integration.simulated.world import World, play

from steersman.api.resources import DAEMON_SETS
from steersman.machinery.meta import Obj, dig, is_condition_true, uid_of

PROBE = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1}


def daemon_set(image: str) -> Obj:
    labels = {"app": "w"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container(image=image, readinessProbe=PROBE)]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        **named("w", spec={"selector": {"matchLabels": labels}, "template": template}),
    }


@pytest.mark.conformance("[sig-apps] Daemon set [Serial] should rollback without unnecessary restarts [Conformance]")
def test_a_roll_back_leaves_pods_alone_that_were_not_reached(tmp_path: Path) -> None:
    async def ready(w: World) -> dict[str, str]:
        """The pods that are: uid by node."""
        return {it["spec"]["nodeName"]: uid_of(it) for it in await w.pods() if is_condition_true(it, "Ready")}

    async def scenario(w: World) -> None:
        async def complete() -> bool:
            return len(await ready(w)) == 3

        async def stuck() -> bool:
            return any(it["spec"]["containers"][0]["image"] == "slow:1" for it in await w.pods())

        async def use(image: str) -> None:
            change: Any = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}}
            await w.client.patch(DAEMON_SETS, "w", change, "default", kind="strategic")

        await w.client.create(DAEMON_SETS, daemon_set("nginx:1"), "default")
        await w.until("a ready pod on each node", complete)
        before = await ready(w)
        # An image with which pods do not become ready for long: the update waits at the first.
        await use("slow:1")
        await w.until("the first node is reached", stuck)
        await w.here.clock.advance(10)
        spared = await ready(w)
        assert len(spared) == 2 and spared.items() < before.items()
        await use("nginx:1")
        await w.until("all ready again", complete)
        after = await ready(w)
        assert spared.items() < after.items()
        for each in await w.pods():
            assert each["spec"]["containers"][0]["image"] == "nginx:1"
            assert dig(each, "status", "containerStatuses", 0, "restartCount") == 0

    play(tmp_path, 3, scenario)
