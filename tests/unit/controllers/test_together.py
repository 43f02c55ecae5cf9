"""All controllers on one API: what users see of an application's life."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.controllers.world import World

from steersman import controllers
from steersman.api.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    LEASES,
    NAMESPACES,
    NODES,
    PODS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    SERVICE_ACCOUNTS,
    SERVICES,
)
from steersman.loop.spec import Delete
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, is_condition_true, is_deleting, name_of, namespace_of

SERVED = (
    CONFIG_MAPS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    LEASES,
    NAMESPACES,
    NODES,
    PODS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    SERVICE_ACCOUNTS,
    SERVICES,
)


class Cluster(World):
    """Every controller, one node, and a scheduler and kubelet that do as they are told at once."""

    def __init__(self) -> None:
        super().__init__(*controllers.build("PEM", "10.244.0.0/16"))
        self.served = SERVED
        conditions = [{"type": "Ready", "status": "True"}]
        self.put(NODES, {"metadata": {"name": "n1"}, "spec": {}, "status": {"conditions": conditions}})
        self.put(NAMESPACES, {"metadata": {"name": "shop"}, "spec": {"finalizers": ["kubernetes"]}})
        self.run()

    def run(self) -> None:
        self.settle()
        while self.kubelet():
            self.settle()

    def kubelet(self) -> bool:
        todo = [pod for pod in self.list(PODS) if is_deleting(pod) or not is_condition_true(pod, "Ready")]
        for pod in todo:
            if is_deleting(pod):
                self.remove(PODS, name_of(pod), namespace_of(pod))
            else:
                self.edit(PODS, name_of(pod), lambda found: found["spec"].update(nodeName="n1"), namespace_of(pod))
                self.make_ready(pod)
        return bool(todo)

    def in_shop(self) -> dict[str, int]:
        counts = {resource.plural: len(self.list(resource, "shop")) for resource in SERVED if resource.namespaced}
        return {plural: count for plural, count in counts.items() if count}

    def remove_by_api(self, resource: Resource, name: str, propagation: str = "") -> None:
        self._carry_out(Delete(resource, "shop" if resource.namespaced else "", name, propagation=propagation))
        self.run()


def application(c: Cluster) -> None:
    labels = {"app": "web"}
    pod: Obj = {"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80}]}]}
    spec: dict[str, Any] = {"replicas": 3, "selector": {"matchLabels": labels}}
    spec["template"] = {"metadata": {"labels": labels}, "spec": pod}
    c.put(DEPLOYMENTS, {"metadata": {"name": "web", "namespace": "shop"}, "spec": spec})
    ports = [{"port": 80, "targetPort": 80, "protocol": "TCP"}]
    service = {"selector": labels, "ports": ports, "clusterIP": "10.96.0.9", "ipFamilies": ["IPv4"]}
    c.put(SERVICES, {"metadata": {"name": "web", "namespace": "shop"}, "spec": service})
    c.run()


COMPLETE = {
    "configmaps": 1,
    "deployments": 1,
    "endpointslices": 1,
    "endpoints": 1,
    "pods": 3,
    "replicasets": 1,
    "serviceaccounts": 1,
    "services": 1,
}


def test_an_application_comes_up_with_its_endpoints() -> None:
    c = Cluster()
    application(c)
    assert c.in_shop() == COMPLETE
    assert len(c.list(ENDPOINT_SLICES)[0]["endpoints"]) == 3
    assert c.list(NODES)[0]["spec"]["podCIDR"] == "10.244.0.0/24"


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
def test_deleting_the_deployment_takes_its_replica_sets_and_pods(propagation: str) -> None:
    c = Cluster()
    application(c)
    c.remove_by_api(DEPLOYMENTS, "web", propagation)
    assert c.in_shop().keys() == COMPLETE.keys() - {"deployments", "replicasets", "pods"}


def test_orphaned_pods_are_adopted_by_a_deployment_made_again() -> None:
    c = Cluster()
    application(c)
    before = {name_of(pod) for pod in c.list(PODS)}
    c.remove_by_api(DEPLOYMENTS, "web", "Orphan")
    application(c)
    assert {name_of(pod) for pod in c.list(PODS)} == before and c.in_shop() == COMPLETE


def test_deleting_the_service_takes_its_endpoints_and_slices() -> None:
    c = Cluster()
    application(c)
    c.remove_by_api(SERVICES, "web")
    assert c.in_shop().keys() == COMPLETE.keys() - {"services", "endpoints", "endpointslices"}


def test_deleting_the_namespace_takes_everything() -> None:
    c = Cluster()
    application(c)
    c.remove_by_api(NAMESPACES, "shop")
    c.advance(3)
    c.run()
    assert c.in_shop() == {} and c.list(NAMESPACES) == []


def test_controllers_carry_upstream_s_names() -> None:
    names = [spec.name for spec in controllers.build("PEM", "10.244.0.0/16")]
    assert len(set(names)) == len(names) > 20
    assert all(name.endswith("-controller") for name in names)
