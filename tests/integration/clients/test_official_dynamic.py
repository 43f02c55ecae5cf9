"""The official client: the dynamic one, which learns from discovery what there is; manifests; and a pod's own credentials."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client as k8s
from kubernetes import utils
from kubernetes.config.incluster_config import InClusterConfigLoader
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic import exceptions as refused
from tests.e2e.harness import eventually
from tests.integration.clients.served import PATIENCE_S, Served

GROUP = "dynamic.example.com"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["size"],
            "properties": {"size": {"type": "integer", "minimum": 1}, "colour": {"type": "string", "default": "red"}},
        },
        "status": {"type": "object", "properties": {"size": {"type": "integer"}}},
    },
}
DEFINITION: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"boats.{GROUP}"},
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"plural": "boats", "kind": "Boat", "shortNames": ["bt"]},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": SCHEMA},
                "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}},
            }
        ],
    },
}


@pytest.fixture(scope="module")
def dynamic(api: k8s.ApiClient, tmp_path_factory: pytest.TempPathFactory) -> DynamicClient:
    return DynamicClient(api, cache_file=str(tmp_path_factory.mktemp("discovery") / "cache.json"))


@pytest.fixture(scope="module")
def boats(dynamic: DynamicClient) -> Iterator[Any]:
    definitions = dynamic.resources.get(api_version="apiextensions.k8s.io/v1", kind="CustomResourceDefinition")
    made = definitions.create(body=DEFINITION)
    for event in definitions.watch(name=made.metadata.name, timeout=PATIENCE_S):
        conditions = {c.type: c.status for c in event["object"].status.conditions or ()}
        if conditions.get("Established") == "True":
            break
    yield dynamic.resources.get(api_version=f"{GROUP}/v1", kind="Boat")
    definitions.delete(name=made.metadata.name)


def boat(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": f"{GROUP}/v1", "kind": "Boat", "metadata": {"name": name}, "spec": spec}


def test_discovery_finds_kinds_by_any_of_their_names(dynamic: DynamicClient, boats: Any) -> None:
    assert dynamic.version["kubernetes"]["gitVersion"].startswith("v1.36")
    assert dynamic.resources.get(short_names=["deploy"]).group_version == "apps/v1"
    assert dynamic.resources.get(kind="Pod").subresources["log"].name == "pods/log"
    assert "status" in boats.subresources and boats.namespaced and boats.short_names == ["bt"]
    kinds = {resource.kind for resource in dynamic.resources.search(group="batch") if not resource.kind.endswith("List")}
    assert kinds == {"Job", "CronJob"}


def test_custom_objects_are_made_patched_applied_listed_and_deleted(boats: Any, namespace: str) -> None:
    made = boats.create(body=boat("a", size=1), namespace=namespace)
    assert made.spec.colour == "red"
    with pytest.raises(refused.UnprocessibleEntityError) as invalid:
        boats.create(body=boat("b", size=0), namespace=namespace)
    assert "spec.size in body should be greater than or equal to 1" in invalid.value.summary()
    with pytest.raises(refused.DynamicApiError) as strategic:
        boats.patch(body={"spec": {"size": 2}}, name="a", namespace=namespace)
    assert strategic.value.status == 415
    merge = {"content_type": "application/merge-patch+json"}
    assert boats.patch(body={"spec": {"size": 2}}, name="a", namespace=namespace, **merge).metadata.generation == 2
    applied = boats.server_side_apply(body=boat("c", size=3), namespace=namespace, field_manager="tests")
    assert [entry.manager for entry in applied.metadata.managedFields] == ["tests"]
    with pytest.raises(refused.ConflictError):
        boats.server_side_apply(body=boat("c", size=4), namespace=namespace, field_manager="others")
    forced = boats.server_side_apply(body=boat("c", size=4), namespace=namespace, field_manager="others", force_conflicts=True)
    assert forced.spec.size == 4
    assert [found.metadata.name for found in boats.get(namespace=namespace).items] == ["a", "c"]
    assert boats.status.patch(body={"status": {"size": 2}}, name="a", namespace=namespace, **merge).status.size == 2
    assert boats.scale.get(name="a", namespace=namespace).status.replicas == 2
    scaled = boats.scale.patch(body={"spec": {"replicas": 7}}, name="a", namespace=namespace, **merge)
    assert scaled.spec.replicas == 7 and boats.get(name="a", namespace=namespace).spec.size == 7
    seen = [event["object"].metadata.name for event in boats.watch(namespace=namespace, resource_version=0, timeout=1)]
    assert sorted(seen) == ["a", "c"]
    boats.delete(name="a", namespace=namespace)
    with pytest.raises(refused.NotFoundError):
        boats.get(name="a", namespace=namespace)


def test_generated_methods_for_custom_objects_work_as_well(api: k8s.ApiClient, boats: Any, namespace: str) -> None:
    custom = k8s.CustomObjectsApi(api)
    place = (GROUP, "v1", namespace, "boats")
    custom.create_namespaced_custom_object(*place, boat("a", size=1))
    custom.patch_namespaced_custom_object(*place, "a", {"spec": {"colour": "blue"}})
    live = custom.get_namespaced_custom_object(*place, "a")
    assert live["spec"] == {"size": 1, "colour": "blue"}
    live["spec"]["size"] = 2
    assert custom.replace_namespaced_custom_object(*place, "a", live)["metadata"]["generation"] == 3
    custom.patch_namespaced_custom_object_status(*place, "a", {"status": {"size": 2}})
    assert custom.get_namespaced_custom_object_scale(*place, "a")["status"]["replicas"] == 2
    assert len(custom.list_namespaced_custom_object(*place)["items"]) == 1
    assert {resource.name for resource in custom.get_api_resources(GROUP, "v1").resources} >= {"boats", "boats/status"}
    custom.delete_collection_namespaced_custom_object(*place)
    assert not custom.list_namespaced_custom_object(*place)["items"]


def test_unknown_fields_are_refused_or_told(dynamic: DynamicClient, namespace: str) -> None:
    path, odd = f"/api/v1/namespaces/{namespace}/configmaps", {"metadata": {"name": "odd"}, "dta": {}}
    with pytest.raises(refused.BadRequestError) as strict:
        dynamic.request("post", path, body=odd, query_params=[("fieldValidation", "Strict")])
    assert 'unknown field "dta"' in strict.value.summary()
    configs = dynamic.resources.get(api_version="v1", kind="ConfigMap")
    assert "dta" not in configs.create(body=odd, namespace=namespace).to_dict()


def test_a_file_of_manifests_is_created_and_applied(api: k8s.ApiClient, namespace: str, tmp_path: Path) -> None:
    manifests = tmp_path / "all.yaml"
    manifests.write_text(
        """
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {key: value}}
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: web}
  spec:
    replicas: 0
    selector: {matchLabels: {app: web}}
    template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: nginx}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80}]}}
