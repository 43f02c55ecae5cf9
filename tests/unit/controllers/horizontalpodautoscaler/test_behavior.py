"""Windows, speed limits, minimum and maximum."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from steersman.controllers.horizontalpodautoscaler.behavior import Limits
from steersman.controllers.horizontalpodautoscaler.memory import Memory
from steersman.machinery.meta import Obj

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def apply(
    current: int,
    desired: int,
    behavior: Obj | None = None,
    *,
    minimum: int = 1,
    maximum: int = 100,
    past: dict[int, int] | None = None,
    changes: dict[int, int] | None = None,
) -> tuple[int, str, str]:
    """(replicas, why able, why limited). `past`: seconds ago -> recommendation; `changes`: seconds ago -> pods added."""
    memory = Memory("u", 1, NOW)
    for ago, replicas in (past or {}).items():
        memory.recommend(NOW - timedelta(seconds=ago), replicas)
    for ago, added in (changes or {}).items():
        memory.changed(NOW - timedelta(seconds=ago), 10, 10 + added)
    found = Limits(minimum, maximum, current, memory, NOW).apply(desired, behavior)
    assert memory.recommendations[-1].pods == desired
    assert found.limited is (found.limit[0] != "DesiredWithinRange")
    return found.replicas, found.able[0], found.limit[0]


READY, WITHIN = "ReadyForNewScale", "DesiredWithinRange"


@pytest.mark.parametrize(
    ("what", "args", "expected"),
    [
        ("as it should be", {"current": 3, "desired": 4}, (4, READY, WITHIN)),
        ("at most twice as many", {"current": 3, "desired": 9}, (6, READY, "ScaleUpLimit")),
        ("or four", {"current": 1, "desired": 9}, (4, READY, "ScaleUpLimit")),
        ("never more than the maximum", {"current": 3, "desired": 9, "maximum": 5}, (5, READY, "TooManyReplicas")),
        ("nor less than the minimum", {"current": 3, "desired": 1, "minimum": 2}, (2, READY, "TooFewReplicas")),
        ("down only when it has been low for five minutes", {"current": 9, "desired": 2, "past": {299: 8, 40: 3}},
         (8, "ScaleDownStabilized", WITHIN)),
        ("and then at once", {"current": 9, "desired": 2, "past": {300: 8}}, (2, READY, WITHIN)),
    ],
)  # fmt: skip
def test_without_behavior(what: str, args: dict[str, Any], expected: tuple[int, str, str]) -> None:
    assert apply(**args) == expected


def rules(select: str = "Max", window: int | None = 0, **policies: tuple[int, int]) -> Obj:
    made: Obj = {"selectPolicy": select, "policies": []}
    if window is not None:
        made["stabilizationWindowSeconds"] = window
    for kind, (value, period) in policies.items():
        made["policies"].append({"type": kind, "value": value, "periodSeconds": period})
    return made


DEFAULT = {"scaleUp": rules(Pods=(4, 15), Percent=(100, 15)), "scaleDown": rules(window=None, Percent=(100, 15))}


def up(**kind: Any) -> Obj:
    return {**DEFAULT, "scaleUp": rules(**kind)}


def down(**kind: Any) -> Obj:
    return {**DEFAULT, "scaleDown": rules(**kind)}


BOTH: dict[str, Any] = {"Pods": (4, 60), "Percent": (10, 60)}


@pytest.mark.parametrize(
    ("what", "args", "expected"),
    [
        ("the larger of four and double: four", (1, 90, DEFAULT), (5, READY, "ScaleUpLimit")),
        ("double", (10, 90, DEFAULT), (20, READY, "ScaleUpLimit")),
        ("down to anything", (50, 2, DEFAULT), (2, READY, WITHIN)),
        ("the larger policy up", (20, 90, up(**BOTH)), (24, READY, "ScaleUpLimit")),
        ("the smaller one", (20, 90, up(select="Min", **BOTH)), (22, READY, "ScaleUpLimit")),
        ("none", (20, 90, up(select="Disabled", **BOTH)), (20, READY, "ScaleUpLimit")),
        ("percents round up on the way up", (5, 90, up(Percent=(10, 60))), (6, READY, "ScaleUpLimit")),
        ("the larger policy down", (20, 1, down(**BOTH)), (16, READY, "ScaleDownLimit")),
        ("the smaller one down", (20, 1, down(select="Min", **BOTH)), (18, READY, "ScaleDownLimit")),
        ("none down", (20, 1, down(select="Disabled", **BOTH)), (20, READY, "ScaleDownLimit")),
        ("percents leave fewer on the way down", (5, 1, down(Percent=(10, 60))), (4, READY, "ScaleDownLimit")),
    ],
)
def test_policies(what: str, args: tuple[int, int, Obj], expected: tuple[int, str, str]) -> None:
    assert apply(*args) == expected


@pytest.mark.parametrize(
    ("what", "current", "desired", "behavior", "changes", "expected"),
    [
        ("what was added in the period is used up", 14, 90, up(Pods=(4, 60)), {30: 4}, 14),
        ("partly", 12, 90, up(Pods=(4, 60)), {30: 2}, 14),
        ("until the period is over", 14, 90, up(Pods=(4, 60)), {60: 4}, 18),
        ("what was taken away comes on top", 7, 90, up(Pods=(4, 60)), {30: -3}, 14),
        ("what was deleted is used up", 6, 1, down(Pods=(4, 60)), {30: -4}, 6),
        ("more than allowed does not turn round", 20, 90, up(Pods=(4, 60)), {30: 10}, 20),
    ],
)
def test_periods(what: str, current: int, desired: int, behavior: Obj, changes: dict[int, int], expected: int) -> None:
    assert apply(current, desired, behavior, changes=changes)[0] == expected


@pytest.mark.parametrize(
    ("what", "current", "desired", "behavior", "past", "expected"),
    [
        ("up waits for its window", 3, 6, up(window=60, Pods=(9, 15)), {30: 4}, (4, "ScaleUpStabilized")),
        ("older ones do not count", 3, 6, up(window=60, Pods=(9, 15)), {60: 4}, (6, READY)),
        ("never below what there is", 3, 6, up(window=60, Pods=(9, 15)), {30: 1}, (3, "ScaleUpStabilized")),
        ("down waits for its window", 9, 2, down(window=60, Pods=(9, 15)), {30: 5}, (5, "ScaleDownStabilized")),
        ("for five minutes if it names none", 9, 2, DEFAULT, {299: 5}, (5, "ScaleDownStabilized")),
        ("a window of zero waits for nothing", 9, 2, down(window=0, Pods=(9, 15)), {1: 5}, (2, READY)),
    ],
)
def test_windows(what: str, current: int, desired: int, behavior: Obj, past: dict[int, int], expected: tuple[int, str]) -> None:
    assert apply(current, desired, behavior, past=past)[:2] == expected
