"""A server's entry among those that live, while the store has its moments: it must not run out as long as the server lives."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from tests.fakes.server import config, world

from steersman.apiserver.presence import PREFIX, Presence
from steersman.store.interface import Commit, Delete, Guard, Put, Unavailable
from steersman.store.memory import MemoryStore


class Moody(MemoryStore):
    """A store that refuses so many renewals."""

    refusals = 0

    async def commit(self, guards: Sequence[Guard], ops: Sequence[Put | Delete]) -> Commit:
        if self.refusals and any(op.key.startswith(PREFIX) for op in ops):
            self.refusals -= 1
            raise Unavailable("an election")
        return await super().commit(guards, ops)


def test_an_entry_does_not_run_out_because_one_renewal_failed() -> None:
    async def scenario() -> None:
        async with world() as w:
            store = Moody(w.clock)
            presence = Presence(
                store, w.server.feed, w.client, replace(config(advertise_address="10.0.0.1"), secure_port=6443), w.clock
            )
            await presence.join()
            listed: list[int] = []
            async with asyncio.TaskGroup() as group:
                running = group.create_task(presence.run())
                await w.clock.advance(5)
                store.refusals = 1
                for _ in range(30):
                    await w.clock.advance(1)
                    listed.append((await store.range(PREFIX)).count)
                running.cancel()
            assert store.refusals == 0
            assert listed == [1] * 30

    asyncio.run(scenario())
