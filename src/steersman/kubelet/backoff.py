"""Exponential back-off per key, counted from an event's time (client-go flowcontrol.Backoff). Pure: `now` is passed in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(slots=True)
class _Entry:
    delay_s: float
    updated: datetime


class Backoff:
    """Delays by key: start, doubled each time, up to a maximum; forgotten after a quiet time of twice the maximum."""

    def __init__(self, start_s: float = 10.0, max_s: float = 300.0) -> None:
        self._start_s, self._max_s = start_s, max_s
        self._entries: dict[str, _Entry] = {}

    def _expired(self, entry: _Entry, event: datetime) -> bool:
        return event - entry.updated > timedelta(seconds=2 * self._max_s)

    def delay(self, key: str) -> float:
        entry = self._entries.get(key)
        return entry.delay_s if entry else 0.0

    def remaining(self, key: str, event: datetime, now: datetime) -> float:
        """Seconds still to wait after something that happened at `event`; 0 when free to go."""
        entry = self._entries.get(key)
        if entry is None or self._expired(entry, event):
            return 0.0
        return max(0.0, entry.delay_s - (now - event).total_seconds())

    def next(self, key: str, event: datetime, now: datetime) -> None:
        """Record another try."""
        entry = self._entries.get(key)
        if entry is None or self._expired(entry, event):
            self._entries[key] = _Entry(self._start_s, now)
        else:
            self._entries[key] = _Entry(min(entry.delay_s * 2, self._max_s), now)

    def forget(self, prefix: str) -> None:
        """Drop all keys that start with it: the pod is gone."""
        for key in [key for key in self._entries if key.startswith(prefix)]:
            del self._entries[key]
