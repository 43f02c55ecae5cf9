"""Which of several equal components works: the one that holds the lease. The others wait, ready to follow.

The flags are in commands/election.py; how a lease is held and lost is in client/leases.py.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from steersman.client.interface import Client
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj, new_uid

TELLING_LIMIT_S = 1.0
"""How long the event that tells who leads may keep the work waiting, or the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Election:
    """The lease a component holds while it works, and upstream's timing."""

    name: str
    namespace: str = "kube-system"
    identity: str = ""
    """Unique among the candidates; empty: made anew."""
    lease_duration_s: float = 15
    renew_deadline_s: float = 10
    retry_period_s: float = 2

    @classmethod
    def unhurried(cls, name: str, identity: str) -> Election:
        """For one whose identity outlives its process: it need not wait for itself, so that renewing seldom costs nothing.

        Measured: three leases at upstream's pace take 0.3 % of a core, most of what an idle control plane may.
        """
        return cls(name=name, identity=identity, lease_duration_s=40, renew_deadline_s=30, retry_period_s=10)


def kept_identity(path: Path) -> str:
    """The same as long as the file is there: who comes back after a crash holds its lease already, and need not wait for it."""
    try:
        return path.read_text()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(fresh_identity())
        return path.read_text()


def fresh_identity() -> str:
    return f"{socket.gethostname()}_{new_uid()}"


async def led(
    client: Client, election: Election | None, component: str, clock: Clock, lead: Callable[[], Awaitable[None]]
) -> None:
    """Run `lead()`; with an election only while holding its lease, which events of `component` tell. Raises LeadershipLost."""
    if election is None:
        await lead()
        return
    from steersman.client.events import EventRecorder
    from steersman.client.leases import LeaderElector

    recorder = EventRecorder(client, component, "", clock)

    def tell(lease: Obj, text: str) -> None:
        recorder.event(lease, "Normal", "LeaderElection", text)

    elector = LeaderElector(
        client,
        election.namespace,
        election.name,
        election.identity or fresh_identity(),
        clock,
        lease_duration_s=election.lease_duration_s,
        renew_deadline_s=election.renew_deadline_s,
        retry_period_s=election.retry_period_s,
        tell=tell,
    )

    async def telling() -> None:
        await recorder.flush(TELLING_LIMIT_S)
        await lead()

    try:
        await elector.run(telling)
    finally:
        await recorder.flush(TELLING_LIMIT_S)
