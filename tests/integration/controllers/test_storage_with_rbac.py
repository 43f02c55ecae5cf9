"""Storage on a server with real policy: claims, volumes, provisioner and the scheduler, each with the rights of its own role."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from tests.integration.controllers.test_workloads_with_rbac import LABELS, TEMPLATE, Cluster, run

from steersman.api.resources import NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STATEFUL_SETS
from steersman.client.rest import RestClient
from steersman.cluster import addons
from steersman.loop import localpath
from steersman.machinery.errors import NotFound
from steersman.machinery.meta import Obj, annotations_of, dig, is_deleting, name_of
from steersman.scheduler import run as scheduler

KUBELET = ("system:node:n1", "system:nodes")


class Storage:
    """The cluster with a node that offers its disk, and its kubelet's part in removing volumes."""

    def __init__(self, c: Cluster) -> None:
        self.c = c
        self.kubelet: RestClient = c.here.acting_as(*KUBELET)

    async def set_up(self) -> None:
        for resource, obj in addons.local_path():
            await self.c.client.create(resource, obj)
        offer = {"metadata": {"annotations": {localpath.DIRECTORY: "/srv/local"}, "labels": {"kubernetes.io/hostname": "n1"}}}
        await self.c.client.patch(NODES, "n1", offer)
        status = {"status": {"allocatable": {"cpu": "4", "memory": "4Gi", "pods": "10"}}}
        await self.kubelet.patch(NODES, "n1", status, kind="strategic", subresource="status")

    async def remove_folders(self) -> None:
        node = await self.kubelet.get(NODES, "n1")
        asked = [name for name, state in localpath.removals(node) if state == localpath.ASKED]
        if asked:
            await self.kubelet.patch(NODES, "n1", localpath.marking(asked, localpath.DONE))

    async def volumes(self) -> list[Obj]:
        return await self.c.items(PERSISTENT_VOLUMES)


def test_a_stateful_sets_claims_come_with_its_pods_and_go_when_asked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(c: Cluster) -> None:
        storage = Storage(c)
        await storage.set_up()
        async with asyncio.TaskGroup() as group:
            client = c.here.acting_as("system:kube-scheduler")
            running = group.create_task(scheduler.run(client, c.here.clock, rng=random.Random(1)))
            wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
            claims = [{"metadata": {"name": "data"}, "spec": wanted}]
            spec = {"replicas": 2, "serviceName": "db", "selector": {"matchLabels": LABELS}, "template": TEMPLATE}
            await c.make(STATEFUL_SETS, "db", spec={**spec, "volumeClaimTemplates": claims})

            async def runs() -> bool:
                found = await c.items(PODS)
                for pod in found:
                    if dig(pod, "spec", "nodeName") and dig(pod, "status", "phase") == "Pending":
                        await c.report(name_of(pod), "Running", [{"type": "Ready", "status": "True"}])
                return [dig(pod, "status", "phase") for pod in found] == ["Running"] * 2

            for _ in range(60):
                if await runs():
                    break
                await c.pass_time(0.5)
            assert await runs()
            assert [dig(item, "status", "phase") for item in await storage.volumes()] == ["Bound", "Bound"]
            claim = await storage.kubelet.get(PERSISTENT_VOLUME_CLAIMS, "data-db-0", "default")
            volume = await storage.kubelet.get(PERSISTENT_VOLUMES, claim["spec"]["volumeName"])
            assert volume["spec"]["local"]["path"] == f"/srv/local/{name_of(volume)}", "the node may read what its pods use"

            await c.client.delete(STATEFUL_SETS, "db", "default")
            await c.client.delete(PERSISTENT_VOLUME_CLAIMS, "data-db-0", "default")
            await c.pass_time(1)
            assert is_deleting(await c.client.get(PERSISTENT_VOLUME_CLAIMS, "data-db-0", "default")), "its pod still ends"
            for _ in range(20):
                for pod in await c.items(PODS):
                    if is_deleting(pod):
                        await c.client.delete(PODS, name_of(pod), "default", grace_period_s=0)
                await storage.remove_folders()
                await c.pass_time(0.5)
            assert [dig(item, "spec", "claimRef", "name") for item in await storage.volumes()] == ["data-db-1"]
            with pytest.raises(NotFound):
                await c.client.get(PERSISTENT_VOLUME_CLAIMS, "data-db-0", "default")
            node = await c.client.get(NODES, "n1")
            assert not list(localpath.removals(node)) and localpath.DIRECTORY in annotations_of(node)
            running.cancel()

    run(tmp_path, caplog, scenario)
