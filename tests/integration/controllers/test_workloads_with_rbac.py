"""Workload controllers against real policy, each writing as its own service account: a role that lacks something fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.cluster import Cluster as Server
from tests.fakes.cluster import cluster as server

from steersman import controllers
from steersman.api.resources import (
    CLUSTER_ROLES,
    CONTROLLER_REVISIONS,
    CRON_JOBS,
    DAEMON_SETS,
    DEPLOYMENTS,
    JOBS,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    POD_DISRUPTION_BUDGETS,
    PODS,
    RESOURCE_QUOTAS,
    STATEFUL_SETS,
)
from steersman.apiserver import local
from steersman.client.accounts import AccountTransport
from steersman.client.events import EventRecorder
from steersman.client.rest import RestClient
from steersman.cluster.controlling import ACCOUNTS
from steersman.loop import runner
from steersman.machinery.errors import TooManyRequests
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, dig, format_time, is_condition_true, is_deleting, labels_of, name_of

LABELS = {"app": "x"}
TEMPLATE: Obj = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": "registry/x:1"}]}}


class Cluster:
    """The server, the controllers, and a scheduler and kubelet that act when told. `outcome`: how a pod that runs ends, if."""

    def __init__(self, here: Server) -> None:
        self.here, self.client = here, here.admin
        self.outcome: Callable[[Obj], str] = lambda _: ""

    async def items(self, resource: Resource) -> list[Obj]:
        found: list[Obj] = (await self.client.list(resource, "default" if resource.namespaced else ""))["items"]
        return found

    async def make(self, resource: Resource, name: str, **parts: Any) -> Obj:
        metadata: Obj = {"name": name, **({"namespace": "default"} if resource.namespaced else {})}
        obj = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **parts}
        return await self.client.create(resource, obj)

    async def pass_time(self, seconds: float) -> None:
        await self.here.clock.advance(seconds, settle_turns=300)

    async def until(self, what: str, holds: Callable[[], Awaitable[bool]], *, steps: int = 60, step_s: float = 0.5) -> None:
        for _ in range(steps):
            if await holds():
                return
            await self.kubelet()
            await self.pass_time(step_s)
        raise AssertionError(f"never happened: {what}")

    async def kubelet(self) -> None:
        for pod in await self.items(PODS):
            name, phase = name_of(pod), dig(pod, "status", "phase", default="Pending")
            if is_deleting(pod):
                await self.client.delete(PODS, name, "default", grace_period_s=0)
            elif not dig(pod, "spec", "nodeName"):
                target = {"apiVersion": "v1", "kind": "Node", "name": node_for(pod)}
                binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target}
                await self.client.create(PODS, binding, "default", name=name, subresource="binding")
            elif phase == "Pending":
                await self.report(name, "Running", [{"type": "Ready", "status": "True"}])
            elif phase == "Running" and (ending := self.outcome(pod)):
                await self.report(name, ending, [{"type": "Ready", "status": "False"}])

    async def report(self, name: str, phase: str, conditions: list[Obj]) -> None:
        moment = format_time(self.here.clock.now())
        status = {"phase": phase, "conditions": [{**item, "lastTransitionTime": moment} for item in conditions]}
        await self.client.patch(PODS, name, {"status": status}, "default", kind="strategic", subresource="status")

    async def images(self) -> list[str]:
        return sorted(pod["spec"]["containers"][0]["image"] for pod in await self.items(PODS) if not is_deleting(pod))


def node_for(pod: Obj) -> str:
    path = ("spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms", 0)
    return str(dig(pod, *path, "matchFields", 0, "values", 0, default="n1"))


@asynccontextmanager
async def cluster(directory: Path) -> AsyncIterator[Cluster]:
    async with server(directory) as here, asyncio.TaskGroup() as group:
        manager = here.acting_as("system:kube-controller-manager")
        nameless = local.transport(here.server.handler)

        def acting(name: str) -> RestClient:
            account = ACCOUNTS.get(name, name)
            return RestClient(AccountTransport(nameless, manager, "kube-system", account, here.clock), user_agent=name)

        recorder = EventRecorder(manager, "controller-manager", "", here.clock)
        specs = controllers.build("PEM", "10.244.0.0/16")
        metadata = manager.metadata_only()
        running = group.create_task(
            runner.run(manager, specs, here.clock, recorder=recorder, metadata_client=metadata, acting=acting)
        )
        made = Cluster(here)
        for name in ("n1", "n2"):
            ready = {
                "type": "Ready",
                "status": "True",
                "reason": "KubeletReady",
                "lastHeartbeatTime": format_time(here.clock.now()),
            }
            await made.client.create(
                NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": {"conditions": [ready]}}
            )
            await made.client.patch(NODES, name, {"spec": {"taints": None}})
        await made.pass_time(0.5)
        yield made
        running.cancel()


def run(directory: Path, caplog: pytest.LogCaptureFixture, scenario: Callable[[Cluster], Awaitable[None]]) -> None:
    """Fails as well if a controller was refused anything."""

    async def main() -> None:
        async with cluster(directory) as c:
            await scenario(c)

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    assert [record.getMessage() for record in caplog.records if "orbidden" in record.getMessage()] == []


def test_daemon_sets_roll_over_all_nodes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(c: Cluster) -> None:
        await c.make(DAEMON_SETS, "x", spec={"selector": {"matchLabels": LABELS}, "template": TEMPLATE})

        async def on_all() -> bool:
            found = await c.client.get(DAEMON_SETS, "x", "default")
            status = found["status"]
            seen = status.get("observedGeneration") == found["metadata"]["generation"]
            return bool(seen and status.get("numberAvailable") == status.get("updatedNumberScheduled") == 2)

        await c.until("a pod on each node", on_all)
        assert sorted(pod["spec"]["nodeName"] for pod in await c.items(PODS)) == ["n1", "n2"]
        patch = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "registry/x:2"}]}}}}
        await c.client.patch(DAEMON_SETS, "x", patch, "default", kind="strategic")
        await c.until("the update", on_all)
        assert await c.images() == ["registry/x:2"] * 2 and len(await c.items(CONTROLLER_REVISIONS)) == 2

    run(tmp_path, caplog, scenario)


def test_stateful_sets_keep_order_and_claims(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(c: Cluster) -> None:
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        spec = {
            "replicas": 2,
            "serviceName": "x",
            "selector": {"matchLabels": LABELS},
            "template": TEMPLATE,
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}],
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete", "whenScaled": "Delete"},
        }
        await c.make(STATEFUL_SETS, "x", spec=spec)

        async def settled() -> bool:
            found = await c.client.get(STATEFUL_SETS, "x", "default")
            status, wanted = found["status"], found["spec"]["replicas"]
            same = status.get("currentRevision") == status.get("updateRevision") and status.get("updatedReplicas") == wanted
            seen = status.get("observedGeneration") == found["metadata"]["generation"]
            return bool(same and seen and status["replicas"] == wanted == status.get("readyReplicas"))

        await c.until("both pods", settled)
        assert [name_of(pod) for pod in await c.items(PODS)] == ["x-0", "x-1"]
        assert [name_of(item) for item in await c.items(PERSISTENT_VOLUME_CLAIMS)] == ["data-x-0", "data-x-1"]
        patch = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "registry/x:2"}]}}}}
        await c.client.patch(STATEFUL_SETS, "x", patch, "default", kind="strategic")
        await c.until("the update", settled)
        assert await c.images() == ["registry/x:2"] * 2
        await c.client.patch(STATEFUL_SETS, "x", {"spec": {"replicas": 1}}, "default")

        async def one_claim() -> bool:
            return [name_of(item) for item in await c.items(PERSISTENT_VOLUME_CLAIMS)] == ["data-x-0"]

        await c.until("the second claim's end", one_claim)
        await c.client.delete(STATEFUL_SETS, "x", "default")

        async def nothing() -> bool:
            return not await c.items(PERSISTENT_VOLUME_CLAIMS) and not await c.items(CONTROLLER_REVISIONS)

        await c.until("everything's end", nothing)

    run(tmp_path, caplog, scenario)


def test_jobs_count_their_pods_and_go_after_their_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(c: Cluster) -> None:
        failed: set[str] = set()

        def outcome(pod: Obj) -> str:
            index = labels_of(pod).get("batch.kubernetes.io/job-completion-index", "")
            if index == "1" and index not in failed:
                failed.add(index)
                return "Failed"
            return "Succeeded"

        c.outcome = outcome
        template = {"spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}
        spec = {
            "completions": 3,
            "parallelism": 2,
            "completionMode": "Indexed",
            "template": template,
            "ttlSecondsAfterFinished": 30,
        }
        await c.make(JOBS, "x", spec=spec)

        async def complete() -> bool:
            return is_condition_true(await c.client.get(JOBS, "x", "default"), "Complete")

        await c.until("completion", complete)
        status = (await c.client.get(JOBS, "x", "default"))["status"]
        assert (status["succeeded"], status["failed"], status["completedIndexes"]) == (3, 1, "0-2")
        assert not any(pod["metadata"].get("finalizers") for pod in await c.items(PODS))

        async def gone() -> bool:
            return not await c.items(JOBS) and not await c.items(PODS)

        await c.until("the job's end", gone, steps=100)

    run(tmp_path, caplog, scenario)


def test_cron_jobs_start_jobs_and_replace_those_that_still_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(c: Cluster) -> None:
        template = {"spec": {"template": {"spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}}}
        await c.make(CRON_JOBS, "x", spec={"schedule": "* * * * *", "concurrencyPolicy": "Replace", "jobTemplate": template})
        seen: set[str] = set()

        async def three() -> bool:
            seen.update(name_of(job) for job in await c.items(JOBS))
            return len(seen) >= 3

        await c.until("three jobs", three, steps=30, step_s=10)
        assert len([job for job in await c.items(JOBS) if not is_deleting(job)]) == 1
        c.outcome = lambda _: "Succeeded"

        async def history() -> bool:
            done = [job for job in await c.items(JOBS) if is_condition_true(job, "Complete")]
            seen.update(map(name_of, done))
            return len(seen) > 7 and len(done) == 3

        await c.until("a history of three", history, steps=60, step_s=10)
        assert (await c.client.get(CRON_JOBS, "x", "default"))["status"]["lastSuccessfulTime"]

    run(tmp_path, caplog, scenario)


def test_a_budget_lets_one_pod_go_at_a_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(c: Cluster) -> None:
        await c.make(DEPLOYMENTS, "x", spec={"replicas": 3, "selector": {"matchLabels": LABELS}, "template": TEMPLATE})
        await c.make(POD_DISRUPTION_BUDGETS, "x", spec={"maxUnavailable": 1, "selector": {"matchLabels": LABELS}})

        async def allowed() -> bool:
            status = (await c.client.get(POD_DISRUPTION_BUDGETS, "x", "default")).get("status") or {}
            return bool(status.get("currentHealthy") == 3 and status.get("disruptionsAllowed") == 1)

        await c.until("healthy pods", allowed)
        first, second, _ = [name_of(pod) for pod in await c.items(PODS)]
        await evict(c, first)
        with pytest.raises(TooManyRequests):
            await evict(c, second)
        await c.until("the successor", allowed)
        await evict(c, second)
        await c.until("the next successor", allowed)
        await c.make(PODS, "p", spec=TEMPLATE["spec"])
        await c.report("p", "Running", [{"type": "DisruptionTarget", "status": "True"}])

        async def taken_back() -> bool:
            pod = await c.client.get(PODS, "p", "default")
            return not is_condition_true(pod, "DisruptionTarget")

        await c.until("the stale mark's end", taken_back, steps=20, step_s=10)

    run(tmp_path, caplog, scenario)


async def evict(c: Cluster, name: str) -> None:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "default"}}
    await c.client.create(PODS, body, "default", name=name, subresource="eviction")


def test_claims_volumes_and_aggregated_roles(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(c: Cluster) -> None:
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        await c.make(PERSISTENT_VOLUME_CLAIMS, "data", spec={**claim, "storageClassName": "other"})
        volume = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/x"}}
        await c.make(PERSISTENT_VOLUMES, "disk", spec=volume)
        mounts = {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}], "nodeName": "n1"}
        await c.make(PODS, "p", spec={**TEMPLATE["spec"], **mounts})
        rule = {"verbs": ["get"], "apiGroups": ["example.com"], "resources": ["boats"]}
        labels = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
        role = {"apiVersion": CLUSTER_ROLES.api_version, "kind": "ClusterRole", "rules": [rule]}
        await c.client.create(CLUSTER_ROLES, {**role, "metadata": {"name": "boats", "labels": labels}})
        await c.pass_time(1)
        for name in ("view", "edit", "admin"):
            assert rule in (await c.client.get(CLUSTER_ROLES, name))["rules"], name
        await c.client.delete(PERSISTENT_VOLUME_CLAIMS, "data", "default")
        await c.client.delete(PERSISTENT_VOLUMES, "disk")
        await c.pass_time(1)
        assert [is_deleting(item) for item in await c.items(PERSISTENT_VOLUME_CLAIMS)] == [True]
        assert not (await c.client.list(PERSISTENT_VOLUMES))["items"]
        await c.client.delete(PODS, "p", "default", grace_period_s=0)
        await c.pass_time(1)
        assert await c.items(PERSISTENT_VOLUME_CLAIMS) == []

    run(tmp_path, caplog, scenario)


def test_quotas_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(c: Cluster) -> None:
        await c.make(RESOURCE_QUOTAS, "q", spec={"hard": {"pods": "9", "requests.cpu": "4", "count/jobs.batch": "2"}})
        resources = {"requests": {"cpu": "500m"}}
        container = {**TEMPLATE["spec"]["containers"][0], "resources": resources}
        spec = {"completions": 2, "parallelism": 2, "template": {"spec": {"containers": [container], "restartPolicy": "Never"}}}
        await c.make(JOBS, "x", spec=spec)

        async def used(pods: str, cpu: str) -> bool:
            found = (await c.client.get(RESOURCE_QUOTAS, "q", "default")).get("status") or {}
            return bool(found.get("used") == {"pods": pods, "requests.cpu": cpu, "count/jobs.batch": "1"})

        await c.until("both pods' use", lambda: used("2", "1"))
        c.outcome = lambda _: "Succeeded"
        await c.until("finished pods' giving it back", lambda: used("0", "0"))

    run(tmp_path, caplog, scenario)
