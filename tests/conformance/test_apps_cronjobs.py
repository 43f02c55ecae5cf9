"""[sig-apps] CronJob. What happens on the minute is shown in virtual time, on a whole cluster of simulated nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.conformance.objects import container, named
from tests.conformance.space import Space, eventually
from tests.integration.simulated.world import World, play

from steersman.api.resources import CRON_JOBS, JOBS
from steersman.machinery.meta import Obj, dig, is_deleting, name_of, uid_of

CRON = "[sig-apps] CronJob should"


def cron_job(name: str, script: str, **spec: Any) -> Obj:
    pods = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container(script)]}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        **named(
            name, {"cron": name}, spec={"schedule": "*/1 * * * *", "jobTemplate": {"spec": {"template": {"spec": pods}}}, **spec}
        ),
    }


async def scheduled(world: World, **spec: Any) -> None:
    """A cron job whose jobs take five minutes, half a minute before its first one is due."""
    into_minute_s = world.here.clock.now().timestamp() % 60
    await world.here.clock.advance((90 - into_minute_s) % 60)
    await world.client.create(CRON_JOBS, cron_job("w", "sleep 300", **spec), "default")


async def jobs(world: World) -> list[str]:
    """Uids of those that are active, oldest first; each has its pod, and the cron job knows them."""
    found = [it for it in await world.objects(JOBS, "default") if not is_deleting(it)]
    found.sort(key=lambda it: str(it["metadata"]["creationTimestamp"]))
    active = [uid_of(it) for it in found if it["status"].get("active") == 1]
    owner = await world.client.get(CRON_JOBS, "w", "default")
    assert sorted(ref["uid"] for ref in dig(owner, "status", "active", default=())) == sorted(active)
    running = [it for it in await world.pods() if dig(it, "status", "phase") == "Running"]
    assert len(running) == len(active)
    return active


@pytest.mark.conformance(f"{CRON} schedule multiple jobs concurrently [Conformance]")
def test_jobs_run_beside_each_other(tmp_path: Path) -> None:
    async def scenario(w: World) -> None:
        await scheduled(w, concurrencyPolicy="Allow")
        assert await jobs(w) == []
        for number in (1, 2, 3):
            await w.here.clock.advance(60)
            assert len(await jobs(w)) == number

    play(tmp_path, 1, scenario)


@pytest.mark.conformance(f"{CRON} not schedule jobs when suspended [Slow] [Conformance]")
def test_a_suspended_cron_job_starts_nothing(tmp_path: Path) -> None:
    async def scenario(w: World) -> None:
        await scheduled(w, suspend=True)
        await w.here.clock.advance(300)
        assert await w.objects(JOBS, "default") == []
        # It is the suspension that kept it: what was missed last is made up for at once, and only that.
        await w.client.patch(CRON_JOBS, "w", {"spec": {"suspend": False}}, "default")
        await w.here.clock.advance(5)
        assert len(await jobs(w)) == 1

    play(tmp_path, 1, scenario)


@pytest.mark.conformance(f"{CRON} not schedule new jobs when ForbidConcurrent [Slow] [Conformance]")
def test_a_running_job_keeps_the_next_from_starting(tmp_path: Path) -> None:
    async def scenario(w: World) -> None:
        await scheduled(w, concurrencyPolicy="Forbid")
        await w.here.clock.advance(60)
        (only,) = await jobs(w)
        for _ in range(4):
            await w.here.clock.advance(60)
            assert await jobs(w) == [only]
        # It ends at the fifth minute; the next starts then.
        await w.here.clock.advance(60)
        (second,) = await jobs(w)
        assert second != only

    play(tmp_path, 1, scenario)


@pytest.mark.conformance(f"{CRON} replace jobs when ReplaceConcurrent [Conformance]")
def test_a_new_job_replaces_the_running_one(tmp_path: Path) -> None:
    async def scenario(w: World) -> None:
        await scheduled(w, concurrencyPolicy="Replace")
        seen: list[str] = []
        for _ in range(3):
            await w.here.clock.advance(60)
            (only,) = await jobs(w)
            assert only not in seen and len(await w.objects(JOBS, "default")) == 1
            seen.append(only)

    play(tmp_path, 1, scenario)


@pytest.mark.root
@pytest.mark.conformance(f"{CRON} support CronJob API operations [Conformance]")
def test_the_verbs_of_cron_jobs(space: Space) -> None:
    api, label = space.api, {"e2e": space.name}
    documents = (api.raw("GET", "/apis")["groups"], api.raw("GET", "/apis/batch")["versions"])
    for names in ([it["name"] for it in documents[0]], [it["groupVersion"] for it in documents[1]]):
        assert "batch" in names or "batch/v1" in names
    listed = {it["name"]: it["verbs"] for it in api.raw("GET", "/apis/batch/v1")["resources"]}
    assert set(listed["cronjobs"]) == {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
    assert set(listed["cronjobs/status"]) == {"get", "patch", "update"}

    for name in ("a", "b", "c"):
        made = cron_job(name, "true", suspend=True)
        made["metadata"]["labels"] = label
        space.create(CRON_JOBS, made)
    assert name_of(space.get(CRON_JOBS, "a")) == "a"
    assert [name_of(it) for it in space.list(CRON_JOBS)] == ["a", "b", "c"]
    assert [name_of(it) for it in api.list(CRON_JOBS, label_selector=f"e2e={space.name}")["items"]] == ["a", "b", "c"]
    version = api.list(CRON_JOBS, space.name)["metadata"]["resourceVersion"]
    with space.watching(CRON_JOBS, resource_version=version) as watching:
        patched = space.patch(CRON_JOBS, "a", {"metadata": {"annotations": {"patched": "true"}}})
        assert patched["metadata"]["annotations"] == {"patched": "true"}
        patched["metadata"]["annotations"]["updated"] = "true"
        assert space.update(CRON_JOBS, patched)["metadata"]["annotations"]["updated"] == "true"
        seen = [it.object["metadata"]["annotations"] for it in watching.take(2)]
        assert [sorted(it) for it in seen] == [["patched"], ["patched", "updated"]]

        moment = patched["metadata"]["creationTimestamp"]
        change: Obj = {"metadata": {"annotations": {"status": "patched"}}, "status": {"lastScheduleTime": moment}}
        found = space.patch(CRON_JOBS, "a", change, subresource="status")
        assert found["status"]["lastScheduleTime"] == moment and found["metadata"]["annotations"]["status"] == "patched"

        def update() -> Obj:
            now = space.get(CRON_JOBS, "a", subresource="status")
            now["status"]["lastSuccessfulTime"] = moment
            return space.update(CRON_JOBS, now, subresource="status")

        assert eventually(update)["status"]["lastSuccessfulTime"] == moment
        assert space.get(CRON_JOBS, "a", subresource="status")["status"]["lastScheduleTime"] == moment
        space.delete(CRON_JOBS, "a")
        watching.until("DELETED")
    space.delete_collection(CRON_JOBS, f"e2e={space.name}")
    assert space.list(CRON_JOBS) == []
