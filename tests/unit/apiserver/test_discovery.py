"""Discovery documents."""

from __future__ import annotations

from steersman.api.kinds import STATUS, Conversion, KindSpec, Subresource
from steersman.apiserver import discovery
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj


def _same(obj: Obj) -> Obj:
    return obj


_SCALE = Subresource("scale", ("update", "get", "patch"), kind="Scale", group="autoscaling", version="v1")
DEPLOYMENT = KindSpec(
    resource=Resource("apps", "v1", "deployments", True, "Deployment"),
    short_names=("deploy",),
    categories=("all",),
    subresources=(STATUS, _SCALE),
)
NODE = KindSpec(resource=Resource("", "v1", "nodes", False, "Node"), subresources=(STATUS,))
REVIEW = KindSpec(
    resource=Resource("authentication.k8s.io", "v1", "tokenreviews", False, "TokenReview"), verbs=("create",), virtual=True
)
_HPA2 = Resource("autoscaling", "v2", "horizontalpodautoscalers", True, "HorizontalPodAutoscaler")
HPA1 = KindSpec(
    resource=Resource("autoscaling", "v1", "horizontalpodautoscalers", True, "HorizontalPodAutoscaler"),
    conversion=Conversion(_HPA2, _same, _same),
)
HPA2 = KindSpec(resource=_HPA2)
CUSTOM = KindSpec(resource=Resource("example.com", "v1beta1", "foos", True, "Foo"))
SPECS = (CUSTOM, REVIEW, HPA1, HPA2, DEPLOYMENT, NODE)


def test_groups_and_versions_come_by_priority() -> None:
    assert [group["name"] for group in discovery.api_group_list(SPECS)["groups"]] == [
        "apps", "authentication.k8s.io", "autoscaling", "example.com",
    ]  # fmt: skip
    assert discovery.api_group(SPECS, "autoscaling") == {
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": "autoscaling",
        "versions": [
            {"groupVersion": "autoscaling/v2", "version": "v2"},
            {"groupVersion": "autoscaling/v1", "version": "v1"},
        ],
        "preferredVersion": {"groupVersion": "autoscaling/v2", "version": "v2"},
    }
    assert discovery.api_group(SPECS, "nowhere") is None
    mixed = [CUSTOM, *(KindSpec(resource=CUSTOM.resource._replace(version=v)) for v in ("v1", "v2alpha1", "v10", "v1beta2", "x"))]
    assert discovery.versions_of(mixed) == {"example.com": ["v10", "v1", "v1beta2", "v1beta1", "v2alpha1", "x"]}


def test_a_version_lists_its_resources_and_subresources_by_name() -> None:
    verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
    assert discovery.api_resource_list(SPECS, "apps", "v1") == {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": "apps/v1",
        "resources": [
            {
                "name": "deployments", "singularName": "deployment", "namespaced": True, "kind": "Deployment", "verbs": verbs,
                "shortNames": ["deploy"], "categories": ["all"], "storageVersionHash": "8aSe+NMegvE=",
            },
            {
                "name": "deployments/scale", "singularName": "", "namespaced": True, "group": "autoscaling", "version": "v1",
                "kind": "Scale", "verbs": ["get", "patch", "update"],
            },
            {
                "name": "deployments/status", "singularName": "", "namespaced": True, "kind": "Deployment",
                "verbs": ["get", "patch", "update"],
            },
        ],
    }  # fmt: skip
    core = discovery.api_resource_list(SPECS, "", "v1")
    assert core is not None
    assert "apiVersion" not in core
    assert discovery.api_resource_list(SPECS, "apps", "v9") is None


def test_the_hash_is_of_the_stored_version_and_reviews_have_none() -> None:
    assert discovery.storage_version_hash(HPA1) == discovery.storage_version_hash(HPA2) == "qwQve8ut294="
    reviews = discovery.api_resource_list(SPECS, "authentication.k8s.io", "v1")
    assert reviews is not None
    assert "storageVersionHash" not in reviews["resources"][0]


def test_the_aggregated_document_says_all_at_once() -> None:
    core = discovery.aggregated(SPECS, core=True)
    assert (core["kind"], core["apiVersion"]) == ("APIGroupDiscoveryList", "apidiscovery.k8s.io/v2")
    assert [item["metadata"] for item in core["items"]] == [{}]
    apps = discovery.aggregated(SPECS, core=False)["items"][0]
    assert apps["metadata"] == {"name": "apps"}
    version = apps["versions"][0]
    assert (version["version"], version["freshness"]) == ("v1", "Current")
    deployments = version["resources"][0]
    assert deployments["scope"] == "Namespaced"
    assert deployments["responseKind"] == {"group": "", "version": "", "kind": "Deployment"}
    assert deployments["subresources"][0] == {
        "subresource": "scale",
        "responseKind": {"group": "autoscaling", "version": "v1", "kind": "Scale"},
        "verbs": ["get", "patch", "update"],
    }
