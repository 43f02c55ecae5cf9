"""How long a connection waits for its client, before it is cut off: half a request, an answer that is not read, or nothing.

A connection is asked every few seconds what it waits for; a wait begins when it is first seen. So requests pay nothing for it.
"""

from __future__ import annotations

HEAD_S = 32.0
"""For a request's head, and for what is left of a body that nobody reads: upstream's ReadHeaderTimeout."""
IDLE_S = 90.0
"""Between requests: upstream's IdleTimeout."""
UNREAD_S = 60.0
"""While a client takes nothing of what it is sent."""


class Patience:
    """Of one connection."""

    __slots__ = ("_mark", "_since_s")

    def __init__(self) -> None:
        self._mark: tuple[object, ...] = ()
        self._since_s = 0.0

    def is_over(self, now_s: float, turn: int, busy: bool, begun: bool, unsent: int | None) -> bool:
        """turn: how many requests there were. begun: part of a request is there. unsent: bytes that wait for the client to read.

        A client that reads slowly is waited for, as is one whose request is being worked on.
        """
        if busy and unsent is None:
            self._mark = ()
            return False
        limit_s = UNREAD_S if unsent is not None else HEAD_S if begun or not turn else IDLE_S
        mark = (turn, limit_s, unsent)
        if mark != self._mark:
            self._mark, self._since_s = mark, now_s
        return now_s - self._since_s >= limit_s
