"""The cloud controllers: pure ControllerSpecs that ask the provider by way of Call. Not here: what providers do.

Source: upstream staging/src/k8s.io/cloud-provider/controllers.
"""

from __future__ import annotations

from steersman.cloud.controllers import node, nodelifecycle, route, service
from steersman.cloud.interface import Provider
from steersman.loop.spec import ControllerSpec
from steersman.machinery.clock import Clock


def build(provider: Provider, cluster_name: str, cluster_cidr: str, clock: Clock) -> tuple[ControllerSpec, ...]:
    """Those controllers the provider has work for, with fresh memories. `cluster_cidr`: empty leaves routes alone."""
    made: list[ControllerSpec] = []
    if provider.load_balancer is not None:
        made.append(service.spec(provider.load_balancer, cluster_name))
    if provider.instances is not None:
        made += [node.spec(provider.instances), nodelifecycle.spec(provider.instances)]
    if provider.routes is not None and cluster_cidr:
        made.append(route.spec(provider.routes, cluster_name, cluster_cidr, clock))
    return tuple(made)
