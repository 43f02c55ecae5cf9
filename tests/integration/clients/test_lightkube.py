"""lightkube: its models hold what the server says, and its clients, blocking and on asyncio, get, apply, watch and wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lightkube import ALL_NS, ApiError, AsyncClient, Client, KubeConfig, codecs, operators
from lightkube.core.resource import NamespacedResource
from lightkube.generic_resource import (
    async_load_in_cluster_generic_resources,
    create_global_resource,
    create_namespaced_resource,
    load_in_cluster_generic_resources,
)
from lightkube.models.apps_v1 import DeploymentSpec
from lightkube.models.autoscaling_v1 import ScaleSpec
from lightkube.models.core_v1 import Container, PodSpec, PodTemplateSpec
from lightkube.models.meta_v1 import LabelSelector, ObjectMeta
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Node, Pod
from lightkube.types import CascadeType, PatchType
from tests.e2e.harness import eventually
from tests.integration.clients.served import PATIENCE_S, Served

NAMESPACE = "lightkube-everything"


@pytest.fixture(scope="module")
def config(served: Served, api: object) -> KubeConfig:
    return KubeConfig.from_file(str(served.kubeconfig))


@pytest.fixture(scope="module")
def client(config: KubeConfig) -> Iterator[Client]:
    with Client(config=config, field_manager="lightkube") as made:
        yield made


def config_map(namespace: str, name: str, labels: dict[str, str] | None = None, **data: str) -> Any:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace=namespace, labels=labels or {}), data=data)


def deployment(namespace: str, replicas: int) -> Any:
    labels = {"app": "web"}
    template = PodTemplateSpec(
        metadata=ObjectMeta(labels=labels),
        spec=PodSpec(containers=[Container(name="c", image="nginx")], terminationGracePeriodSeconds=0),
    )
    spec = DeploymentSpec(replicas=replicas, selector=LabelSelector(matchLabels=labels), template=template)
    return Deployment(apiVersion="apps/v1", kind="Deployment", metadata=ObjectMeta(name="web", namespace=namespace), spec=spec)


def test_every_kind_of_manifest_is_applied_and_read_back(client: Client) -> None:
    text = (Path(__file__).parent / "everything.yaml").read_text()
    # Kinds of the whole cluster are another test's.
    renamed = text.replace("namespace: everything}", f"namespace: {NAMESPACE}}}").replace(
        "metadata: {name: everything}", f"metadata: {{name: {NAMESPACE}}}", 1
    )
    objects: list[Any] = [
        one for one in codecs.load_all_yaml(renamed) if isinstance(one, NamespacedResource) or one.kind == "Namespace"
    ]
    assert len(objects) > 25
    managed = []
    for one in objects:
        if one.kind == "Pod":
            eventually(lambda: _accounts(client), what="the service account")
        made = client.apply(one, force=True)
        managed += [entry.manager for entry in made.metadata.managedFields or ()]
    # Who applies nothing but a name manages nothing.
    assert managed == ["lightkube"] * (len(objects) - 2)
    for one in objects[1:]:
        found = client.get(type(one), one.metadata.name, namespace=NAMESPACE)
        assert found.metadata.uid and found.kind == one.kind
        if one.apiVersion == "events.k8s.io/v1":
            # Events that the controllers write through core/v1 have no eventTime, which the models want.
            continue
        assert one.metadata.name in [item.metadata.name for item in client.list(type(one), namespace=NAMESPACE)]
    assert codecs.dump_all_yaml([client.get(ConfigMap, "one", namespace=NAMESPACE)])
    client.delete(type(objects[0]), NAMESPACE)


def _accounts(client: Client) -> list[object]:
    from lightkube.resources.core_v1 import ServiceAccount

    return [one for one in client.list(ServiceAccount, namespace=NAMESPACE) if one.metadata.name == "default"]


def test_lists_are_chosen_from_by_labels_and_fields(client: Client, namespace: str) -> None:
    for name, labels in {"a": {"tier": "front"}, "b": {"tier": "back"}, "c": {"tier": "back", "old": ""}}.items():
        client.create(config_map(namespace, name, labels))

    def names(**options: Any) -> list[str]:
        return sorted(one.metadata.name for one in client.list(ConfigMap, namespace=namespace, **options))

    assert names(labels={"tier": "back"}) == ["b", "c"]
    assert names(labels={"tier": operators.in_(["front", "back"]), "old": operators.not_exists()}) == ["a", "b"]
    assert names(labels={"tier": operators.not_in(["back"]), "kind": None}) == []
    assert names(fields={"metadata.name": "b"}) == ["b"]
    assert names(labels={"tier": None}, fields={"metadata.name": operators.not_equal("b")}) == ["a", "c"]
    assert names(labels={"tier": None}, chunk_size=1) == ["a", "b", "c"]
    listed = client.list(ConfigMap, namespace=ALL_NS, labels={"tier": "front"})
    assert [one.metadata.namespace for one in listed] == [namespace] and listed.resourceVersion
    client.deletecollection(ConfigMap, namespace=namespace)
    assert names(labels={"tier": None}) == []


def test_patches_applies_and_their_conflicts(client: Client, config: KubeConfig, namespace: str) -> None:
    client.create(config_map(namespace, "c", a="1"))
    assert client.patch(ConfigMap, "c", {"data": {"b": "2"}}, namespace=namespace).data == {"a": "1", "b": "2"}
    merged = client.patch(ConfigMap, "c", {"data": {"a": None}}, namespace=namespace, patch_type=PatchType.MERGE)
    assert merged.data == {"b": "2"}
    steps = [{"op": "add", "path": "/data/c", "value": "3"}]
    assert client.patch(ConfigMap, "c", steps, namespace=namespace, patch_type=PatchType.JSON).data == {"b": "2", "c": "3"}
    mine = ConfigMap(apiVersion="v1", kind="ConfigMap", metadata=ObjectMeta(name="c", namespace=namespace), data={"b": "4"})
    with Client(config=config, field_manager="others") as other:
        with pytest.raises(ApiError) as refused:
            other.apply(mine)
        assert (refused.value.status.code, refused.value.status.reason) == (409, "Conflict")
        assert [cause.field for cause in refused.value.status.details.causes] == [".data.b"]
        assert other.apply(mine, force=True).data == {"b": "4", "c": "3"}
    stale = client.get(ConfigMap, "c", namespace=namespace)
    client.patch(ConfigMap, "c", {"data": {"d": "5"}}, namespace=namespace)
    with pytest.raises(ApiError) as late:
        client.replace(stale)
    assert late.value.status.reason == "Conflict"
    tried = client.create(config_map(namespace, "dry"), dry_run=True)
    assert tried.metadata.uid
    with pytest.raises(ApiError) as missing:
        client.get(ConfigMap, "dry", namespace=namespace)
    assert missing.value.status.code == 404


def test_a_deployment_is_applied_waited_for_scaled_and_its_pods_executed_in(client: Client, namespace: str) -> None:
    client.apply(deployment(namespace, 1))
    ready = client.wait(Deployment, "web", for_conditions=["Available"], namespace=namespace)
    assert ready.status.availableReplicas == 1

    def scaled() -> bool:
        scale = client.get(Deployment.Scale, "web", namespace=namespace)
        try:
            client.replace(Deployment.Scale(metadata=scale.metadata, spec=ScaleSpec(replicas=2)), "web", namespace=namespace)
        except ApiError as error:
            # A controller may have written a status since it was read.
            assert error.status.reason == "Conflict"
            return False
        return True

    eventually(scaled, what="it is scaled")
    for kind, seen in client.watch(Deployment, namespace=namespace, fields={"metadata.name": "web"}):
        if kind in ("ADDED", "MODIFIED") and seen.status.readyReplicas == 2:
            break
    pod = next(iter(client.list(Pod, namespace=namespace, labels={"app": "web"})))
    assert list(client.log(pod.metadata.name, namespace=namespace)) == []
    command = ["sh", "-c", "echo out; echo err >&2; exit 3"]
    done = client.exec(pod.metadata.name, namespace=namespace, command=command, stdout=True, stderr=True)
    assert (done.stdout, done.stderr, done.exit_code) == ("out\n", "err\n", 3)
    client.delete(Deployment, "web", namespace=namespace, cascade=CascadeType.FOREGROUND)
    eventually(lambda: not list(client.list(Pod, namespace=namespace)), what="its pods are gone")
    node = client.get(Node, "sim-0001")
    assert node.status.nodeInfo.kubeletVersion.startswith("v1.36")


def definition(plural: str, kind: str, scope: str) -> Any:
    text = f"""
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: {plural}.lightkube.example.com}}
spec:
  group: lightkube.example.com
  scope: {scope}
  names: {{plural: {plural}, kind: {kind}}}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {{status: {{}}}}
    schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}
