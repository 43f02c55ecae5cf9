"""What every process of a cluster has: an event loop that ends in good order when told to, and clients by kubeconfig.

What is not here: what runs in each (apiserving.py, controlling.py, nodeparts.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from steersman.client import kubeconfig
from steersman.client.bounded import BoundedTransport
from steersman.client.patience import PatientTransport
from steersman.client.rest import RestClient
from steersman.cluster.observed import Observed
from steersman.cluster.settings import ClusterSettings, Paths
from steersman.machinery.clock import Clock, RealClock

log = logging.getLogger(__name__)

_LEASES = "/apis/coordination.k8s.io/"


def run_until_told(main: Callable[[], Awaitable[None]]) -> None:
    """Run a component on its own event loop until SIGTERM or SIGINT, then let it finish. Errors are raised."""
    import uvloop

    # Read when grpc is first imported, which is later. With it grpc stops its own threads around every fork of ours, to start nft
    # for one: calls that are under way may then never end.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")

    async def guarded() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_unless_moot)
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await main()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(guarded())


def _unless_moot(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """The loop's usual complaint, but of a connection that broke in the moment in which who read from it was cancelled.

    Nobody is left then to take the news, which would be told with a traceback: so it went when a server and its clients were
    told to end at once.
    """
    future, exception = context.get("future"), context.get("exception")
    if isinstance(exception, ConnectionError) and isinstance(future, asyncio.Future) and not isinstance(future, asyncio.Task):
        log.debug("a connection ended under a cancelled request error=%s", exception)
        return
    loop.default_exception_handler(context)


@contextlib.asynccontextmanager
async def client_for(
    path: Path, component: str, clock: Clock | None = None, observed: Observed | None = None, *, at_once: int = 0
) -> AsyncIterator[RestClient]:
    """A client with the credentials of a kubeconfig, closed at the end. at_once: so many requests at most (0: as they come), but
    leases: what keeps a node alive does not wait behind what somebody's webhook keeps waiting."""
    connections = kubeconfig.load(path)
    if observed is not None:
        connections.counts = observed.requests
    limited = BoundedTransport(connections, at_once, past=_LEASES) if at_once else connections
    transport = PatientTransport(limited, clock or RealClock())
    client = RestClient(transport, user_agent=f"steersman-{component}", field_manager=component)
    try:
        yield client
    finally:
        await client.close()


def run_part(part: Callable[[Paths, ClusterSettings, Clock], Awaitable[None]], paths: Paths, settings: ClusterSettings) -> None:
    """A part's process from beginning to end."""
    clock = RealClock()
    run_until_told(lambda: part(paths, settings, clock))
