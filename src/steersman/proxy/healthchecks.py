"""The health check node ports: where a load balancer in front of nodes asks whether a service has ready endpoints on this one.

For services of type LoadBalancer whose external traffic stays on the node that takes it. 200 with a ready endpoint here, 503
without one (terminating ones still serve, but get no new clients), or when the proxy does not keep up. Source: upstream
pkg/proxy/healthcheck.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus

from steersman.machinery.clock import Clock
from steersman.proxy.pages import NOT_FOUND, Page, listen
from steersman.proxy.services import ServicePort

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Health:
    """How many endpoints of a service are ready here."""

    namespace: str
    name: str
    endpoints: int

    def page(self, *, keeps_up: bool) -> Page:
        told = {
            "service": {"namespace": self.namespace, "name": self.name},
            "localEndpoints": self.endpoints,
            "serviceProxyHealthy": keeps_up,
        }
        status = HTTPStatus.OK if self.endpoints and keeps_up else HTTPStatus.SERVICE_UNAVAILABLE
        weight = f"X-Load-Balancing-Endpoint-Weight: {self.endpoints}"
        return Page(status, "application/json", json.dumps(told, indent="\t"), (weight,))


def wanted(ports: Iterable[ServicePort]) -> dict[int, Health]:
    """By health check node port. An endpoint counts once, however many ports of the service it has."""
    ready: dict[tuple[int, str, str], frozenset[str]] = {}
    for port in ports:
        if port.health_port:
            key = (port.health_port, port.namespace, port.name)
            ready[key] = ready.get(key, frozenset()) | port.local_ready
    return {number: Health(namespace, name, len(ips)) for (number, namespace, name), ips in ready.items()}


class HealthChecks:
    """Listens on the wanted ports of the node's addresses. Used by one task; `close` when it ends.

    keeps_up: whether the proxy does.
    """

    def __init__(self, node_ips: tuple[str, ...], keeps_up: Callable[[], bool], clock: Clock) -> None:
        self._node_ips, self._keeps_up, self._clock = node_ips, keeps_up, clock
        self._health: dict[int, Health] = {}
        self._servers: dict[int, asyncio.Server] = {}

    async def update(self, health: dict[int, Health]) -> None:
        self._health = health
        for number in self._servers.keys() - health.keys():
            self._servers.pop(number).close()
        for number in health.keys() - self._servers.keys():
            try:
                self._servers[number] = await self._listen(number)
            except OSError as fault:
                log.error(
                    "health check port not opened service=%s/%s error=%s", health[number].namespace, health[number].name, fault
                )

    def close(self) -> None:
        for server in self._servers.values():
            server.close()
        self._servers.clear()

    async def _listen(self, number: int) -> asyncio.Server:
        """Whatever is asked there, the answer is the same."""

        def page_of(_path: str) -> Page:
            health = self._health.get(number)
            return health.page(keeps_up=self._keeps_up()) if health is not None else NOT_FOUND

        return await listen(self._node_ips, number, page_of, self._clock)
