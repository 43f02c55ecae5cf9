"""What a proxy says of itself."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import pytest

from steersman.machinery.clock import VirtualClock
from steersman.machinery.meta import Obj
from steersman.proxy.status import Status, is_eligible

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def status(node: Obj | None = None) -> tuple[Status, VirtualClock]:
    clock = VirtualClock(START)
    return Status(clock, lambda: node), clock


def test_a_proxy_that_has_nothing_to_do_is_up_to_date_now() -> None:
    made, clock = status()
    made.updated()
    asyncio.run(clock.advance(600))
    page = made.health_page("/healthz")
    assert page.status == 200
    now = "2026-01-02 03:14:05.000000 +0000 UTC"
    assert json.loads(page.text) == {"lastUpdated": now, "currentTime": now, "nodeEligible": True}


def test_a_proxy_that_does_not_keep_up_says_so() -> None:
    made, clock = status()
    made.updated()
    asyncio.run(clock.advance(10))
    made.queued()
    asyncio.run(clock.advance(59))
    made.queued()
    assert made.health_page("/healthz").status == 200
    asyncio.run(clock.advance(2))
    page = made.health_page("/livez")
    assert page.status == 503 and json.loads(page.text)["lastUpdated"].startswith("2026-01-02 03:04:05")
    made.updated()
    assert made.health_page("/livez").status == 200


@pytest.mark.parametrize(
    ("node", "eligible"),
    [
        (None, True),
        ({"metadata": {"name": "n"}, "spec": {"taints": [{"key": "other", "effect": "NoSchedule"}]}}, True),
        ({"metadata": {"name": "n", "deletionTimestamp": "2026-01-02T03:04:05Z"}}, False),
        (
            {"metadata": {"name": "n"}, "spec": {"taints": [{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}]}},
            False,
        ),
    ],
)
def test_nobody_new_is_sent_to_a_node_that_leaves(node: Obj | None, eligible: bool) -> None:
    assert is_eligible(node) == eligible
    made, _ = status(node)
    made.updated()
    assert (made.health_page("/healthz").status == 200) == eligible
    assert made.health_page("/livez").status == 200


def test_other_pages() -> None:
    made, _ = status()
    assert made.mode_page("/proxyMode").text == "nftables"
    assert made.mode_page("/healthz").text == "ok"
    assert made.mode_page("/").status == made.health_page("/").status == 404
