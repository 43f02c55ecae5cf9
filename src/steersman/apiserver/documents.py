"""Serves discovery and OpenAPI: built when first asked for, kept as bytes until the served kinds change."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import orjson

from steersman.apiserver import discovery, negotiate, openapi, respond
from steersman.apiserver.contracts import Call, CallHandler
from steersman.apiserver.http import Response
from steersman.apiserver.registry import Registry
from steersman.apiserver.routes import NOT_FOUND, Routes
from steersman.machinery.errors import MethodNotAllowed, NotAcceptable
from steersman.machinery.meta import Obj

_IMMUTABLE = {"Cache-Control": "public, immutable"}
_JSON_RANGES = (negotiate.JSON, "*/*", "application/*")


@dataclass
class _Document:
    """One document's bytes."""

    body: bytes

    @cached_property
    def hash(self) -> str:
        return hashlib.sha512(self.body).hexdigest().upper()


class Documents:
    """`server_address` is `host:port` as clients outside reach it; `release` like `v1.36.0`.

    `others()`: group-versions that other servers serve; `remotes`: who passes requests on to them.
    """

    def __init__(
        self,
        registry: Registry,
        server_address: str,
        release: str,
        others: Callable[[], Sequence[discovery.Elsewhere]] = tuple,
        remotes: Mapping[tuple[str, str], CallHandler] = MappingProxyType({}),
    ) -> None:
        self._others, self._remotes = others, remotes
        self._registry = registry
        self._address = server_address
        self._release = release
        self._made: dict[str, _Document | None] = {}
        self._generation = -1

    def install(self, routes: Routes) -> None:
        for path in ("/api", "/apis"):
            routes.add(path, self._groups)
        for path in ("/api/v1", "/apis/"):
            routes.add(path, self._group_or_version)
        routes.add("/openapi/v2", self._openapi_v2)
        routes.add("/openapi/v3", self._openapi_index)
        routes.add("/openapi/v3/", self._openapi_v3)

    def _document(
        self, key: str, make: Callable[[], Obj | None], encode: Callable[[Obj], bytes] = orjson.dumps
    ) -> _Document | None:
        if self._generation != self._registry.generation:
            self._made.clear()
            self._generation = self._registry.generation
        if key not in self._made:
            made = make()
            self._made[key] = None if made is None else _Document(encode(made))
        return self._made[key]

    async def _groups(self, call: Call) -> Response:
        """/api and /apis, aggregated where the client knows that form."""
        _only_reads(call)
        core = call.request.path.rstrip("/") == "/api"
        specs = self._registry.specs
        if _wants_aggregated(call.request.headers.get("accept", "")):
            document = self._document(f"aggregated {core}", lambda: discovery.aggregated(specs, core=core, others=self._others()))
            assert document is not None
            return _tagged(call, document, discovery.AGGREGATED)
        make = (
            (lambda: discovery.api_versions(self._address)) if core else (lambda: discovery.api_group_list(specs, self._others()))
        )
        response = self._plain(call, call.request.path.rstrip("/"), make)
        response.headers["Vary"] = "Accept"
        return response

    async def _group_or_version(self, call: Call) -> Response:
        """/apis/<group>, /apis/<group>/<version>, /api/v1."""
        _only_reads(call)
        path = call.request.path.rstrip("/")
        parts = path.split("/")[2:]
        specs = self._registry.specs
        if path == "/api/v1":
            return self._plain(call, path, lambda: discovery.api_resource_list(specs, "", "v1"))
        if len(parts) == 1:
            return self._plain(call, path, lambda: discovery.api_group(specs, parts[0], self._others()))
        if len(parts) == 2:
            if (elsewhere := self._remotes.get((parts[0], parts[1]))) is not None:
                return await elsewhere(call)
            return self._plain(call, path, lambda: discovery.api_resource_list(specs, parts[0], parts[1]))
        return _not_found()

    def _plain(self, call: Call, key: str, make: Callable[[], Obj | None]) -> Response:
        document = self._document(key, make)
        return _not_found() if document is None else respond.of_bytes(call.request, document.body)

    async def _openapi_v2(self, call: Call) -> Response:
        _only_reads(call)
        coded = openapi.gnostic_v2
        if _wants_protobuf(call, coded.MEDIA_TYPE, coded.OLD_MEDIA_TYPE):
            document, content_type = self._document("openapi v2 protobuf", self._v2, coded.encode), coded.MEDIA_TYPE
        else:
            document, content_type = self._document("openapi v2", self._v2), negotiate.JSON
        assert document is not None
        return _tagged(call, document, content_type)

    def _v2(self) -> Obj:
        documents = {other.place: other.openapi for other in self._others()}
        specs = [spec for spec in self._registry.specs if (spec.resource.group, spec.resource.version) not in documents]
        return openapi.v2(specs, self._release, [document for document in documents.values() if document is not None])

    async def _openapi_index(self, call: Call) -> Response:
        """Where each group-version's document is, under a hash that changes with it."""
        _only_reads(call)
        document = self._document("openapi v3", self._index)
        assert document is not None
        return _tagged(call, document, negotiate.JSON)

    def _index(self) -> Obj:
        found: dict[str, Obj] = {}
        for group, versions in discovery.versions_of(self._registry.specs, self._others()).items():
            for version in versions:
                path = f"apis/{group}/{version}" if group else f"api/{version}"
                document = self._v3(group, version)
                if document is None:
                    continue
                found[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={document.hash}"}
        for path in self._root_paths():
            found[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={self._v3_root(path).hash}"}
        return {"paths": dict(sorted(found.items()))}

    def _v3(self, group: str, version: str) -> _Document | None:
        specs = self._registry.specs
        elsewhere = next((other for other in self._others() if other.place == (group, version)), None)
        if elsewhere is not None:
            return self._document(f"openapi v3 {group}/{version}", lambda: elsewhere.openapi)
        return self._document(f"openapi v3 {group}/{version}", lambda: openapi.v3(specs, group, version, self._release))

    def _root_paths(self) -> list[str]:
        """Paths with a document of their own that are no group-version."""
        groups = discovery.versions_of(self._registry.specs, self._others())
        return [*openapi.roots.PATHS, *(f"apis/{group}" for group in groups if group)]

    def _v3_root(self, path: str) -> _Document:
        document = self._document(f"openapi v3 root {path}", lambda: openapi.v3_root(path, self._release))
        assert document is not None
        return document

    async def _openapi_v3(self, call: Call) -> Response:
        _only_reads(call)
        path = call.request.path.removeprefix("/openapi/v3/").rstrip("/")
        parts = path.split("/")
        document = None
        if parts[0] == "apis" and len(parts) == 3:
            document = self._v3(parts[1], parts[2])
        elif parts[0] == "api" and len(parts) == 2:
            document = self._v3("", parts[1])
        elif path in self._root_paths():
            document = self._v3_root(path)
        if document is None:
            return _not_found()
        asked = call.request.query("hash")
        if asked and asked != document.hash:
            return Response(301, headers={"Location": f"/openapi/v3/{path}?hash={document.hash}"})
        coded, content_type = openapi.gnostic_v3, negotiate.JSON
        if _wants_protobuf(call, coded.MEDIA_TYPE, coded.OLD_MEDIA_TYPE):
            plain, content_type = document.body, coded.MEDIA_TYPE
            document = self._document(f"openapi v3 {path} protobuf", lambda: orjson.loads(plain), coded.encode)
            assert document is not None
        response = _tagged(call, document, content_type)
        if asked:
            response.headers.update(_IMMUTABLE)
        return response


def _wants_protobuf(call: Call, *protobuf: str) -> bool:
    """Whether that, not JSON, is what the client likes best. Raises NotAcceptable."""
    clauses: list[tuple[float, str]] = []
    for clause in (call.request.headers.get("accept") or "*/*").split(","):
        media_type, *parameters = (part.strip() for part in clause.split(";"))
        quality = next((parameter[2:] for parameter in parameters if parameter.startswith("q=")), "1")
        if media_type in (*_JSON_RANGES, *protobuf):
            clauses.append((float(quality) if quality.replace(".", "", 1).isdecimal() else 0.0, media_type))
    if not clauses:
        raise NotAcceptable(f"only the following media types are accepted: {negotiate.JSON}, {protobuf[0]}")
    return max(clauses, key=lambda found: found[0])[1] in protobuf


def _wants_aggregated(accept: str) -> bool:
    """Whether the first form that the client accepts and the server has is the aggregated one."""
    for clause in accept.split(","):
        media_type, *parameters = (part.strip() for part in clause.split(";"))
        values = dict(parameter.split("=", 1) for parameter in parameters if "=" in parameter)
        if values.get("as") is None:
            if media_type in (negotiate.JSON, negotiate.YAML, "*/*", "application/*"):
                return False
        elif media_type == negotiate.JSON and (values["as"], values.get("g"), values.get("v")) == (
            "APIGroupDiscoveryList",
            "apidiscovery.k8s.io",
            "v2",
        ):
            return True
    return False


def _tagged(call: Call, document: _Document, content_type: str) -> Response:
    """The document with its ETag, or 304 for a client that has it."""
    tag = f'"{document.hash}"'
    headers = {"ETag": tag, "Vary": "Accept"}
    if call.request.headers.get("if-none-match") == tag:
        # client-go's cache takes over every header of a 304: a Content-Type would replace the one the body was sent with.
        return Response(304, content_type="", headers=headers)
    return Response(body=document.body, content_type=content_type, headers=headers)


def _not_found() -> Response:
    return Response(404, NOT_FOUND.body, NOT_FOUND.content_type)


def _only_reads(call: Call) -> None:
    if call.request.method not in ("GET", "HEAD"):
        raise MethodNotAllowed
