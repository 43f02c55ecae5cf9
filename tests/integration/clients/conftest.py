"""One cluster for all clients, and a namespace for each test."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client as k8s
from kubernetes import config
from tests.e2e.harness import eventually
from tests.integration.clients.served import NODES, Served

_LEAVE_SOCKETS_OPEN = ("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Some of these clients leave their connections to the garbage collector."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            for text in _LEAVE_SOCKETS_OPEN:
                item.add_marker(pytest.mark.filterwarnings(text))


@pytest.fixture(scope="module", autouse=True)
def own_garbage() -> Iterator[None]:
    """What tests here leave is not found by others that would take it for their own."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = Served(tmp_path_factory.mktemp("clients"))
    try:
        yield made
    finally:
        made.end()


@pytest.fixture(scope="session")
def api(served: Served) -> Iterator[k8s.ApiClient]:
    """The official client, as administrator."""
    with config.new_client_from_config(str(served.kubeconfig)) as made:
        core = k8s.CoreV1Api(made)

        def ready() -> object:
            nodes = core.list_node().items
            return sum(c.type == "Ready" and c.status == "True" for node in nodes for c in node.status.conditions or ()) == NODES

        try:
            eventually(lambda: ready() or not served.is_running)
            assert served.is_running
        except AssertionError:
            raise AssertionError(f"the nodes are not Ready: {served.log('control').read_text()}") from None
        yield made


@pytest.fixture
def namespace(api: k8s.ApiClient, request: pytest.FixtureRequest) -> Iterator[str]:
    """One of its own for a test, with all that a namespace gets, so that pods may be made at once; deleted without waiting."""
    stem = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower().removeprefix("test_")).strip("-")[:40].strip("-")
    core = k8s.CoreV1Api(api)
    name = core.create_namespace(k8s.V1Namespace(metadata=k8s.V1ObjectMeta(generate_name=f"{stem}-"))).metadata.name
    eventually(lambda: core.list_namespaced_service_account(name).items, what="its service account")
    eventually(lambda: core.list_namespaced_config_map(name).items, what="its ConfigMap with the cluster's CA")
    yield name
    core.delete_namespace(name)
