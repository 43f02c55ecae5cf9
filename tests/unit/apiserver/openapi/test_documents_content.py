"""What the OpenAPI documents tell clients."""

from __future__ import annotations

from typing import Any

from steersman.api.groups import BUILTIN
from steersman.api.kinds import KindSpec
from steersman.apiserver import openapi
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

CUSTOM = KindSpec(resource=Resource("stable.example.com", "v1", "crontabs", True, "CronTab"))


def _v3(group: str, version: str, *more: KindSpec) -> Obj:
    document = openapi.v3((*BUILTIN, *more), group, version, "v1.36.0")
    assert document is not None
    return document


def _bare(node: Any) -> Any:
    """Without texts, which are there only with an optional package."""
    if isinstance(node, dict):
        return {key: _bare(value) for key, value in node.items() if key != "description"}
    return [_bare(item) for item in node] if isinstance(node, list) else node


def _references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"].rpartition("/")[2]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*(_references(value) for value in node.values()))
    return set().union(*(_references(value) for value in node)) if isinstance(node, list) else set()


def test_every_reference_has_its_definition() -> None:
    for group, version in {(spec.resource.group, spec.resource.version) for spec in BUILTIN}:
        document = _v3(group, version)
        assert _references(document) <= document["components"]["schemas"].keys()
    whole = openapi.v2((*BUILTIN, CUSTOM), "v1.36.0")
    assert _references(whole) <= whole["definitions"].keys()


def test_fields_that_may_hold_anything_refer_to_a_definition_as_kubectl_explain_fails_on_an_empty_schema() -> None:
    schemas = _v3("apiextensions.k8s.io", "v1")["components"]["schemas"]
    json = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON"
    fields = schemas[f"{json}SchemaProps"]["properties"]
    assert _references(fields["default"]) == _references(fields["enum"]) == {json}
    assert _references(fields["items"]) == {f"{json}SchemaPropsOrArray"}
    assert _references(fields["dependencies"]) == {f"{json}SchemaPropsOrStringArray"}
    assert schemas[json] and "type" not in schemas[json]


def test_operations_say_what_kubectl_looks_for() -> None:
    path = _v3("apps", "v1")["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]
    for method in ("patch", "put"):
        operation = path[method]
        assert operation["x-kubernetes-group-version-kind"] == {"group": "apps", "version": "v1", "kind": "Deployment"}
        assert {"dryRun", "fieldManager", "fieldValidation"} <= {item["name"] for item in operation["parameters"]}
    assert path["patch"]["operationId"] == "patchAppsV1NamespacedDeployment"
    assert "application/apply-patch+yaml" in path["patch"]["requestBody"]["content"]
    core = _v3("", "v1")["paths"]
    assert core["/api/v1/namespaces/{name}"]["get"]["operationId"] == "readCoreV1Namespace"
    assert core["/api/v1/pods"]["get"]["operationId"] == "listCoreV1PodForAllNamespaces"
    assert core["/api/v1/namespaces/{namespace}/pods/{name}/exec"]["get"]["x-kubernetes-action"] == "connect"


def test_definitions_carry_patch_and_list_markers() -> None:
    schemas = _bare(_v3("", "v1")["components"]["schemas"])
    assert schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"] == {
        "type": "array",
        "items": {"$ref": "#/components/schemas/io.k8s.api.core.v1.Container"},
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "x-kubernetes-patch-merge-key": "name",
        "x-kubernetes-patch-strategy": "merge",
    }
    assert schemas["io.k8s.api.core.v1.Pod"]["x-kubernetes-group-version-kind"] == [{"group": "", "kind": "Pod", "version": "v1"}]
    assert schemas["io.k8s.api.core.v1.Pod"]["properties"]["spec"] == {
        "allOf": [{"$ref": "#/components/schemas/io.k8s.api.core.v1.PodSpec"}]
    }


def test_a_kind_without_facts_is_any_object() -> None:
    document = _v3("stable.example.com", "v1", CUSTOM)
    schema = document["components"]["schemas"]["com.example.stable.v1.CronTab"]
    assert schema["x-kubernetes-preserve-unknown-fields"] is True
    assert schema["x-kubernetes-group-version-kind"][0]["kind"] == "CronTab"


