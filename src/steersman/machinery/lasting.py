"""Work that goes on until it is cancelled, whatever goes wrong in it: the boundary of a background loop.

In a TaskGroup an exception that nobody expected ends everything: every connection of a server, for the sake of a loop that one
odd object has thrown out of step. Upstream's loops recover from a panic, log it and go on (util/wait, util/runtime). What can be
expected to fail is still caught where it is known what to do about it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from steersman.machinery.clock import Clock

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0


async def lasting(name: str, work: Callable[[], Awaitable[None]], clock: Clock) -> None:
    """Run `work()` to its end. When it raises an Exception it is logged, and begun anew after a pause, which grows while that is
    all it does. So whatever it has subscribed to it must let go on the way out, and it must look at everything when it begins.
    """
    pause_s = FIRST_PAUSE_S
    while True:
        began_s = clock.monotonic()
        try:
            await work()
            return
        except Exception:
            if being_cancelled():
                # A TaskGroup that is cancelled raises its children's errors, if one of them failed at that.
                raise
            if clock.monotonic() - began_s > LONGEST_PAUSE_S:
                pause_s = FIRST_PAUSE_S
            log.exception("background work failed, begun anew work=%s pause_s=%g", name, pause_s)
        await clock.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def being_cancelled() -> bool:
    """Whether it is this task that shall end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
