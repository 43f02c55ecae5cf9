"""When a node runs short: thresholds hard and soft, what is to be won at least, and how long a condition lasts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from steersman.kubelet.configuration.fields import with_defaults
from steersman.kubelet.eviction.signals import Amount, Reading, Threshold, Watch, settings

START = datetime(2026, 1, 1, tzinfo=UTC)
GIB, MIB = 1 << 30, 1 << 20


def watch(**configuration: Any) -> Watch:
    return Watch(settings(with_defaults(configuration)))


@dataclass
class Step:
    """At so many seconds so much memory is left (disk in per cent): what is due, and which conditions show."""

    at_s: float
    memory: int = 4 * GIB
    disk: int = 50
    due: list[tuple[str, bool]] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)


MEMORY, HARD, SOFT = "memory.available", True, False
SOFT_SETTINGS = {"evictionSoft": {MEMORY: "1Gi"}, "evictionSoftGracePeriod": {MEMORY: "30s"}}

CASES: dict[str, tuple[dict[str, Any], list[Step]]] = {
    "all is well": ({}, [Step(0)]),
    "the default is 100Mi of memory": (
        {},
        [Step(0, memory=100 * MIB), Step(10, memory=100 * MIB - 1, due=[(MEMORY, HARD)], shown=["MemoryPressure"])],
    ),
    "a condition lasts five minutes longer than what made it": (
        {},
        [
            Step(0, memory=MIB, due=[(MEMORY, HARD)], shown=["MemoryPressure"]),
            Step(10, shown=["MemoryPressure"]),
            Step(299, shown=["MemoryPressure"]),
            Step(300),
        ],
    ),
    "a condition lasts as long as was configured": (
        {"evictionPressureTransitionPeriod": "20s"},
        [
            Step(0, memory=MIB, due=[(MEMORY, HARD)], shown=["MemoryPressure"]),
            Step(10, memory=MIB, due=[(MEMORY, HARD)], shown=["MemoryPressure"]),
            Step(29, shown=["MemoryPressure"]),
            Step(30),
        ],
    ),
    "a soft threshold shows at once, and is acted upon after its grace period": (
        SOFT_SETTINGS,
        [
            Step(0, memory=GIB - 1, shown=["MemoryPressure"]),
            Step(29, memory=GIB - 1, shown=["MemoryPressure"]),
            Step(30, memory=GIB - 1, due=[(MEMORY, SOFT)], shown=["MemoryPressure"]),
        ],
    ),
    "a soft threshold's grace period begins anew when it was not passed meanwhile": (
        SOFT_SETTINGS,
        [
            Step(0, memory=GIB - 1, shown=["MemoryPressure"]),
            Step(20, memory=GIB, shown=["MemoryPressure"]),
            Step(30, memory=GIB - 1, shown=["MemoryPressure"]),
            Step(60, memory=GIB - 1, due=[(MEMORY, SOFT)], shown=["MemoryPressure"]),
        ],
    ),
    "more is to be won than the threshold": (
        {"evictionMinimumReclaim": {MEMORY: "500Mi"}},
        [
            Step(0, memory=MIB, due=[(MEMORY, HARD)], shown=["MemoryPressure"]),
            Step(10, memory=600 * MIB - 1, due=[(MEMORY, HARD)], shown=["MemoryPressure"]),
            Step(20, memory=600 * MIB, shown=["MemoryPressure"]),
            Step(30, memory=400 * MIB, shown=["MemoryPressure"]),
        ],
    ),
    "images must leave 15 per cent, other files 10": (
        {},
        [
            Step(0, disk=15),
            Step(10, disk=14, due=[("imagefs.available", HARD), ("containerfs.available", HARD)], shown=["DiskPressure"]),
            Step(
                20,
                disk=9,
                due=[("nodefs.available", HARD), ("imagefs.available", HARD), ("containerfs.available", HARD)],
                shown=["DiskPressure"],
            ),
        ],
    ),
    "memory comes first": (
        {"evictionHard": {"nodefs.available": "10%", MEMORY: "1Gi"}},
        [Step(0, memory=MIB, disk=1, due=[(MEMORY, HARD), ("nodefs.available", HARD)], shown=["MemoryPressure", "DiskPressure"])],
    ),
    "zero and a hundred per cent switch a threshold off": (
        {"evictionHard": {"nodefs.available": "0%", "imagefs.available": "100%", MEMORY: "0"}},
        [Step(0, memory=0, disk=0)],
    ),
}


@pytest.mark.parametrize(("configuration", "steps"), CASES.values(), ids=CASES)
def test_what_is_due_and_shown(configuration: dict[str, Any], steps: list[Step]) -> None:
    watched = watch(**configuration)
    for step in steps:
        disk = Reading(step.disk, 100)
        readings = {MEMORY: Reading(step.memory, 8 * GIB)}
        readings |= {f"{name}.available": disk for name in ("nodefs", "imagefs", "containerfs")}
        found = watched.assess(readings, START + timedelta(seconds=step.at_s))
        assert [(each.signal, each.hard) for each in found.due] == step.due, step
        assert list(found.pressures) == step.shown, step


def test_what_cannot_be_read_is_not_short() -> None:
    assert watch().assess({}, START).due == ()


def test_shares_are_of_all_there_is() -> None:
    made = settings({"evictionHard": {"pid.available": "12.5%"}})
    assert made.thresholds == (Threshold("pid.available", Amount(share=0.125)),)
    assert made.thresholds[0].amount.of(1000) == 125


def test_what_is_allocatable_has_the_threshold_of_memory() -> None:
    made = settings({"evictionHard": {"memory.available": "1Gi"}, "evictionMaxPodGracePeriod": 7})
    assert [each.signal for each in made.thresholds] == ["memory.available", "allocatableMemory.available"]
    assert (made.max_grace_s, made.transition_s) == (7, 300)