"""
    (made,) = codecs.load_all_yaml(text)
    return made


def test_kinds_of_ones_own_are_loaded_from_the_cluster(client: Client, namespace: str) -> None:
    definitions = [definition("lamps", "Lamp", "Cluster"), definition("bulbs", "Bulb", "Namespaced")]
    for one in definitions:
        client.create(one)
    try:
        for one in definitions:
            client.wait(type(one), one.metadata.name, for_conditions=["Established"])
        load_in_cluster_generic_resources(client)
        Lamp = create_global_resource("lightkube.example.com", "v1", "Lamp", "lamps")
        Bulb = create_namespaced_resource("lightkube.example.com", "v1", "Bulb", "bulbs")
        lamps: list[Any] = codecs.load_all_yaml(
            "{apiVersion: lightkube.example.com/v1, kind: Lamp, metadata: {name: a}, spec: {bright: true}}"
        )
        assert client.create(lamps[0]).spec == {"bright": True}
        lit: Any = client.patch(Lamp.Status, "a", {"status": {"lit": True}}, patch_type=PatchType.MERGE)
        assert lit.status == {"lit": True}
        bulb: Any = Bulb(metadata=ObjectMeta(name="b", namespace=namespace), spec={"watts": 5})
        assert client.apply(bulb, field_manager="tests").spec == {"watts": 5}
        bulbs: list[Any] = list(client.list(Bulb, namespace=ALL_NS))
        assert [one.metadata.name for one in bulbs] == ["b"]
        client.delete(Lamp, "a")
    finally:
        for one in definitions:
            client.delete(type(one), one.metadata.name)


def test_the_client_on_asyncio_does_the_same(config: KubeConfig, namespace: str) -> None:
    async def scenario() -> None:
        client = AsyncClient(config=config, field_manager="lightkube")
        try:
            await async_load_in_cluster_generic_resources(client)
            await client.apply(deployment(namespace, 2))
            ready = await client.wait(Deployment, "web", for_conditions=["Available"], namespace=namespace)
            assert ready.spec.replicas == 2
            pods = [pod async for pod in client.list(Pod, namespace=namespace, labels={"app": "web"})]
            assert len(pods) == 2
            name = pods[0].metadata.name
            done = await client.exec(name, command="hostname", namespace=namespace, stdout=True)
            assert done.stdout == f"{name}\n"
            await client.delete(Pod, name, namespace=namespace)
            since = pods[0].metadata.resourceVersion
            async for kind, seen in client.watch(
                Pod, namespace=namespace, fields={"metadata.name": name}, resource_version=since
            ):
                if kind == "DELETED":
                    assert seen.metadata.name == name
                    break
        finally:
            await client.close()

    asyncio.run(asyncio.wait_for(scenario(), 3 * PATIENCE_S))
