"""The autoscaler, the metrics API and a Deployment together, under real policy; only the kubelet's numbers are made up."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.controllers.test_workloads_with_rbac import LABELS, Cluster, run

from steersman.api.resources import DEPLOYMENTS, EVENTS, HORIZONTAL_POD_AUTOSCALERS, NODES, PODS
from steersman.machinery.meta import Obj, condition, dig, format_time, name_of

TEMPLATE: Obj = {
    "metadata": {"labels": LABELS},
    "spec": {"containers": [{"name": "c", "image": "registry/x:1", "resources": {"requests": {"cpu": "100m"}}}]},
}


class Kubelet:
    """Says of every running pod that it uses that many millicores, and has done for long."""

    def __init__(self, c: Cluster) -> None:
        self.c, self.milli = c, 50
        self.used, self.at = 1000.0, c.here.clock.now().timestamp()
        c.here.server._poller._ask = self.page

    async def page(self, node: Obj) -> str:
        now = self.c.here.clock.now().timestamp()
        self.used += (now - self.at) * self.milli / 1000
        self.at = now
        at = f"{now * 1000:.0f}"
        lines = [f"node_cpu_usage_seconds_total {now} {at}", f"node_memory_working_set_bytes 1024 {at}"]
        for pod in await self.c.items(PODS):
            if dig(pod, "spec", "nodeName") != name_of(node) or dig(pod, "status", "phase") != "Running":
                continue
            labels = f'{{container="c",namespace="default",pod="{name_of(pod)}"}}'
            lines.append(f"container_cpu_usage_seconds_total{labels} {self.used} {at}")
            lines.append(f"container_memory_working_set_bytes{labels} 4096 {at}")
            lines.append(f"container_start_time_seconds{labels} 1")
        return "\n".join(lines)


async def heartbeat(c: Cluster) -> None:
    """What the kubelets report in between."""
    for node in await c.items(NODES):
        ready = {"type": "Ready", "lastHeartbeatTime": format_time(c.here.clock.now())}
        await c.client.patch(NODES, name_of(node), {"status": {"conditions": [ready]}}, kind="strategic", subresource="status")
    for pod in await c.items(PODS):
        if not dig(pod, "status", "startTime"):
            status = {"startTime": format_time(c.here.clock.now())}
            await c.client.patch(PODS, name_of(pod), {"status": status}, "default", subresource="status")


def test_a_busy_deployment_grows_and_shrinks_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(c: Cluster) -> None:
        kubelet = Kubelet(c)
        await c.make(DEPLOYMENTS, "x", spec={"replicas": 2, "selector": {"matchLabels": LABELS}, "template": TEMPLATE})
        target = {"type": "Utilization", "averageUtilization": 50}
        await c.make(
            HORIZONTAL_POD_AUTOSCALERS,
            "x",
            spec={
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"},
                "maxReplicas": 4,
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 30}},
            },
        )

        async def status() -> Obj:
            found: Obj = (await c.client.get(HORIZONTAL_POD_AUTOSCALERS, "x", "default"))["status"]
            return found

        async def active() -> bool:
            await heartbeat(c)
            found = condition((await status()).get("conditions"), "ScalingActive")
            return found is not None and found["status"] == "True"

        async def replicas(wanted: int) -> bool:
            await heartbeat(c)
            found = await c.client.get(DEPLOYMENTS, "x", "default")
            return bool(found["spec"]["replicas"] == found["status"].get("readyReplicas") == wanted)

        await c.until("metrics", active, step_s=5)
        assert (await status())["currentMetrics"][0]["resource"]["current"] == {"averageUtilization": 50, "averageValue": "50m"}
        kubelet.milli = 90
        await c.until("more pods", lambda: replicas(4), step_s=5)
        kubelet.milli = 10
        await c.until("fewer pods", lambda: replicas(1), step_s=5)
        told = [event["message"] for event in await c.items(EVENTS) if event["reason"] == "SuccessfulRescale"]
        up = "New size: 4; reason: cpu resource utilization (percentage of request) above target"
        assert up in told and "New size: 1; reason: All metrics below target" in told

    run(tmp_path, caplog, scenario)
