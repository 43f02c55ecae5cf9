"""The simple limit in place of priority and fairness (--enable-priority-and-fairness=false): so many reads, so many writes.

Source: upstream server/filters/maxinflight.go. Nobody waits: beyond the limit is 429 with Retry-After 1. Administrators and
long-running requests, watches among them, are not held up.
"""

from __future__ import annotations

from collections.abc import Mapping

from steersman.apiserver.contracts import Dropped, RequestInfo, Seat, UserInfo
from steersman.apiserver.http import Request

_READING = frozenset(("get", "list"))
_PRIVILEGED = "system:masters"


class _Free:
    """A seat that nobody has to give back."""

    headers: Mapping[str, str] = {}
    waits = False

    async def granted(self, limit_s: float) -> None: ...

    def leave(self) -> None: ...


class _Held(_Free):
    __slots__ = ("_pool",)

    def __init__(self, pool: _Pool) -> None:
        self._pool: _Pool | None = pool

    def leave(self) -> None:
        if self._pool is not None:
            self._pool.used -= 1
            self._pool = None


class _Pool:
    """limit 0: none."""

    def __init__(self, limit: int) -> None:
        self.limit, self.used = limit, 0


FREE: Seat = _Free()


class MaxInFlight:
    """Limits of reads and of writes; 0 is no limit."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = _Pool(reading), _Pool(writing)

    def admit(self, request: Request, info: RequestInfo, user: UserInfo) -> Seat:
        if info.verb == "watch":
            return FREE
        pool = self._reading if info.verb in _READING else self._writing
        if not pool.limit:
            return FREE
        if pool.used >= pool.limit:
            if _PRIVILEGED in user.groups:
                return FREE
            raise Dropped(1)
        pool.used += 1
        return _Held(pool)
