"""What the node may run short of, and when that is so: signals, and thresholds as a KubeletConfiguration has them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from steersman.machinery import duration, quantity

MEMORY_PRESSURE, DISK_PRESSURE, PID_PRESSURE = "MemoryPressure", "DiskPressure", "PIDPressure"


@dataclass(frozen=True, slots=True)
class Kind:
    """condition: what the node shows of it. resource: what it is called in messages."""

    condition: str
    resource: str


_DISK, _INODES = Kind(DISK_PRESSURE, "ephemeral-storage"), Kind(DISK_PRESSURE, "inodes")
SIGNALS: Mapping[str, Kind] = {
    "memory.available": Kind(MEMORY_PRESSURE, "memory"),
    "allocatableMemory.available": Kind(MEMORY_PRESSURE, "memory"),
    "nodefs.available": _DISK,
    "nodefs.inodesFree": _INODES,
    "imagefs.available": _DISK,
    "imagefs.inodesFree": _INODES,
    "containerfs.available": _DISK,
    "containerfs.inodesFree": _INODES,
    "pid.available": Kind(PID_PRESSURE, "pids"),
}
"""In the order in which they are looked after: memory first."""


@dataclass(frozen=True, slots=True)
class Amount:
    """So many units, or a share of all there is."""

    units: int = 0
    share: float | None = None

    def of(self, capacity: int) -> int:
        return self.units if self.share is None else int(capacity * self.share)


@dataclass(frozen=True, slots=True)
class Threshold:
    """Below `amount` the node runs short. grace_s 0: hard. reclaim: so much more than that is to be won."""

    signal: str
    amount: Amount
    grace_s: float = 0.0
    reclaim: Amount = Amount()

    @property
    def hard(self) -> bool:
        return self.grace_s == 0


@dataclass(frozen=True, slots=True)
class Reading:
    """Of one signal: bytes, inodes or processes."""

    available: int
    capacity: int


@dataclass(frozen=True, slots=True)
class Settings:
    """max_grace_s: the longest time a pod has to end for a soft threshold; 0: its own."""

    thresholds: tuple[Threshold, ...]
    transition_s: float = 300.0
    max_grace_s: int = 0


def settings(configuration: Mapping[str, Any]) -> Settings:
    """What a KubeletConfiguration, defaults included, says of evictions."""
    return Settings(
        tuple(_thresholds(configuration)),
        duration.parse_go(configuration.get("evictionPressureTransitionPeriod") or "5m"),
        int(configuration.get("evictionMaxPodGracePeriod") or 0),
    )


def _thresholds(configuration: Mapping[str, Any]) -> Iterator[Threshold]:
    reclaim = {signal: amount(text) for signal, text in (configuration.get("evictionMinimumReclaim") or {}).items()}
    grace = configuration.get("evictionSoftGracePeriod") or {}
    for name in ("evictionHard", "evictionSoft"):
        for signal, text in (configuration.get(name) or {}).items():
            least = amount(text)
            if least.share == 0 or (least.share is None and least.units == 0) or (least.share or 0) >= 1:
                # As upstream: 0% and 100% switch a threshold off.
                continue
            grace_s = duration.parse_go(grace[signal]) if name == "evictionSoft" else 0.0
            made = Threshold(signal, least, grace_s, reclaim.get(signal, Amount()))
            yield made
            if signal == "memory.available" and made.hard:
                yield Threshold("allocatableMemory.available", least, 0.0, made.reclaim)
            if signal.startswith("imagefs."):
                # Images and writable layers share a filesystem here.
                yield Threshold(signal.replace("imagefs.", "containerfs."), least, grace_s, made.reclaim)


def amount(text: str) -> Amount:
    """As thresholds are written: a quantity, or a share like `10%`."""
    return Amount(share=float(text[:-1]) / 100) if text.endswith("%") else Amount(quantity.value(text))


@dataclass(frozen=True, slots=True)
class Assessment:
    """pressures: conditions that hold, or did within the transition period. due: what must be acted upon, in order."""

    pressures: tuple[str, ...]
    due: tuple[Threshold, ...]


class Watch:
    """Remembers since when thresholds are passed, and when conditions were last seen."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._since: dict[Threshold, datetime] = {}
        self._due: tuple[Threshold, ...] = ()
        self._seen: dict[str, datetime] = {}

    def assess(self, readings: Mapping[str, Reading], now: datetime) -> Assessment:
        """What these readings, taken now, mean."""
        passed = [each for each in self._settings.thresholds if is_passed(each, readings)]
        # What was acted upon goes on until its minimum reclaim is there as well.
        passed += [each for each in self._due if each not in passed and is_passed(each, readings, reclaim=True)]
        self._since = {each: self._since.get(each, now) for each in passed}
        for each in passed:
            self._seen[SIGNALS[each.signal].condition] = now
        due = [each for each in passed if (now - self._since[each]).total_seconds() >= each.grace_s]
        order = list(SIGNALS)
        self._due = tuple(sorted(due, key=lambda each: (order.index(each.signal), not each.hard)))
        lasting = self._settings.transition_s
        pressures = [
            kind
            for kind in (MEMORY_PRESSURE, DISK_PRESSURE, PID_PRESSURE)
            if kind in self._seen
            and (any(SIGNALS[each.signal].condition == kind for each in passed)
                 or (now - self._seen[kind]).total_seconds() < lasting)
        ]  # fmt: skip
        return Assessment(tuple(pressures), self._due)


def is_passed(threshold: Threshold, readings: Mapping[str, Reading], *, reclaim: bool = False) -> bool:
    found = readings.get(threshold.signal)
    if found is None:
        return False
    wanted = threshold.amount.of(found.capacity) + (threshold.reclaim.of(found.capacity) if reclaim else 0)
    return found.available < wanted
