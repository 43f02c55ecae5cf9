"""What an autoscaler remembers of itself between turns: recommendations and changes made. Lost when the controller restarts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

_LONGEST_WINDOW = timedelta(seconds=3600)
_LONGEST_PERIOD = timedelta(seconds=1800)


class Entry(NamedTuple):
    """A recommendation, or by how many pods the target was changed."""

    at: datetime
    pods: int


@dataclass(slots=True)
class Memory:
    """Of one autoscaler. The API allows no longer windows and periods than are kept."""

    uid: str
    generation: int
    due: datetime
    recommendations: list[Entry] = field(default_factory=list)
    ups: list[Entry] = field(default_factory=list)
    downs: list[Entry] = field(default_factory=list)

    def recommend(self, now: datetime, replicas: int) -> None:
        self.recommendations = [entry for entry in self.recommendations if entry.at > now - _LONGEST_WINDOW]
        self.recommendations.append(Entry(now, replicas))

    def since(self, now: datetime, window_s: float) -> list[int]:
        """The recommendations of that time."""
        return [entry.pods for entry in self.recommendations if entry.at > now - timedelta(seconds=window_s)]

    def changed(self, now: datetime, before: int, after: int) -> None:
        for entries in (self.ups, self.downs):
            entries[:] = [entry for entry in entries if entry.at > now - _LONGEST_PERIOD]
        (self.ups if after > before else self.downs).append(Entry(now, abs(after - before)))

    def at_start_of(self, now: datetime, period_s: float, current: int) -> int:
        """How many there were that long ago, as far as this autoscaler changed them."""
        cutoff = now - timedelta(seconds=period_s)
        added = sum(entry.pods for entry in self.ups if entry.at > cutoff)
        deleted = sum(entry.pods for entry in self.downs if entry.at > cutoff)
        return current - added + deleted
