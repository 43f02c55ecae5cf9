"""Running blocking work off the event loop so that a cancelled caller never leaves it half done behind its back.

`off_loop` uses the loop's pool. `in_own_thread` uses a thread that ends afterwards, for work that changes the thread itself
(namespaces, working directory, credentials).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def off_loop(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of the blocking call. If the caller is cancelled, the call is waited for, then the cancellation goes on."""
    loop = asyncio.get_running_loop()
    return await finish(loop.run_in_executor(None, lambda: function(*args, **kwargs)))


async def in_own_thread(function: Callable[[], T]) -> T:
    """Like off_loop, in a fresh thread that has ended afterwards: a control group it had joined can be removed."""
    outcome: concurrent.futures.Future[T] = concurrent.futures.Future()

    def body() -> None:
        try:
            outcome.set_result(function())
        except BaseException as error:
            outcome.set_exception(error)

    thread = threading.Thread(target=body, name="native-own", daemon=True)
    thread.start()
    try:
        return await finish(asyncio.wrap_future(outcome))
    finally:
        await off_loop(ended, thread)


def ended(thread: threading.Thread) -> None:
    """Wait until the kernel, too, has done with it: a moment after Python."""
    thread.join()
    while os.path.exists(f"/proc/self/task/{thread.native_id}"):
        os.sched_yield()


async def finish(future: asyncio.Future[T]) -> T:
    """Await the future; on cancellation wait for it all the same, then raise the cancellation."""
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError:
                continue
        if not future.cancelled():
            future.exception()  # seen: the cancellation is what is reported
        raise
