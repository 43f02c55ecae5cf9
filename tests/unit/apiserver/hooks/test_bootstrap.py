"""What stands after the first start, and that a second start changes nothing that is right and mends what is not."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes.client import FakeClient
from tests.fakes.cluster import Cluster, cluster, settings

from steersman.api.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    CONFIG_MAPS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    NAMESPACES,
    PRIORITY_CLASSES,
    ROLE_BINDINGS,
    ROLES,
    SERVICE_CIDRS,
    SERVICES,
)  # fmt: skip
from steersman.apiserver import hooks
from steersman.apiserver.hooks import kubernetes_service, rbac_policy, service_cidr
from steersman.apiserver.run import APIServer
from steersman.machinery.clock import VirtualClock
from steersman.machinery.errors import Invalid
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, name_of
from steersman.store.memory import MemoryStore


async def again(made: Cluster) -> int:
    """Bootstrap once more; how many commits that took."""
    before = await made.store.progress()
    await hooks.bootstrap(made.server.client, made.server.config, made.clock)
    return await made.store.progress() - before


async def names(made: Cluster, resource: Resource) -> set[str]:
    return {name_of(item) for item in (await made.admin.list(resource))["items"]}


def test_the_first_start_makes_what_every_cluster_has(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as made:
            assert await names(made, NAMESPACES) == {"default", "kube-system", "kube-public", "kube-node-lease"}
            assert await names(made, PRIORITY_CLASSES) == {"system-node-critical", "system-cluster-critical"}
            for resource, expected in (
                (CLUSTER_ROLES, rbac_policy.cluster_roles()),
                (CLUSTER_ROLE_BINDINGS, rbac_policy.cluster_role_bindings()),
                (ROLES, rbac_policy.roles()),
                (ROLE_BINDINGS, rbac_policy.role_bindings()),
            ):
                assert await names(made, resource) == {name_of(obj) for obj in expected}
            service = await made.admin.get(SERVICES, "kubernetes", "default")
            assert service["spec"]["clusterIP"] == "10.96.0.1"
            port = service["spec"]["ports"][0]
            assert (port["name"], port["port"], port["targetPort"]) == ("https", 443, 6443)
            endpoints = await made.admin.get(ENDPOINTS, "kubernetes", "default")
            assert endpoints["subsets"][0]["addresses"] == [{"ip": "10.0.0.1"}]
            endpoint_slice = await made.admin.get(ENDPOINT_SLICES, "kubernetes", "default")
            assert endpoint_slice["endpoints"][0]["addresses"] == ["10.0.0.1"]
            shown = await made.admin.get(SERVICE_CIDRS, "kubernetes")
            assert shown["spec"]["cidrs"] == ["10.96.0.0/16"]
            assert [(it["type"], it["status"]) for it in shown["status"]["conditions"]] == [("Ready", "True")]
            trust = await made.admin.get(CONFIG_MAPS, "extension-apiserver-authentication", "kube-system")
            assert trust["data"] == {"client-ca-file": "a certificate"}

    asyncio.run(scenario())


def test_a_second_start_writes_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as made:
            assert await again(made) == 0

    asyncio.run(scenario())


def test_a_start_mends_what_was_taken_away_and_leaves_what_was_added(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as made:
            role = await made.admin.get(CLUSTER_ROLES, "system:kube-dns")
            extra = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]}
            await made.admin.update(CLUSTER_ROLES, {**role, "rules": [extra]})
            kept = await made.admin.get(CLUSTER_ROLES, "system:node-proxier")
            kept["metadata"]["annotations"]["rbac.authorization.kubernetes.io/autoupdate"] = "false"
            await made.admin.update(CLUSTER_ROLES, {**kept, "rules": [extra]})
            await made.admin.delete(CLUSTER_ROLE_BINDINGS, "system:kube-dns")
            assert await again(made) == 2
            rules = (await made.admin.get(CLUSTER_ROLES, "system:kube-dns"))["rules"]
            assert rules == [extra, {"apiGroups": [""], "resources": ["endpoints", "services"], "verbs": ["list", "watch"]}]
            assert (await made.admin.get(CLUSTER_ROLES, "system:node-proxier"))["rules"] == [extra]
            assert "system:kube-dns" in await names(made, CLUSTER_ROLE_BINDINGS)

    asyncio.run(scenario())


def test_the_address_taken_by_another_server_for_the_same_service_is_no_fault(tmp_path: Path) -> None:
    async def scenario() -> None:
        client = FakeClient()
        client.fail_next("create", Invalid("provided IP is already allocated"))
        await kubernetes_service.ensure(client, settings(tmp_path))
        assert (await client.get(SERVICES, "kubernetes", "default"))["spec"]["clusterIP"] == "10.96.0.1"

    asyncio.run(scenario())


def test_two_servers_that_start_together_on_one_store_both_start(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        store = MemoryStore(clock)
        servers = [APIServer(settings(tmp_path), store, clock) for _ in range(2)]
        async with asyncio.TaskGroup() as group:
            for server in servers:
                group.create_task(run_briefly(server))
        assert (await store.range("/registry/networking.k8s.io/ipaddresses/")).count == 1
        await store.close()

    async def run_briefly(server: APIServer) -> None:
        await server.start(listen=False)
        await server.stop()

    asyncio.run(scenario())


# --- the policy itself


def rules_of(name: str) -> list[Obj]:
    (role,) = [role for role in rbac_policy.cluster_roles() if name_of(role) == name]
    found: list[Obj] = role["rules"]
    return found


def grants(name: str) -> set[tuple[str, str, str]]:
    """(verb, group, resource) of a role's rules without names."""
    return {
        (verb, group, resource)
        for rule in rules_of(name)
        for verb in rule["verbs"]
        for group in rule.get("apiGroups", ())
        for resource in rule.get("resources", ())
        if "resourceNames" not in rule
    }


