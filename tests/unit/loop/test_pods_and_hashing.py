"""Shared pod questions and content hashes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from steersman.loop.hashing import content_hash
from steersman.loop.pods import deletion_order, pod_from_template, seconds_to_available
from steersman.machinery.meta import Obj, format_time, name_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def pod(name: str, *, created_s: int = 0, restarts: int = 0, ready_s: int | None = None) -> Obj:
    conditions = []
    if ready_s is not None:
        moment = format_time(NOW - timedelta(seconds=ready_s))
        conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": moment}]
    return {
        "metadata": {"name": name, "uid": name, "creationTimestamp": format_time(NOW - timedelta(seconds=created_s))},
        "spec": {"nodeName": "n"},
        "status": {"phase": "Running", "conditions": conditions, "containerStatuses": [{"name": "c", "restartCount": restarts}]},
    }


def test_a_hash_is_stable_and_moves_with_content_and_collisions() -> None:
    first = content_hash({"a": 1, "b": [1, 2]})
    assert first == content_hash({"b": [1, 2], "a": 1})
    assert (
        len({first, content_hash({"a": 2}), content_hash({"a": 1, "b": [1, 2]}, 0), content_hash({"a": 1, "b": [1, 2]}, 1)}) == 4
    )
    assert set(first) <= set("bcdfghjklmnpqrstvwxz2456789") and 0 < len(first) <= 10


def test_the_plain_order_takes_exact_times_newest_ready_then_most_restarts_then_newest() -> None:
    pods = [
        pod("long", ready_s=110),
        pod("short", ready_s=100),
        pod("calm", created_s=10),
        pod("shaky", created_s=99, restarts=3),
    ]
    assert [name_of(item) for item in deletion_order(pods, NOW)] == ["shaky", "calm", "short", "long"]


def test_availability_counts_from_readiness() -> None:
    assert seconds_to_available(pod("a"), 10, NOW) is None
    assert seconds_to_available(pod("a", ready_s=4), 10, NOW) == 6
    assert seconds_to_available(pod("a", ready_s=10), 10, NOW) == 0
    assert seconds_to_available(pod("a", ready_s=0), 0, NOW) == 0


def test_a_name_that_would_be_too_long_with_its_dash_goes_without() -> None:
    owner: Obj = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "x" * 253, "namespace": "d", "uid": "u"}}
    assert pod_from_template({"spec": {}}, owner)["metadata"]["generateName"] == "x" * 253
