"""Forgetting history: every five minutes the store is compacted to where it stood five minutes before.

Without it a store grows with every lease renewal. Clients resume watches and page through lists within that time; later ones
get 410 and start anew. Of several API servers over one store one does it: whoever is first to write a turn down.
Source: upstream's --etcd-compaction-interval, etcd3/compact.go.
"""

from __future__ import annotations

import logging

from steersman.machinery.clock import Clock
from steersman.store.interface import Compacted, Guard, Put, Store, Unavailable

log = logging.getLogger(__name__)

INTERVAL_S = 300.0
KEY = "/registry/compaction/turn"
"""Below the root, where each revision is an event: whoever waits for a revision waits for one."""


async def run(store: Store, clock: Clock) -> None:
    """Until cancelled. A store that cannot do it now is asked again at the next turn."""
    turn = seen = 0
    while True:
        try:
            current = await store.progress()
            if seen:
                # Only one server's write follows the turn that all know; the others learn of it.
                taken = await store.commit((Guard(KEY, turn),), (Put(KEY, str(seen).encode()),))
                if taken.ok:
                    await store.compact(seen)
            entry, _ = await store.get(KEY)
            turn, seen = entry.mod_revision if entry is not None else 0, current
        except Compacted:
            seen = 0
        except Unavailable as fault:
            log.warning("store not compacted error=%s", fault)
        await clock.sleep(INTERVAL_S)
