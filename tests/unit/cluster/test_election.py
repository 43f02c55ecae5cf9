"""Leader election of the components: its flags, its events, and an identity that outlives a crash."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

import pytest
from tests.fakes.client import FakeClient

from steersman.api.resources import EVENTS, LEASES
from steersman.client.leases import LeadershipLost
from steersman.cluster import leading
from steersman.cluster.commands import election
from steersman.cluster.leading import Election
from steersman.cluster.settings import SettingsError
from steersman.machinery.clock import VirtualClock


def parsed(*flags: str) -> Election | None:
    parser = argparse.ArgumentParser()
    election.add_flags(parser, "kube-scheduler")
    return election.of(parser.parse_args(flags))


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ([], Election(name="kube-scheduler")),
        (["--leader-elect"], Election(name="kube-scheduler")),
        (["--leader-elect=true"], Election(name="kube-scheduler")),
        (["--leader-elect=false"], None),
        (
            ["--leader-elect-resource-name=other", "--leader-elect-resource-namespace=there"],
            Election(name="other", namespace="there"),
        ),
        (
            ["--leader-elect-lease-duration=1m", "--leader-elect-renew-deadline=40s", "--leader-elect-retry-period=500ms"],
            Election(name="kube-scheduler", lease_duration_s=60, renew_deadline_s=40, retry_period_s=0.5),
        ),
    ],
)
def test_flags_are_upstreams(flags: list[str], found: Election | None) -> None:
    assert parsed(*flags) == found


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--leader-elect-lease-duration=10s", "lease-duration must be greater than --leader-elect-renew-deadline"),
        ("--leader-elect-retry-period=9s", "renew-deadline must be greater than 1.2 times"),
        ("--leader-elect-retry-period=0s", "retry-period must be greater than zero"),
        ("--leader-elect-retry-period=soon", "--leader-elect-retry-period: "),
    ],
)
def test_times_that_cannot_work_are_refused_in_one_sentence(flag: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        parsed(flag)


def test_an_identity_is_kept_and_unlike_any_other(tmp_path: Path) -> None:
    first = leading.kept_identity(tmp_path / "run" / "identity")
    assert leading.kept_identity(tmp_path / "run" / "identity") == first
    assert leading.kept_identity(tmp_path / "another") != first


def messages(client: FakeClient) -> list[str]:
    return [event["message"] for event in client.tables[("", EVENTS.plural)].objects.values()]


def test_events_tell_who_leads_and_who_does_no_more() -> None:
    async def scenario() -> None:
        client, clock, busy = FakeClient(), VirtualClock(), asyncio.Event()

        async def lead() -> None:
            busy.set()
            await asyncio.Event().wait()

        async with asyncio.TaskGroup() as group:
            chosen = Election(name="kube-scheduler", identity="one")
            task = group.create_task(leading.led(client, chosen, "default-scheduler", clock, lead))
            await clock.advance(0)
            assert busy.is_set()
            (event,) = client.tables[("", EVENTS.plural)].objects.values()
            assert (event["reason"], event["message"]) == ("LeaderElection", "one became leader")
            assert event["source"] == {"component": "default-scheduler"}
            about = event["involvedObject"]
            assert (about["kind"], about["namespace"], about["name"]) == ("Lease", "kube-system", "kube-scheduler")
            task.cancel()
            await clock.advance(0)
        assert messages(client) == ["one became leader", "one stopped leading"]
        lease = client.tables[(LEASES.group, "leases")].objects[("kube-system", "kube-scheduler")]
        assert lease["spec"]["holderIdentity"] == ""

    asyncio.run(scenario())


def test_who_comes_back_with_its_identity_leads_at_once_while_another_waits() -> None:
    async def scenario() -> None:
        client, clock = FakeClient(), VirtualClock()
        spec = {"holderIdentity": "one", "leaseDurationSeconds": 40, "renewTime": "2026-01-01T00:00:00.000000Z"}
        client.put(LEASES, {"metadata": {"name": "kube-scheduler", "namespace": "kube-system"}, "spec": spec})
        led: list[str] = []

        async def candidate(name: str) -> None:
            async def lead() -> None:
                led.append(name)
                await asyncio.Event().wait()

            await leading.led(client, Election.unhurried("kube-scheduler", name), "default-scheduler", clock, lead)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(candidate(name)) for name in ("two", "one")]
            await clock.advance(0)
            assert led == ["one"]
            await clock.advance(120)
            assert led == ["one"]
            for task in tasks:
                task.cancel()

    asyncio.run(scenario())


def test_a_lost_lease_ends_the_work_with_upstreams_words() -> None:
    async def scenario() -> None:
        client, clock = FakeClient(), VirtualClock()

        async def work() -> None:
            with pytest.raises(LeadershipLost, match="^leaderelection lost$"):
                chosen = Election(name="kube-scheduler", identity="one")
                await leading.led(client, chosen, "default-scheduler", clock, lambda: clock.sleep(3600))

        async with asyncio.TaskGroup() as group:
            task = group.create_task(work())
            await clock.advance(1)
            for verb in ("get", "update", "create"):
                client.fail_next(verb, *[ConnectionError("unreachable")] * 100)
            await clock.advance(15)
            assert task.done()

    asyncio.run(scenario())
