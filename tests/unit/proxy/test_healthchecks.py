"""What a load balancer is told of a node."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.fakes.ports import reserved
from tests.unit.proxy.test_rules import NODE, TERMINATING, endpoint, service, slices

from steersman.machinery.clock import RealClock
from steersman.machinery.meta import Obj
from steersman.proxy.healthchecks import Health, HealthChecks, wanted
from steersman.proxy.services import service_ports

BALANCER: dict[str, Any] = {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30099}


def told(spec: dict[str, Any], *endpoints: Obj) -> dict[int, int]:
    found = wanted(service_ports([service(**spec)], slices(*endpoints), NODE))
    return {number: health.endpoints for number, health in found.items()}


def test_only_ready_endpoints_of_this_node_count() -> None:
    assert told(BALANCER, endpoint(2, "here"), endpoint(3), endpoint(4, "here")) == {30099: 2}
    assert told(BALANCER, endpoint(2, "here", **TERMINATING)) == {30099: 0}
    assert told(BALANCER) == {30099: 0}


def test_services_whose_traffic_may_go_to_any_node_are_not_asked_about() -> None:
    assert told({**BALANCER, "externalTrafficPolicy": "Cluster"}, endpoint(2, "here")) == {}
    assert told({**BALANCER, "type": "NodePort"}, endpoint(2, "here")) == {}


async def ask(number: int) -> tuple[int, Obj]:
    reader, writer = await asyncio.open_connection("127.0.0.1", number)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: node\r\n\r\n")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split()[1]), json.loads(body)


def test_a_port_answers_for_its_service_until_that_is_gone() -> None:
    async def scenario() -> None:
        number = reserved()
        keeps_up = True
        checks = HealthChecks(("127.0.0.1",), lambda: keeps_up, RealClock())
        await checks.update({number: Health("default", "web", 2)})
        service = {"namespace": "default", "name": "web"}
        assert await ask(number) == (200, {"service": service, "localEndpoints": 2, "serviceProxyHealthy": True})
        await checks.update({number: Health("default", "web", 0)})
        assert await ask(number) == (503, {"service": service, "localEndpoints": 0, "serviceProxyHealthy": True})
        await checks.update({number: Health("default", "web", 2)})
        keeps_up = False
        assert await ask(number) == (503, {"service": service, "localEndpoints": 2, "serviceProxyHealthy": False})
        await checks.update({})
        try:
            await ask(number)
        except ConnectionError:
            return
        raise AssertionError("somebody still answers")

    asyncio.run(scenario())
