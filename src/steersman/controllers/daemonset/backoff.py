"""How long a node must wait before a daemon pod that failed there is replaced: 1 s, doubled each time, up to 15 minutes."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import datetime, timedelta

_FIRST_S, _MOST_S = 1.0, 900.0
_FORGOTTEN = timedelta(seconds=2 * _MOST_S)


class FailedPods:
    """By set, generation and node; forgotten after half an hour without failures."""

    def __init__(self) -> None:
        self._since: dict[Hashable, tuple[datetime, float]] = {}

    def wait_s(self, key: Hashable, now: datetime) -> float:
        """0: replace it now, which counts as another failure. Else ask again that much later."""
        last = self._since.get(key)
        if last is not None and now - last[0] < _FORGOTTEN:
            left_s = last[1] - (now - last[0]).total_seconds()
            if left_s > 0:
                return left_s
            pause_s = min(last[1] * 2, _MOST_S)
        else:
            self._since = {kept: value for kept, value in self._since.items() if now - value[0] < _FORGOTTEN}
            pause_s = _FIRST_S
        self._since[key] = (now, pause_s)
        return 0.0