def test_every_binding_points_to_a_role_that_is_there() -> None:
    cluster_roles = {name_of(role) for role in rbac_policy.cluster_roles()}
    assert {binding["roleRef"]["name"] for binding in rbac_policy.cluster_role_bindings()} <= cluster_roles
    roles = {(role["metadata"]["namespace"], name_of(role)) for role in rbac_policy.roles()}
    assert {(item["metadata"]["namespace"], item["roleRef"]["name"]) for item in rbac_policy.role_bindings()} == roles


def test_admin_holds_what_edit_holds_and_edit_what_view_holds() -> None:
    view, edit, admin = grants("view"), grants("edit"), grants("admin")
    assert view < edit < admin
    assert ("get", "", "secrets") in edit - view
    assert ("create", "rbac.authorization.k8s.io", "roles") in admin - edit
    assert ("get", "", "nodes") not in admin


@pytest.mark.parametrize(
    ("role", "grant", "held"),
    [
        ("system:kube-scheduler", ("create", "", "pods/binding"), True),
        ("system:kube-scheduler", ("get", "", "secrets"), False),
        ("system:controller:deployment-controller", ("create", "apps", "replicasets"), True),
        ("system:controller:deployment-controller", ("create", "", "pods"), False),
        ("system:controller:replicaset-controller", ("create", "", "pods"), True),
        ("system:controller:node-controller", ("create", "events.k8s.io", "events"), True),
        ("system:controller:clusterrole-aggregation-controller", ("escalate", "rbac.authorization.k8s.io", "clusterroles"), True),
        ("system:node", ("create", "certificates.k8s.io", "certificatesigningrequests"), True),
        ("system:discovery", ("list", "", "namespaces"), False),
    ],
)
def test_a_component_holds_what_it_needs_and_not_more(role: str, grant: tuple[str, str, str], held: bool) -> None:
    assert (grant in grants(role)) is held


def test_only_the_cluster_admin_and_the_sweeping_controllers_name_all_resources() -> None:
    sweeping = {name_of(role) for role in rbac_policy.cluster_roles() for rule in role["rules"] if rule.get("resources") == ["*"]}
    assert sweeping == {
        "cluster-admin", "system:kube-controller-manager", "system:controller:generic-garbage-collector",
        "system:controller:horizontal-pod-autoscaler", "system:controller:namespace-controller",
        "system:controller:resourcequota-controller",
    }  # fmt: skip


def test_another_service_range_is_not_said_to_be_the_first(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as made:
            await made.admin.patch(SERVICE_CIDRS, "kubernetes", {"status": {"conditions": []}}, subresource="status")
            other = replace(made.server.config, service_cidr="10.97.0.0/16")
            await service_cidr.ensure(made.server.client, other, made.clock)
            found = await made.admin.get(SERVICE_CIDRS, "kubernetes")
            assert found["spec"]["cidrs"] == ["10.96.0.0/16"] and not found["status"].get("conditions")
            await service_cidr.ensure(made.server.client, made.server.config, made.clock)
            assert (await made.admin.get(SERVICE_CIDRS, "kubernetes"))["status"]["conditions"][0]["status"] == "True"

    asyncio.run(scenario())
