"""The asyncio clients: kubernetes-asyncio, and the one that comes with the official client. They differ in details only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import kubernetes.aio.client
import kubernetes.aio.config
import kubernetes.aio.dynamic
import kubernetes.aio.stream
import kubernetes.aio.watch
import kubernetes_asyncio.client
import kubernetes_asyncio.config
import kubernetes_asyncio.dynamic
import kubernetes_asyncio.stream
import kubernetes_asyncio.watch
import pytest
from tests.integration.clients.served import PATIENCE_S, Served

MODULES = pytest.mark.parametrize("module", [kubernetes_asyncio, kubernetes.aio], ids=["kubernetes-asyncio", "kubernetes.aio"])
Scenario = Callable[[Any], Awaitable[None]]


@asynccontextmanager
async def client(module: Any, served: Served) -> AsyncIterator[Any]:
    async with await module.config.new_client_from_config(str(served.kubeconfig)) as made:
        yield made


def run(module: Any, served: Served, scenario: Scenario) -> None:
    async def whole() -> None:
        async with asyncio.timeout(3 * PATIENCE_S), client(module, served) as made:
            await scenario(made)

    asyncio.run(whole())


def pod(module: Any, name: str) -> Any:
    container = module.client.V1Container(name="c", image="nginx", command=["sh", "-c", "echo hello; sleep infinity"])
    spec = module.client.V1PodSpec(containers=[container], termination_grace_period_seconds=0)
    return module.client.V1Pod(metadata=module.client.V1ObjectMeta(name=name), spec=spec)


@MODULES
def test_a_pod_is_made_watched_until_it_runs_spoken_with_and_deleted(
    module: Any, served: Served, api: object, namespace: str
) -> None:
    async def until_running(core: Any, since: str) -> None:
        async with module.watch.Watch().stream(core.list_namespaced_pod, namespace, resource_version=since) as events:
            async for event in events:
                statuses = event["object"].status.container_statuses or []
                if event["object"].status.phase == "Running" and all(status.ready for status in statuses):
                    return

    async def scenario(made: Any) -> None:
        core = module.client.CoreV1Api(made)
        await core.create_namespaced_pod(namespace, pod(module, "web"))
        await until_running(core, "0")
        assert await core.read_namespaced_pod_log("web", namespace) == "hello\n"
        configuration = made.configuration
        async with module.stream.WsApiClient(configuration) as sockets:
            command = {"command": ["hostname"], "stderr": True, "stdin": False, "stdout": True, "tty": False}
            inside = module.client.CoreV1Api(sockets)
            assert await inside.connect_get_namespaced_pod_exec("web", namespace, **command) == "web\n"
            command["command"] = ["sh", "-c", "echo out; echo err >&2; exit 3"]
            if module is kubernetes_asyncio:
                socket = await inside.connect_get_namespaced_pod_exec("web", namespace, _preload_content=False, **command)
            else:
                socket = await inside.connect_get_namespaced_pod_exec_without_preload_content("web", namespace, **command)
            said: dict[int, bytes] = {}
            async with socket as connected:
                async for message in connected:
                    said[message.data[0]] = said.get(message.data[0], b"") + message.data[1:]
            assert (said[1], said[2]) == (b"out\n", b"err\n")
            assert module.stream.WsApiClient.parse_error_data(said[3]) == 3
        await core.delete_namespaced_pod("web", namespace)

    run(module, served, scenario)


@MODULES
def test_patches_conflicts_and_pages(module: Any, served: Served, api: object, namespace: str) -> None:
    async def scenario(made: Any) -> None:
        core = module.client.CoreV1Api(made)
        for number in range(5):
            body = {"metadata": {"name": f"page-{number}", "labels": {"of": "tests"}}, "data": {"a": "1"}}
            await core.create_namespaced_config_map(namespace, body)
        seen, token = [], None
        while token != "":
            page = await core.list_namespaced_config_map(namespace, limit=2, label_selector="of=tests", _continue=token)
            seen += [item.metadata.name for item in page.items]
            token = page.metadata._continue or ""
        assert seen == [f"page-{number}" for number in range(5)]
        merge = {"_content_type": "application/merge-patch+json"}
        changed = await core.patch_namespaced_config_map("page-0", namespace, {"data": {"a": None, "b": "2"}}, **merge)
        assert changed.data == {"b": "2"}
        mine = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "page-0"}, "data": {"b": "3"}}
        applied = {"_content_type": "application/apply-patch+yaml", "field_manager": "mine"}
        with pytest.raises(module.client.ApiException) as refused:
            await core.patch_namespaced_config_map("page-0", namespace, mine, **applied)
        assert refused.value.status == 409
        forced = await core.patch_namespaced_config_map("page-0", namespace, mine, force=True, **applied)
        assert forced.data == {"b": "3"}
        stale = await core.read_namespaced_config_map("page-1", namespace)
        await core.patch_namespaced_config_map("page-1", namespace, {"data": {"a": "2"}}, **merge)
        with pytest.raises(module.client.ApiException) as late:
            await core.replace_namespaced_config_map("page-1", namespace, stale)
        assert late.value.status == 409

    run(module, served, scenario)


@MODULES
def test_the_dynamic_client_finds_applies_and_watches(module: Any, served: Served, api: object, namespace: str) -> None:
    async def scenario(made: Any) -> None:
        dynamic = await module.dynamic.DynamicClient(made)
        configs = await dynamic.resources.get(api_version="v1", kind="ConfigMap")
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "labels": {"of": "tests"}}, "data": {"a": "1"}}
        applied = await dynamic.server_side_apply(configs, body=body, namespace=namespace, field_manager="tests")
        assert applied.data.a == "1"
        changed = await dynamic.patch(configs, body={"data": {"a": "2"}}, name="c", namespace=namespace)
        assert changed.data.to_dict() == {"a": "2"}
        seen = [
            (event["type"], event["object"].data.a)
            async for event in dynamic.watch(configs, namespace=namespace, label_selector="of=tests", timeout=1)
        ]
        assert seen == [("ADDED", "2")]
        await dynamic.delete(configs, name="c", namespace=namespace)
        found = await dynamic.get(configs, namespace=namespace, label_selector="of=tests")
        assert not found.items

    run(module, served, scenario)
