"""Leases for keys that vanish by themselves. Many keys share one, as upstream's API server has it, so that events cost few.

A shared lease is granted for longer than was asked, by the time during which keys may join it. Leases are never renewed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from steersman.machinery.clock import Clock
from steersman.store import etcd_wire as wire
from steersman.store.etcd_calls import Endpoints

_LONGEST_WINDOW_S = 60
_WINDOW_SHARE = 0.05
_MAX_KEYS = 1000


@dataclass(slots=True)
class _Lease:
    id: int
    joinable_until: float
    keys: int = 0


class Leases:
    """The lease that new keys join, for each time to live."""

    def __init__(self, endpoints: Endpoints, clock: Clock) -> None:
        self._endpoints = endpoints
        self._clock = clock
        self._open: dict[int, _Lease] = {}
        self._granting = asyncio.Lock()

    async def join(self, ttl_s: int) -> int:
        """The id of a lease that lasts at least that long. Raises Unavailable."""
        async with self._granting:
            lease = self._open.get(ttl_s)
            if lease is None or lease.keys >= _MAX_KEYS or self._clock.monotonic() >= lease.joinable_until:
                window = min(_LONGEST_WINDOW_S, int(ttl_s * _WINDOW_SHARE))
                asked = self._clock.monotonic()
                granted = await self._endpoints.call(wire.LEASE_GRANT, wire.lease_request(ttl_s + window), wire.lease_answer)
                lease = self._open[ttl_s] = _Lease(granted, asked + window)
            lease.keys += 1
            return lease.id

    def forget(self) -> None:
        """etcd does not know one of them any more."""
        self._open.clear()