def test_version_two_says_the_same_in_its_own_form() -> None:
    whole = _bare(openapi.v2(BUILTIN, "v1.36.0"))
    assert whole["definitions"]["io.k8s.api.core.v1.Pod"]["properties"]["spec"] == {
        "$ref": "#/definitions/io.k8s.api.core.v1.PodSpec"
    }
    assert whole["definitions"]["io.k8s.apimachinery.pkg.util.intstr.IntOrString"] == {
        "format": "int-or-string",
        "type": "string",
    }
    put = whole["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["put"]
    assert put["parameters"][0] == {
        "in": "body",
        "name": "body",
        "required": True,
        "schema": {"$ref": "#/definitions/io.k8s.api.core.v1.Pod"},
    }
    assert put["responses"]["200"]["schema"] == {"$ref": "#/definitions/io.k8s.api.core.v1.Pod"}


def test_deprecated_watches_are_listed_as_upstream_names_them() -> None:
    paths = _bare(_v3("apps", "v1")["paths"])
    below = "/apis/apps/v1/watch/namespaces/{namespace}/deployments"
    named = {
        "/apis/apps/v1/watch/deployments": ("watchAppsV1DeploymentListForAllNamespaces", "watchlist"),
        below: ("watchAppsV1NamespacedDeploymentList", "watchlist"),
        f"{below}/{{name}}": ("watchAppsV1NamespacedDeployment", "watch"),
    }
    for path, (operation_id, action) in named.items():
        get = paths[path]["get"]
        assert (get["operationId"], get["x-kubernetes-action"]) == (operation_id, action)
    assert {"name", "namespace", "labelSelector", "watch"} <= {item["name"] for item in paths[f"{below}/{{name}}"]["parameters"]}
    core = _v3("", "v1")["paths"]
    assert core["/api/v1/watch/nodes/{name}"]["get"]["operationId"] == "watchCoreV1Node"
    assert not any("/watch/" in path for path in _v3("authorization.k8s.io", "v1")["paths"])


def test_what_all_operations_of_a_path_take_is_said_once() -> None:
    paths = _v3("", "v1")["paths"]
    binding = paths["/api/v1/namespaces/{namespace}/pods/{name}/binding"]
    assert [item["name"] for item in binding["parameters"]] == [
        "dryRun", "fieldManager", "fieldValidation", "name", "namespace", "pretty",
    ]  # fmt: skip
    assert "parameters" not in binding["post"]
    assert "fieldSelector" in {item["name"] for item in paths["/api/v1/pods"]["parameters"]}


def test_a_proxy_takes_any_method_and_exec_two() -> None:
    paths = _v3("", "v1")["paths"]
    pod = "/api/v1/namespaces/{namespace}/pods/{name}"
    proxy = {method: found["operationId"] for method, found in paths[f"{pod}/proxy/{{path}}"].items() if method != "parameters"}
    methods = ("delete", "get", "head", "options", "patch", "post", "put")
    assert proxy == {method: f"connectCoreV1{method.capitalize()}NamespacedPodProxyWithPath" for method in methods}
    assert paths[f"{pod}/exec"].keys() == {"get", "post", "parameters"}


def test_paths_that_are_no_resources_have_documents_too() -> None:
    api = openapi.v3_root("api", "v1.36.0")
    assert api["paths"]["/api/"]["get"]["operationId"] == "getCoreAPIVersions"
    assert _references(api["paths"]) <= api["components"]["schemas"].keys()
    group = openapi.v3_root("apis/rbac.authorization.k8s.io", "v1.36.0")
    assert group["paths"]["/apis/rbac.authorization.k8s.io/"]["get"]["operationId"] == "getRbacAuthorizationAPIGroup"
    assert _v3("apps", "v1")["paths"]["/apis/apps/v1/"]["get"]["operationId"] == "getAppsV1APIResources"
    whole = openapi.v2(BUILTIN, "v1.36.0")["paths"]
    assert {"/api/", "/api/v1/", "/apis/", "/apis/apps/", "/apis/apps/v1/", "/version/", "/openid/v1/jwks/"} <= whole.keys()


def test_a_port_without_a_protocol_is_shown_to_be_tcp() -> None:
    schemas = _v3("", "v1")["components"]["schemas"]
    for name in ("ContainerPort", "ServicePort"):
        assert schemas[f"io.k8s.api.core.v1.{name}"]["properties"]["protocol"]["default"] == "TCP"


def test_a_group_of_reviews_describes_nothing_that_only_stored_kinds_need() -> None:
    names = _v3("authorization.k8s.io", "v1")["components"]["schemas"].keys()
    assert not {name.rpartition(".")[2] for name in names} & {"DeleteOptions", "Patch", "WatchEvent"}
