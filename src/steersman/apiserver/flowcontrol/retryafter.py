"""When those who were turned away shall come back: a second later, up to 32 the longer a level stays overloaded. Pure.

Source: upstream util/flowcontrol/dropped_requests_tracker.go. Counted by the second, as the header is.
"""

from __future__ import annotations

from collections import deque

LONGEST_S = 32


class RetryAfter:
    """Of one priority level. Like TCP it doubles under pressure, at most once in its own length, and relents by one."""

    def __init__(self) -> None:
        self.seconds = 1
        self._raised = -LONGEST_S
        self._dropped: deque[list[int]] = deque()
        """[second, how many]; the last is the second that is going on."""

    def dropped(self, now_s: float) -> int:
        """One more was turned away. What to tell it."""
        second = int(now_s)
        if self._dropped and self._dropped[-1][0] == second:
            self._dropped[-1][1] += 1
            return self.seconds
        lately = sum(count for when, count in self._dropped if second - when <= self.seconds)
        if lately >= 3 * self.seconds and second - self._raised >= self.seconds:
            self.seconds, self._raised = min(LONGEST_S, 2 * self.seconds), second
        elif lately < self.seconds and self.seconds > 1:
            self.seconds -= 1
        self._dropped.append([second, 1])
        while second - self._dropped[0][0] > LONGEST_S:
            self._dropped.popleft()
        return self.seconds
