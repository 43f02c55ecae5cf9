"""Deployments, crashes and lost nodes on a whole cluster in virtual time."""

from __future__ import annotations

from pathlib import Path

from tests.integration.simulated.world import World, play

from steersman.api.resources import EVENTS, NODES, PODS
from steersman.cluster import simulated
from steersman.machinery.meta import condition, dig, is_condition_true, name_of, parse_time


def test_a_deployment_rolls_out_over_all_nodes_and_becomes_ready_when_its_program_is(tmp_path: Path) -> None:
    async def scenario(w: World) -> None:
        probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1}
        await w.deploy(20, containers=[{"name": "c", "image": "slow:1", "readinessProbe": probe}])
        await w.here.clock.advance(15, settle_turns=60)
        assert await w.available() == 0
        assert {pod["status"]["phase"] for pod in await w.pods()} == {"Running"}

        async def rolled_out() -> bool:
            return await w.available() == 20

        await w.until("the rollout", rolled_out)
        pods = await w.pods()
        assert {pod["spec"]["nodeName"] for pod in pods} == set(simulated.node_names(10))
        assert len({pod["status"]["podIP"] for pod in pods}) == 20
        ranges = {name_of(node): node["spec"]["podCIDR"].removesuffix(".0/24") for node in await w.objects(NODES)}
        assert all(pod["status"]["podIP"].startswith(ranges[pod["spec"]["nodeName"]]) for pod in pods)

    play(tmp_path, 10, scenario)


def test_a_crashing_pod_is_started_again_with_growing_pauses(tmp_path: Path) -> None:
    async def scenario(w: World) -> None:
        metadata = {"name": "crashing", "namespace": "default"}
        spec = {"containers": [{"name": "c", "image": "crashing"}]}
        await w.client.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        starts: set[str] = set()
        waiting: set[str] = set()
        for _ in range(400):
            await w.here.clock.advance(1, settle_turns=60)
            status = dig(await w.client.get(PODS, "crashing", "default"), "status", "containerStatuses", 0, "state", default={})
            starts |= {dig(status, "running", "startedAt", default="")} - {""}
            waiting |= {dig(status, "waiting", "reason", default="")} - {""}
            if dig(status, "waiting", "reason") == "CrashLoopBackOff":
                assert dig(await w.client.get(PODS, "crashing", "default"), "status", "phase") == "Running"
        moments = [moment for text in sorted(starts) if (moment := parse_time(text)) is not None]
        gaps = [(later - earlier).total_seconds() for earlier, later in zip(moments, moments[1:], strict=False)]
        # Three seconds of life, then at once, 10, 20, 40, 80, 160 s of waiting.
        assert len(gaps) == 6
        assert all(abs(gap - wanted) <= 2 for gap, wanted in zip(gaps, (3, 13, 23, 43, 83, 163), strict=True)), gaps
        assert "CrashLoopBackOff" in waiting
        assert "BackOff" in {event["reason"] for event in await w.objects(EVENTS, "default")}

    play(tmp_path, 1, scenario)


def test_the_pods_of_a_node_that_dies_move_and_it_takes_part_again_when_it_is_back(tmp_path: Path) -> None:
    async def scenario(w: World) -> None:
        await w.deploy(6, containers=[{"name": "c", "image": "nginx"}])

        async def rolled_out() -> bool:
            return await w.available() == 6

        await w.until("the rollout", rolled_out)
        assert "sim-0002" in {pod["spec"]["nodeName"] for pod in await w.pods()}
        w.kill("sim-0002")

        async def unknown() -> bool:
            return (condition(await w.client.get(NODES, "sim-0002"), "Ready") or {}).get("status") == "Unknown"

        await w.until("the node's silence is noticed", unknown, limit_s=70)

        async def moved() -> bool:
            pods = await w.pods()
            return len(pods) == 6 and all(
                is_condition_true(pod, "Ready") and pod["spec"]["nodeName"] != "sim-0002" for pod in pods
            )

        await w.until("the pods' moving", moved, limit_s=400)
        w.start("sim-0002")

        async def back() -> bool:
            gone = all(pod["spec"]["nodeName"] != "sim-0002" for pod in await w.objects(PODS, "default"))
            return gone and is_condition_true(await w.client.get(NODES, "sim-0002"), "Ready")

        await w.until("the node's return, and the end of what was left there", back)

    play(tmp_path, 3, scenario)


def test_a_node_without_an_image_whose_state_does_not_change_writes_its_status_no_more_than_every_few_minutes(
    tmp_path: Path,
) -> None:
    async def scenario(w: World) -> None:
        await w.here.clock.advance(30, settle_turns=60)
        before = {name_of(node): node["metadata"]["resourceVersion"] for node in await w.objects(NODES)}
        assert len(before) == 3
        # Three updates of the status; reports are due after 150 s at the earliest.
        await w.here.clock.advance(35, settle_turns=60)
        assert {name_of(node): node["metadata"]["resourceVersion"] for node in await w.objects(NODES)} == before

    play(tmp_path, 3, scenario)
