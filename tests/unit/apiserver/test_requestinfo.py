"""URLs and methods become the verbs and names that upstream gives them."""

from __future__ import annotations

import pytest

from steersman.apiserver.contracts import RequestInfo
from steersman.apiserver.requestinfo import parse

PODS = {"is_resource": True, "version": "v1", "plural": "pods"}
CASES: list[tuple[str, str, list[tuple[str, str]], dict[str, object]]] = [
    ("GET", "/api/v1/pods", [], {"verb": "list", **PODS}),
    ("GET", "/api/v1/namespaces/default/pods", [], {"verb": "list", "namespace": "default", **PODS}),
    ("GET", "/api/v1/namespaces/default/pods/", [], {"verb": "list", "namespace": "default", **PODS}),
    ("GET", "/api/v1/pods", [("watch", "1")], {"verb": "watch", **PODS}),
    ("GET", "/api/v1/pods", [("watch", "")], {"verb": "watch", **PODS}),
    ("GET", "/api/v1/pods", [("watch", "false")], {"verb": "list", **PODS}),
    ("GET", "/api/v1/pods", [("watch", "False")], {"verb": "list", **PODS}),
    ("GET", "/api/v1/watch/namespaces/default/pods", [], {"verb": "watch", "namespace": "default", **PODS}),
    ("HEAD", "/api/v1/namespaces/default/pods/web", [], {"verb": "get", "namespace": "default", "name": "web", **PODS}),
    ("POST", "/api/v1/namespaces/default/pods", [], {"verb": "create", "namespace": "default", **PODS}),
    ("DELETE", "/api/v1/namespaces/default/pods", [], {"verb": "deletecollection", "namespace": "default", **PODS}),
    ("DELETE", "/api/v1/namespaces/d/pods/web", [], {"verb": "delete", "namespace": "d", "name": "web", **PODS}),
    (
        "GET",
        "/api/v1/pods",
        [("fieldSelector", "metadata.name=web,status.phase=Running")],
        {"verb": "list", "name": "web", "field_selector": "metadata.name=web,status.phase=Running", **PODS},
    ),
    (
        "POST",
        "/api/v1/namespaces/d/pods/web/proxy/a/b",
        [],
        {"verb": "create", "namespace": "d", "name": "web", "subresource": "proxy", "parts": ("a", "b"), **PODS},
    ),
    (
        "PUT",
        "/api/v1/namespaces/d/finalize",
        [],
        {"verb": "update", "is_resource": True, "version": "v1", "plural": "namespaces", "namespace": "d", "name": "d",
         "subresource": "finalize"},
    ),
    (
        "GET",
        "/api/v1/namespaces/d",
        [],
        {"verb": "get", "is_resource": True, "version": "v1", "plural": "namespaces", "namespace": "d", "name": "d"},
    ),
    (
        "PATCH",
        "/apis/apps/v1/namespaces/d/deployments/web/scale",
        [],
        {"verb": "patch", "is_resource": True, "group": "apps", "version": "v1", "plural": "deployments", "namespace": "d",
         "name": "web", "subresource": "scale"},
    ),
    ("GET", "/apis/apps/v1", [], {"verb": "get"}),
    ("GET", "/api/v1", [], {"verb": "get"}),
    ("GET", "/healthz", [], {"verb": "get"}),
    ("POST", "/", [], {"verb": "post"}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "query", "wanted"), CASES)
def test_a_request_means_what_upstream_says(
    method: str, path: str, query: list[tuple[str, str]], wanted: dict[str, object]
) -> None:
    found = parse(method, path, query)
    assert {key: getattr(found, key) for key in wanted} == wanted
    assert found.path == path
    if "name" not in wanted:
        assert found.name == ""
    if not wanted.get("is_resource"):
        assert found == RequestInfo(str(wanted["verb"]), path)
