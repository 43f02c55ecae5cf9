"""Leader election on a coordination.k8s.io/v1 Lease. Source: client-go leaderelection, same timing and fields.

A candidate trusts only its own clock: a lease has expired when the candidate has seen it unchanged for its duration.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import random
from collections.abc import Awaitable, Callable

from steersman.api.resources import LEASES
from steersman.client.interface import Client
from steersman.machinery.clock import Clock
from steersman.machinery.errors import Conflict, NotFound, StatusError
from steersman.machinery.meta import Obj, format_micro_time
from steersman.machinery.waiting import Backoff, within

log = logging.getLogger(__name__)


RELEASE_LIMIT_S = 2.0
"""How long giving the lease back may take: who ends must end, and the lease runs out by itself."""

Tell = Callable[[Obj, str], None]
"""tell(lease, text): says `<identity> became leader` and `<identity> stopped leading` about the lease, as an event."""


class LeadershipLost(Exception):
    """The lease could not be renewed in time: another may lead now. The process should end, or stand again."""


class LeaderElector:
    """One candidate. `identity` must be unique among candidates (upstream: host name, underscore, a UUID)."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
        clock: Clock,
        *,
        lease_duration_s: float = 15,
        renew_deadline_s: float = 10,
        retry_period_s: float = 2,
        rng: random.Random | None = None,
        tell: Tell | None = None,
    ) -> None:
        self.leading = False
        self._tell_of = tell
        self._trouble = ""
        self._leader = ""
        self._client, self._clock, self._identity = client, clock, identity
        self._namespace, self._name = namespace, name
        self._lease_duration_s, self._renew_deadline_s, self._retry_period_s = lease_duration_s, renew_deadline_s, retry_period_s
        self._rng = rng or random.Random()
        self._observed: Obj | None = None
        self._observed_at_s = 0.0

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Wait to be leader, then run `lead()` while renewing. Gives the lease back when `lead` ends or this is cancelled.

        Raises LeadershipLost (after cancelling `lead`) if the lease is lost.
        """
        await self._acquire()
        self._tell("became leader")
        try:
            async with asyncio.TaskGroup() as group:
                renewing = group.create_task(self._renew())
                await lead()
                renewing.cancel()
        except BaseExceptionGroup as failed:
            # `lead` was cancelled by the task group; what the caller needs to know is why.
            lost = failed.subgroup(LeadershipLost)
            raise (lost.exceptions[0] if lost is not None else failed) from None
        finally:
            self._tell("stopped leading")
            if self.leading:
                self.leading = False
                await within(self._clock, RELEASE_LIMIT_S, self._release)

    async def _acquire(self) -> None:
        # A lease that another holds is looked at now and then; a server that is only just starting is asked again soon.
        soon = Backoff(0.05, self._retry_period_s, rng=self._rng)
        while not await self._try():
            await self._clock.sleep(soon.next() if self._trouble else self._retry_period_s * (1 + 1.2 * self._rng.random()))

    async def _renew(self) -> None:
        while True:
            await self._clock.sleep(self._retry_period_s)
            if not await within(self._clock, self._renew_deadline_s, self._renew_once):
                self.leading = False
                where, limit_s = f"{self._namespace}/{self._name}", self._renew_deadline_s
                log.error("failed to renew lease %s in %g s: %s", where, limit_s, self._trouble or f"{self._leader} has it")
                raise LeadershipLost("leaderelection lost")

    async def _renew_once(self) -> None:
        while not await self._try():
            await self._clock.sleep(self._retry_period_s)

    async def _try(self) -> bool:
        """Take or renew the lease; False if another has it or the server can't be reached."""
        try:
            self.leading = await self._take()
        except (StatusError, ConnectionError, ValueError) as error:
            # ValueError: an answer that makes no sense, a proxy's page. Once per trouble, not once per try.
            level = logging.DEBUG if self._trouble == str(error) else logging.WARNING
            self._trouble = str(error)
            log.log(level, "lease not taken, will retry lease=%s/%s error=%s", self._namespace, self._name, error)
            return False
        self._trouble = ""
        return self.leading

    async def _take(self) -> bool:
        if self.leading and self._observed is not None:
            # The usual case, one request: nobody wrote since our last renewal. A conflict falls through to a fresh read.
            try:
                self._observe(await self._client.update(LEASES, self._written(self._observed)))
                return True
            except StatusError as error:
                log.debug("lease changed under its holder error=%s", error)
        try:
            lease = await self._client.get(LEASES, self._name, self._namespace)
        except NotFound:
            made: Obj = {
                "apiVersion": LEASES.api_version,
                "kind": LEASES.kind,
                "metadata": {"name": self._name, "namespace": self._namespace},
                "spec": {},
            }
            self._observe(await self._client.create(LEASES, self._written(made)))
            return True
        self._observe(lease)
        holder = (lease.get("spec") or {}).get("holderIdentity") or ""
        if holder and holder != self._identity and not self._expired(lease):
            if holder != self._leader:
                log.info("waiting, another leads lease=%s/%s leader=%s", self._namespace, self._name, holder)
            self._leader = holder
            return False
        self._observe(await self._client.update(LEASES, self._written(lease)))
        return True

    def _observe(self, lease: Obj) -> None:
        if self._observed is None or self._observed.get("spec") != lease.get("spec"):
            self._observed_at_s = self._clock.monotonic()
        self._observed = lease

    def _expired(self, lease: Obj) -> bool:
        duration_s = float((lease.get("spec") or {}).get("leaseDurationSeconds") or self._lease_duration_s)
        return self._clock.monotonic() >= self._observed_at_s + duration_s

    def _written(self, lease: Obj) -> Obj:
        """The lease as we would hold it from now on."""
        now = format_micro_time(self._clock.now())
        wanted = copy.deepcopy(lease)
        spec: Obj = wanted.setdefault("spec", {})
        if spec.get("holderIdentity") != self._identity:
            if "holderIdentity" in spec:
                spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + 1
            spec.update(holderIdentity=self._identity, acquireTime=now)
            spec.setdefault("leaseTransitions", 0)
        spec.update(leaseDurationSeconds=int(self._lease_duration_s), renewTime=now)
        return wanted

    def _tell(self, what: str) -> None:
        log.info("%s lease=%s/%s identity=%s", what, self._namespace, self._name, self._identity)
        if self._tell_of is not None and self._observed is not None:
            self._tell_of(self._observed, f"{self._identity} {what}")

    async def _release(self) -> None:
        """Let the next candidate in at once, not after the lease's duration."""
        if self._observed is None:
            return
        try:
            try:
                await self._give_back(self._observed)
            except Conflict:
                # A renewal may have been taken whose answer was not waited for.
                lease = await self._client.get(LEASES, self._name, self._namespace)
                if (lease.get("spec") or {}).get("holderIdentity") == self._identity:
                    await self._give_back(lease)
        except (StatusError, ConnectionError) as error:
            log.warning("lease not released lease=%s/%s error=%s", self._namespace, self._name, error)

    async def _give_back(self, lease: Obj) -> None:
        now = format_micro_time(self._clock.now())
        given_back = copy.deepcopy(lease)
        given_back["spec"].update(holderIdentity="", leaseDurationSeconds=1, renewTime=now, acquireTime=now)
        await self._client.update(LEASES, given_back)
