"""How many replicas a metric calls for: ratio, tolerance, and pods that are not counted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from steersman.controllers.horizontalpodautoscaler.replicas import Calculator, MetricsError, Tolerances, Use
from steersman.machinery.meta import Obj, format_time

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
WINDOW = timedelta(seconds=15)


@dataclass(frozen=True)
class P:
    """A pod: what it uses of its request of 1000 (None: no metrics), its start and its Ready condition, in seconds ago."""

    use: int | None
    phase: str = "Running"
    started: int = 3600
    ready: bool | None = True
    changed: int = 3500
    seen: int = 5
    deleting: bool = False


def pod(number: int, p: P) -> Obj:
    def ago(seconds: int) -> str:
        return format_time(NOW - timedelta(seconds=seconds))

    status: Obj = {"phase": p.phase, "startTime": ago(p.started)}
    if p.ready is not None:
        status["conditions"] = [{"type": "Ready", "status": str(p.ready), "lastTransitionTime": ago(p.changed)}]
    made: Obj = {"metadata": {"name": f"p{number}"}, "status": status}
    if p.deleting:
        made["metadata"]["deletionTimestamp"] = ago(1)
    resources = {"requests": {"cpu": "1", "memory": "1"}}
    made["spec"] = {"containers": [{"name": "app", "resources": resources}]}
    return made


def calculator(pods: Sequence[P], current: int, tolerances: Tolerances) -> tuple[Calculator, dict[str, Use]]:
    uses = {
        f"p{number}": Use(p.use, NOW - timedelta(seconds=p.seen), WINDOW) for number, p in enumerate(pods) if p.use is not None
    }
    return Calculator([pod(number, p) for number, p in enumerate(pods)], current, tolerances, NOW), uses


NONE, PENDING = P(None), P(None, phase="Pending")
FRESH = P(900, started=60, ready=True, changed=5, seen=5)
ROWS: list[tuple[str, list[P], int, int, int]] = [
    ("twice the target doubles", [P(600)] * 3, 3, 30, 6),
    ("half the target halves", [P(300)] * 4, 4, 60, 2),
    ("a remainder rounds up", [P(500)] * 3, 3, 40, 4),
    ("within the tolerance nothing moves", [P(540)] * 3, 3, 50, 3),
    ("nor does it below", [P(460)] * 10, 10, 50, 10),
    ("beyond the tolerance it does", [P(560)] * 10, 10, 50, 12),
    ("failed and deleting pods do not count", [P(600), P(0, phase="Failed"), P(0, deleting=True)], 3, 30, 2),
    ("missing metrics count as idle when scaling up", [P(900), P(900), NONE], 3, 30, 6),
    ("and may turn it into nothing", [P(600), NONE, NONE], 3, 30, 3),
    ("missing metrics count as the whole request when scaling down", [P(100), P(100), NONE], 3, 80, 2),
    ("and may hold it back", [P(200), NONE, NONE], 3, 50, 3),
    ("or as the target if that is higher", [P(100), P(100), NONE], 3, 150, 2),
    ("pending pods count as idle when scaling up", [P(900), PENDING], 2, 30, 3),
    ("and hold a needless one back", [P(500), PENDING, PENDING], 3, 30, 3),
    ("pending pods do not count when scaling down", [P(100), P(100), PENDING], 3, 50, 1),
    ("a pod's start is not its use", [P(300), FRESH], 2, 30, 2),
    ("once it has been ready for a window it is", [P(300), P(900, started=60, changed=30, seen=5)], 2, 30, 4),
    ("a pod that never became ready does not count", [P(300), P(900, ready=False, started=600, changed=590)], 2, 30, 2),
    ("one that was ready and is no more does", [P(300), P(900, ready=False, started=600, changed=90)], 2, 30, 4),
    ("unready within its first minutes", [P(300), P(900, ready=False, started=200, changed=100)], 2, 30, 2),
    ("no Ready condition yet", [P(300), P(900, ready=None)], 2, 30, 2),
]


@pytest.mark.parametrize(("what", "pods", "current", "percent", "expected"), ROWS, ids=[row[0] for row in ROWS])
def test_utilization(what: str, pods: list[P], current: int, percent: int, expected: int) -> None:
    made, uses = calculator(pods, current, Tolerances())
    assert made.by_utilization(uses, percent, "cpu").replicas == expected


def test_memory_counts_from_the_first_moment() -> None:
    made, uses = calculator([P(300), FRESH], 2, Tolerances())
    assert made.by_utilization(uses, 30, "memory").replicas == 4


@pytest.mark.parametrize(
    ("what", "pods", "target", "expected"),
    [
        ("twice the value doubles", [P(400)] * 2, 200, (4, 400)),
        ("within the tolerance", [P(210)] * 2, 200, (2, 210)),
        ("missing ones are idle on the way up", [P(900), NONE], 300, (3, 900)),
        ("and on target on the way down", [P(100), NONE], 200, (2, 100)),
        ("pending ones are idle on the way up", [P(900), PENDING], 300, (3, 900)),
    ],
)
def test_average_value(what: str, pods: list[P], target: int, expected: tuple[int, int]) -> None:
    made, uses = calculator(pods, 2, Tolerances())
    assert made.by_average(uses, target, "cpu")[:2] == expected


def test_tolerances_differ_by_direction() -> None:
    made, uses = calculator([P(540)] * 10, 10, Tolerances(up=0.05, down=0.5))
    assert made.by_utilization(uses, 50, "cpu").replicas == 11
    assert made.by_utilization(uses, 90, "cpu").replicas == 10


def test_what_is_told_beside_the_count() -> None:
    made, uses = calculator([P(600), P(300)], 2, Tolerances())
    assert made.by_utilization(uses, 45, "cpu") == (2, 450, 45)


def test_pod_level_requests_and_sidecars_count() -> None:
    made, uses = calculator([P(500)], 1, Tolerances())
    spec = made.pods[0]["spec"]
    spec["initContainers"] = [
        {"name": "once", "resources": {}},
        {"name": "side", "restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}},
    ]
    assert made.by_utilization(uses, 50, "cpu").utilization == 25
    assert made.by_utilization(uses, 50, "cpu", "app").utilization == 50
    spec["resources"] = {"requests": {"cpu": "5"}}
    assert made.by_utilization(uses, 50, "cpu").utilization == 10


def test_what_cannot_be_computed_is_told_in_upstream_s_words() -> None:
    def text(pods: list[P], container: str = "", request: bool = True) -> str:
        made, uses = calculator(pods, 1, Tolerances())
        if not request:
            del made.pods[0]["spec"]["containers"][0]["resources"]["requests"]["cpu"]
        with pytest.raises(MetricsError) as caught:
            made.by_utilization(uses, 50, "cpu", container)
        return str(caught.value)

    assert text([]) == "no pods returned by selector while calculating replica count"
    assert text([PENDING]) == "did not receive metrics for targeted pods (pods might be unready)"
    assert text([P(1)], request=False) == "missing request for cpu in container app of Pod p0"
    assert text([P(1)], "other") == "container other not found in Pod p0"
