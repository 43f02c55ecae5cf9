"""Which API servers live, and that Service default/kubernetes leads to all of them and to no other.

Each server keeps an entry in the store that runs out 15 s after it was last written, and writes it every 10 s. Whoever lives
keeps the Service's Endpoints and EndpointSlice as the entries say, and is woken when one comes or goes. The last server to end
leaves its address there: an empty Service would help nobody. Source: upstream controlplane/reconcilers (lease.go).
"""

from __future__ import annotations

import asyncio
import logging

from steersman.apiserver.config import ServerConfig
from steersman.apiserver.hooks import kubernetes_service
from steersman.apiserver.watchcache.feed import Feed
from steersman.client.interface import Client
from steersman.machinery.clock import Clock
from steersman.machinery.errors import StatusError
from steersman.machinery.waiting import within
from steersman.store.interface import Delete, Event, Put, Store, Unavailable

log = logging.getLogger(__name__)

PREFIX = "/registry/masterleases/"
TTL_S = 15
RENEW_S = 10.0
RETRY_S = 1.0
LEAVING_S = 2.0
"""How long the end of a server may wait for others to be told: they find out by themselves."""


class Presence:
    """One server's. `config` has the port that was really taken."""

    def __init__(self, store: Store, feed: Feed, client: Client, config: ServerConfig, clock: Clock) -> None:
        self._store, self._client, self._config, self._clock = store, client, config, clock
        self._key = PREFIX + config.advertise_address
        self._changed = asyncio.Event()
        feed.listen(PREFIX, self._heard)

    async def join(self) -> None:
        """Be listed, before requests are served. Raises Unavailable, StatusError, alone or grouped."""
        await self._renew()
        await self._publish()

    async def run(self) -> None:
        """Stay listed, and keep the list, until cancelled."""
        kept = True
        while True:
            try:
                if kept:
                    # Not after a failure: one more wait, and the entry would have run out.
                    await within(self._clock, RENEW_S, self._keep)
                await self._renew()
                # Also what a person may have changed.
                await self._publish()
                kept = True
            except* (Unavailable, StatusError) as failed:
                kept = False
                log.warning("the list of API servers is not kept, will retry error=%s", _first(failed))
                await self._clock.sleep(RETRY_S)

    async def leave(self) -> None:
        """No longer be listed. The others need not wait for the entry to run out."""
        if not await within(self._clock, LEAVING_S, self._leave):
            log.warning("still listed as an API server for %d s, the store is slow", TTL_S)

    async def _leave(self) -> None:
        try:
            await self._store.commit((), (Delete(self._key),))
            await self._publish()
        except* (Unavailable, StatusError) as failed:
            log.warning("still listed as an API server for %d s error=%s", TTL_S, _first(failed))

    async def _keep(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._publish()

    async def _renew(self) -> None:
        await self._store.commit((), (Put(self._key, b"{}", TTL_S),))

    async def _publish(self) -> None:
        found = await self._store.range(PREFIX)
        addresses = sorted(entry.key.removeprefix(PREFIX) for entry in found.entries)
        if addresses:
            await kubernetes_service.publish(self._client, self._config, addresses)

    def _heard(self, event: Event) -> None:
        """A server came or went. Renewals are no news."""
        if event.value is None or event.previous is None:
            self._changed.set()


def _first(failed: BaseException) -> BaseException:
    while isinstance(failed, BaseExceptionGroup):
        failed = failed.exceptions[0]
    return failed
