"""Serving discovery and OpenAPI."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest

from steersman.api.kinds import KindSpec
from steersman.apiserver.contracts import ANONYMOUS, Call, RequestInfo
from steersman.apiserver.documents import Documents
from steersman.apiserver.http import Request, Response
from steersman.apiserver.registry import Registry
from steersman.apiserver.routes import Routes
from steersman.machinery.errors import NotAcceptable
from steersman.machinery.gvk import Resource

_KUBECTL = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
)
FOO = KindSpec(resource=Resource("example.com", "v1", "foos", True, "Foo"))
BAR = KindSpec(resource=Resource("example.com", "v2", "bars", True, "Bar"))


async def _root(call: Call) -> Response:
    return Response(body=b"the root, and nothing below it")


class _Server:
    """The routes over a registry whose kinds the test sets."""

    def __init__(self, *specs: KindSpec) -> None:
        self.registry = SimpleNamespace(specs=specs, generation=1)
        self._routes = Routes()
        self._routes.add("/", _root)
        Documents(cast(Registry, self.registry), "10.0.0.1:6443", "v1.36.0").install(self._routes)

    def get(self, path: str, query: str = "", **headers: str) -> Response:
        request = Request("GET", path, query, {name.replace("_", "-"): value for name, value in headers.items()})
        return asyncio.run(self._routes.serve(Call(request, RequestInfo("get", path), ANONYMOUS)))

    def json(self, path: str, **headers: str) -> Any:
        return orjson.loads(self.get(path, **headers).body)


def test_the_form_of_apis_follows_the_accept_header() -> None:
    server = _Server(FOO)
    assert server.json("/apis")["kind"] == "APIGroupList"
    assert server.json("/apis/")["kind"] == "APIGroupList"
    answer = server.get("/apis", accept=_KUBECTL)
    assert answer.content_type == "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    assert answer.headers["Vary"] == "Accept"
    assert server.get("/apis", accept="application/json," + _KUBECTL).content_type == "application/json"
    again = server.get("/apis", accept=_KUBECTL, if_none_match=answer.headers["ETag"])
    # With a Content-Type, kubectl's cache would forget the aggregated form: "the server doesn't have a resource type".
    assert (again.status, again.body, again.content_type) == (304, b"", "")
    assert server.json("/api")["serverAddressByClientCIDRs"][0]["serverAddress"] == "10.0.0.1:6443"


def test_groups_and_versions_that_are_not_served_are_not_found() -> None:
    server = _Server(FOO)
    assert server.json("/apis/example.com")["kind"] == "APIGroup"
    assert server.json("/apis/example.com/v1")["resources"][0]["name"] == "foos"
    for path in ("/apis/other.com", "/apis/example.com/v2", "/api/v1", "/openapi/v3/apis/example.com/v2", "/apis/a/b/c/d"):
        answer = server.get(path)
        assert (answer.status, answer.body) == (404, b"404 page not found\n"), path


def test_documents_change_with_the_served_kinds() -> None:
    server = _Server(FOO)
    before = server.get("/openapi/v3").headers["ETag"]
    assert server.get("/apis/example.com/v2").status == 404
    server.registry.specs, server.registry.generation = (FOO, BAR), 2
    assert server.get("/apis/example.com/v2").status == 200
    assert server.get("/openapi/v3").headers["ETag"] != before


def test_openapi_documents_are_found_by_their_hash() -> None:
    server = _Server(FOO)
    url = server.json("/openapi/v3")["paths"]["apis/example.com/v1"]["serverRelativeURL"]
    path, _, query = url.partition("?")
    answer = server.get(path, query)
    assert answer.headers["Cache-Control"] == "public, immutable"
    assert orjson.loads(answer.body)["openapi"] == "3.0.0"
    moved = server.get(path, "hash=OLD")
    assert (moved.status, moved.headers["Location"]) == (301, url)
    assert server.get("/openapi/v2").status == 200


def test_openapi_speaks_protobuf_to_those_who_prefer_it() -> None:
    server = _Server(FOO)
    old = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
    new = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
    for accept, expected in (
        (old, new),
        (new, new),
        (f"{new}, application/json;q=0.5", new),
        (f"{new};q=0.5, application/json", "application/json"),
        ("*/*", "application/json"),
        ("", "application/json"),
    ):
        answer = server.get("/openapi/v2", accept=accept)
        assert answer.content_type == expected, accept
        assert server.get("/openapi/v2", accept=accept, if_none_match=answer.headers["ETag"]).status == 304
    with pytest.raises(NotAcceptable):
        server.get("/openapi/v2", accept="text/html")
    url = server.json("/openapi/v3")["paths"]["apis/example.com/v1"]["serverRelativeURL"]
    path, _, query = url.partition("?")
    answer = server.get(path, query, accept="application/com.github.proto-openapi.spec.v3.v1.0+protobuf")
    assert answer.content_type == "application/com.github.proto-openapi.spec.v3.v1.0+protobuf"
    assert answer.body.startswith(b"\x0a\x053.0.0")


def test_the_index_of_openapi_leads_to_every_document() -> None:
    server = _Server(FOO, BAR)
    listed = server.json("/openapi/v3")["paths"]
    assert {
        "api", "apis", "apis/example.com", "apis/example.com/v1", "apis/example.com/v2", "version",
        ".well-known/openid-configuration", "openid/v1/jwks",
    } == listed.keys()  # fmt: skip
    for entry in listed.values():
        path, _, query = entry["serverRelativeURL"].partition("?")
        answer = server.get(path, query)
        assert (answer.status, orjson.loads(answer.body)["openapi"]) == (200, "3.0.0")
    assert server.get("/openapi/v3/apis/other.com").status == 404