"""
    )
    utils.create_from_yaml(api, str(manifests), namespace=namespace)
    assert k8s.CoreV1Api(api).read_namespaced_service("web", namespace).spec.cluster_ip
    with pytest.raises(utils.FailToCreateError) as again:
        utils.create_from_yaml(api, str(manifests), namespace=namespace)
    assert [fault.status for fault in again.value.api_exceptions] == [409, 409, 409]
    utils.create_from_yaml(api, str(manifests), namespace=namespace, apply=True)


def test_a_pods_own_token_is_good_where_the_pod_is(served: Served, api: k8s.ApiClient, namespace: str, tmp_path: Path) -> None:
    core = k8s.CoreV1Api(api)
    pod = k8s.V1Pod(
        metadata=k8s.V1ObjectMeta(name="own"),
        spec=k8s.V1PodSpec(containers=[k8s.V1Container(name="c", image="nginx")], termination_grace_period_seconds=0),
    )
    core.create_namespaced_pod(namespace, pod)
    eventually(lambda: core.read_namespaced_pod("own", namespace).status.phase == "Running", what="the pod runs")
    # What the kubelet has put into the pod's volume, as the pod would read it.
    uid = core.read_namespaced_pod("own", namespace).metadata.uid
    (volume,) = served.paths.kubelet.glob(f"*/pods/{uid}/volumes/kubernetes.io~projected/*")
    assert (volume / "namespace").read_text() == namespace
    environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(served.port)}
    configuration = k8s.Configuration()
    InClusterConfigLoader(str(volume / "token"), str(volume / "ca.crt"), environ=environment).load_and_set(configuration)
    with k8s.ApiClient(configuration) as inside:
        who = k8s.AuthenticationV1Api(inside).create_self_subject_review(k8s.V1SelfSubjectReview()).status.user_info
        assert who.username == f"system:serviceaccount:{namespace}:default"
        assert who.extra["authentication.kubernetes.io/pod-name"] == ["own"]
