"""metrics.k8s.io from what kubelets say: rates over two scrapes, lists, tables, and no scraping when nobody asks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson
import pytest
from tests.fakes.cluster import Cluster, cluster

from steersman.api.resources import NODE_METRICS, NODES, POD_METRICS, PODS
from steersman.apiserver.metricsapi.exposition import Point, Scrape, parse
from steersman.apiserver.metricsapi.poller import INTEREST_S, PERIOD_S
from steersman.apiserver.metricsapi.readings import Readings, reading
from steersman.apiserver.nodeproxy.backend import Unreachable
from steersman.machinery.errors import Forbidden, MethodNotAllowed, NotFound
from steersman.machinery.meta import Obj, name_of

PAGE = """# HELP node_cpu_usage_seconds_total Cumulative cpu time
# TYPE node_cpu_usage_seconds_total counter
node_cpu_usage_seconds_total 100.5 1000500
node_memory_working_set_bytes 1.048576e+06 1000500
container_cpu_usage_seconds_total{container="app",namespace="shop",pod="web"} 12.25 1000400
container_memory_working_set_bytes{container="app",namespace="shop",pod="web"} 4096 1000400
container_start_time_seconds{container="app",namespace="shop",pod="web"} 900.5
container_cpu_usage_seconds_total{container="ending",namespace="shop",pod="web"} 3
container_memory_working_set_bytes{container="ending",namespace="shop",pod="web"} 0
pod_cpu_usage_seconds_total{namespace="shop",pod="web"} 12.25 1000400
resource_scrape_error 0
nonsense{ NaN
"""


def test_a_kubelet_s_page_is_read() -> None:
    assert parse(PAGE, 7.0) == Scrape(
        Point(1000.5, 100.5, 1048576), {("shop", "web"): {"app": Point(1000.4, 12.25, 4096, 900.5)}}
    )


@pytest.mark.parametrize(
    ("what", "earlier", "later", "cores"),
    [
        ("two samples make a rate", Point(100, 1.0, 1, 50), Point(110, 6.0, 1, 50), 0.5),
        ("one sample makes none", None, Point(110, 6.0, 1, 50), None),
        ("a restart makes none", Point(100, 1.0, 1, 50), Point(110, 6.0, 1, 105), None),
        ("nor does a counter that went back", Point(100, 9.0, 1, 50), Point(110, 6.0, 1, 50), None),
        ("a young container counts from its start", None, Point(110, 6.0, 1, 98), 0.5),
        ("but not a newborn", None, Point(110, 6.0, 1, 101), None),
        ("the same sample twice is one", Point(110, 6.0, 1, 50), Point(110, 6.0, 1, 50), None),
        ("a node has no start", Point(100, 1.0, 1), Point(110, 6.0, 1), 0.5),
    ],
)
def test_rates(what: str, earlier: Point | None, later: Point, cores: float | None) -> None:
    found = reading(earlier, later)
    assert (found and found.cpu) == cores, what


def test_a_pod_shows_only_with_all_its_containers() -> None:
    readings, key = Readings(), ("shop", "web")
    readings.take({"n1": Scrape(pods={key: {"a": Point(100, 1, 1, 5)}})})
    readings.take({"n1": Scrape(pods={key: {"a": Point(110, 2, 1, 5), "b": Point(110, 2, 1, 109)}})})
    assert readings.pod(*key) == {}
    readings.take({"n1": Scrape(pods={key: {"a": Point(120, 3, 1, 5), "b": Point(120, 4, 1, 109)}})})
    assert {name: found.cpu for name, found in readings.pod(*key).items()} == {"a": 0.1, "b": 0.2}


class Kubelet:
    """Two nodes' pages: node n2 is dead; each busy container uses half a core, the machine two."""

    def __init__(self, c: Cluster) -> None:
        self.clock, self.asked = c.clock, 0
        c.server._poller._ask = self.ask

    async def ask(self, node: Obj) -> str:
        self.asked += 1
        if name_of(node) == "n2":
            raise Unreachable("connection refused")
        at = self.clock.now().timestamp()
        lines = [
            f"node_cpu_usage_seconds_total {2 * at} {at * 1000:.0f}",
            f"node_memory_working_set_bytes {1 << 30} {at * 1000:.0f}",
        ]
        for pod in ("web", "idle"):
            for container in ("app", "side"):
                labels = f'{{container="{container}",namespace="shop",pod="{pod}"}}'
                rate = 0.5 if pod == "web" else 0.0
                lines.append(f"container_cpu_usage_seconds_total{labels} {rate * at} {at * 1000:.0f}")
                lines.append(f"container_memory_working_set_bytes{labels} {3 << 20} {at * 1000:.0f}")
                lines.append(f"container_start_time_seconds{labels} 5")
        return "\n".join(lines)


def scenario(directory: Path, act: Callable[[Cluster, Kubelet], Awaitable[None]]) -> None:
    async def main() -> None:
        async with cluster(directory) as c:
            for name in ("n1", "n2"):
                await c.admin.create(
                    NODES, {"kind": "Node", "apiVersion": "v1", "metadata": {"name": name, "labels": {"n": name}}}
                )
            await c.admin.raw("POST", "/api/v1/namespaces", body=b'{"metadata":{"name":"shop"}}')
            account = b'{"metadata":{"name":"default"}}'
            await c.admin.raw("POST", "/api/v1/namespaces/shop/serviceaccounts", body=account)
            await c.clock.advance(0.1)
            for name in ("web", "idle", "new"):
                spec = {"containers": [{"name": "app", "image": "i"}, {"name": "side", "image": "i"}], "nodeName": "n1"}
                pod = {
                    "kind": "Pod",
                    "apiVersion": "v1",
                    "metadata": {"name": name, "namespace": "shop", "labels": {"app": name}},
                }
                await c.admin.create(PODS, {**pod, "spec": spec})
            await act(c, Kubelet(c))

    asyncio.run(main())


async def soon(c: Cluster, asking: Awaitable[Obj]) -> Obj:
    """The answer to the first question, for which time must pass."""
    async with asyncio.TaskGroup() as group:

        async def answer() -> Obj:
            return await asking

        task = group.create_task(answer())
        await c.clock.advance(1.5, settle_turns=200)
    return task.result()


def test_pods_and_nodes_have_metrics(tmp_path: Path) -> None:
    async def act(c: Cluster, _: Kubelet) -> None:
        found = await soon(c, c.admin.list(POD_METRICS))
        assert found["kind"] == "PodMetricsList" and [name_of(item) for item in found["items"]] == ["idle", "web"]
        web = await c.admin.get(POD_METRICS, "web", "shop")
        assert web["kind"] == "PodMetrics" and web["apiVersion"] == "metrics.k8s.io/v1beta1"
        assert web["metadata"]["labels"] == {"app": "web"} and web["window"] == "1s"
        usage = {"cpu": "500m", "memory": "3Mi"}
        assert web["containers"] == [{"name": "app", "usage": usage}, {"name": "side", "usage": usage}]
        picked = await c.admin.list(POD_METRICS, "shop", label_selector="app=web")
        assert [name_of(item) for item in picked["items"]] == ["web"]
        assert (await c.admin.list(POD_METRICS, "default"))["items"] == []
        named = await c.admin.list(POD_METRICS, "shop", field_selector="metadata.name=idle")
        assert [name_of(item) for item in named["items"]] == ["idle"]
        nodes = await c.admin.list(NODE_METRICS)
        assert [(name_of(item), item["usage"]) for item in nodes["items"]] == [("n1", {"cpu": "2", "memory": "1Gi"})]
        with pytest.raises(NotFound, match='podmetrics.metrics.k8s.io "shop/new" not found'):
            await c.admin.get(POD_METRICS, "new", "shop")
        with pytest.raises(NotFound, match='nodemetrics.metrics.k8s.io "n2" not found'):
            await c.admin.get(NODE_METRICS, "n2")
        accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
        table = await c.admin.raw("GET", "/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods", headers=accept)
        assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "cpu", "memory", "Window"]
        assert [row["cells"] for row in table["rows"]] == [["idle", "0", "6Mi", "1s"], ["web", "1", "6Mi", "1s"]]

    scenario(tmp_path, act)


