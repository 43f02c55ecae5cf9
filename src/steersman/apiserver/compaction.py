"""Forgetting history: every five minutes the store is compacted to where it stood five minutes before.

Without it a store grows with every lease renewal. Clients resume watches and page through lists within that time; later ones
get 410 and start anew. Source: upstream's --etcd-compaction-interval.
"""

from __future__ import annotations

import logging

from steersman.machinery.clock import Clock
from steersman.store.interface import Compacted, Store, Unavailable

log = logging.getLogger(__name__)

INTERVAL_S = 300.0


async def run(store: Store, clock: Clock) -> None:
    """Until cancelled. A store that cannot do it now is asked again at the next turn."""
    seen = 0
    while True:
        try:
            current = await store.progress()
            if seen:
                await store.compact(seen)
            seen = current
        except Compacted:
            seen = 0
        except Unavailable as fault:
            log.warning("store not compacted error=%s", fault)
        await clock.sleep(INTERVAL_S)