def test_discovery_shows_the_group_and_only_reading_is_served(tmp_path: Path) -> None:
    async def act(c: Cluster, _: Kubelet) -> None:
        listed = await c.admin.raw("GET", "/apis/metrics.k8s.io/v1beta1")
        shown = [(item["name"], item["kind"], item["namespaced"], item["verbs"]) for item in listed["resources"]]
        assert shown == [("nodes", "NodeMetrics", False, ["get", "list"]), ("pods", "PodMetrics", True, ["get", "list"])]
        assert "metrics.k8s.io" in orjson.dumps(await c.admin.raw("GET", "/apis")).decode()
        for method, query in (("POST", ""), ("DELETE", ""), ("GET", "?watch=1")):
            with pytest.raises(MethodNotAllowed):
                await c.admin.raw(method, f"/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods{query}", body=b"{}")
        assert (await c.admin.raw("GET", "/openapi/v3/apis/metrics.k8s.io/v1beta1"))["paths"]

    scenario(tmp_path, act)


def test_metrics_are_for_those_who_may_view(tmp_path: Path) -> None:
    async def act(c: Cluster, _: Kubelet) -> None:
        with pytest.raises(Forbidden):
            await c.acting_as("jane").list(POD_METRICS, "shop")
        rbac = "rbac.authorization.k8s.io"
        binding = {
            "metadata": {"name": "jane"},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "view"},
            "subjects": [{"kind": "User", "apiGroup": rbac, "name": "jane"}],
        }
        path = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings"
        await c.admin.raw("POST", path, body=orjson.dumps(binding))
        found = await soon(c, c.acting_as("jane").list(POD_METRICS, "shop"))
        assert len(found["items"]) == 2

    scenario(tmp_path, act)


def test_kubelets_are_asked_only_while_somebody_wants_to_know(tmp_path: Path) -> None:
    async def act(c: Cluster, kubelet: Kubelet) -> None:
        await c.clock.advance(100)
        assert kubelet.asked == 0
        await soon(c, c.admin.list(POD_METRICS))
        assert kubelet.asked == 4  # two rounds, two nodes
        await c.clock.advance(INTEREST_S)
        seen = kubelet.asked
        assert seen == 2 * (1 + INTEREST_S // PERIOD_S)
        await c.clock.advance(100)
        assert kubelet.asked == seen
        found = await soon(c, c.admin.get(POD_METRICS, "web", "shop"))
        assert kubelet.asked == seen + 4 and found["window"] == "1s"

    scenario(tmp_path, act)
