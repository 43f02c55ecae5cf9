"""Paths and operations of the served kinds, as OpenAPI v3: what a client may call, with which parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from steersman.api.kinds import KindSpec, Subresource
from steersman.api.schema.loader import schema
from steersman.apiserver.openapi import watches
from steersman.apiserver.openapi.roots import named
from steersman.apiserver.openapi.schemas import META, PATCH, REF, list_name_of, name_of
from steersman.machinery.gvk import GroupVersionKind
from steersman.machinery.meta import Obj

_TYPES = ("application/json", "application/yaml")
_PATCH_TYPES = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)
_CONNECT_VERBS = {
    "get": ("get", "head", "options"),
    "create": ("post",),
    "update": ("put",),
    "patch": ("patch",),
    "delete": ("delete",),
}


def _query(name: str, kind: str = "string") -> Obj:
    return {"in": "query", "name": name, "schema": {"type": kind, "uniqueItems": True}}


def _in_path(name: str, description: str) -> Obj:
    schema = {"type": "string", "uniqueItems": True}
    return {"in": "path", "name": name, "required": True, "description": description, "schema": schema}


_PRETTY = _query("pretty")
_NAMESPACE = _in_path("namespace", "object name and auth scope, such as for teams and projects")
_WRITE = [_query("dryRun"), _query("fieldManager"), _query("fieldValidation")]
_LIST = [
    _query("allowWatchBookmarks", "boolean"),
    _query("continue"),
    _query("fieldSelector"),
    _query("labelSelector"),
    _query("limit", "integer"),
    _query("resourceVersion"),
    _query("resourceVersionMatch"),
    _query("sendInitialEvents", "boolean"),
    _query("timeoutSeconds", "integer"),
    _query("watch", "boolean"),
]
_DELETE = [
    _query("dryRun"),
    _query("gracePeriodSeconds", "integer"),
    _query("ignoreStoreReadErrorWithClusterBreakingPotential", "boolean"),
    _query("orphanDependents", "boolean"),
    _query("propagationPolicy"),
]
_SELECT = [
    _query("continue"),
    _query("fieldSelector"),
    _query("labelSelector"),
    _query("limit", "integer"),
    _query("resourceVersion"),
    _query("resourceVersionMatch"),
    _query("sendInitialEvents", "boolean"),
    _query("timeoutSeconds", "integer"),
]
_ATTACH = [_query("container"), *(_query(name, "boolean") for name in ("stderr", "stdin", "stdout", "tty"))]
_CONNECT: dict[str, list[Obj]] = {
    "attach": _ATTACH,
    "exec": [_query("command"), *_ATTACH],
    "portforward": [_query("ports", "integer")],
    "proxy": [_query("path")],
}
_LOG = [
    _query("container"),
    _query("follow", "boolean"),
    _query("insecureSkipTLSVerifyBackend", "boolean"),
    _query("limitBytes", "integer"),
    _query("previous", "boolean"),
    _query("sinceSeconds", "integer"),
    _query("stream"),
    _query("tailLines", "integer"),
    _query("timestamps", "boolean"),
]


def _content(schema: Obj, types: Iterable[str] = _TYPES) -> Obj:
    return {media_type: {"schema": schema} for media_type in types}


def _ref(name: str) -> Obj:
    return {"$ref": REF + name}


def paths(specs: Iterable[KindSpec]) -> Obj:
    """All paths of one group-version's kinds."""
    found: Obj = {}
    for spec in specs:
        _Kind(spec).add_to(found)
    return {path: _shared(found[path]) for path in sorted(found)}


def _shared(path: Obj) -> Obj:
    """Parameters that all operations of a path have are the path's."""
    operations = [operation for method, operation in path.items() if method != "parameters"]
    first = operations[0].get("parameters", [])
    common = [item for item in first if all(item in other.get("parameters", ()) for other in operations[1:])]
    made: Obj = {}
    for method, operation in path.items():
        if method == "parameters":
            continue
        own = [item for item in operation.get("parameters", ()) if item not in common]
        made[method] = {
            **{key: value for key, value in operation.items() if key != "parameters"},
            **({"parameters": own} if own else {}),
        }
    shared = sorted([*path.get("parameters", ()), *common], key=lambda parameter: str(parameter["name"]))
    return {**made, "parameters": shared} if shared else made


def tag_of(spec: KindSpec) -> str:
    return f"{named(spec.resource.group)}_{spec.resource.version}"


class _Kind:
    """The operations of one kind. Names of operations are upstream's: generated clients call their methods so."""

    def __init__(self, spec: KindSpec) -> None:
        self.spec = spec
        resource = spec.resource
        self.tag = tag_of(spec)
        group, _, version = self.tag.partition("_")
        self.lead = group[0].upper() + group[1:] + version[0].upper() + version[1:]
        self.scope = "Namespaced" if resource.namespaced else ""
        self.body = _ref(name_of(spec))
        self.gvk = GroupVersionKind(resource.group, resource.version, resource.kind)

    def add_to(self, found: Obj) -> None:
        resource, verbs = self.spec.resource, set(self.spec.verbs)
        everywhere = resource.path()
        collection = resource.path("{namespace}") if resource.namespaced else everywhere
        scope = [_NAMESPACE] if resource.namespaced else []
        operations = self._collection(verbs)
        if operations:
            found[collection] = {**operations, "parameters": [*scope, _PRETTY]}
        if resource.namespaced and "list" in verbs:
            listing = self._list(f"list{self.lead}{self.spec.kind}ForAllNamespaces")
            found[everywhere] = {"get": listing, "parameters": [_PRETTY]}
        operations = self._item(verbs, "", self.body, self.gvk)
        item = f"{collection}/{{name}}"
        of_name = _in_path("name", f"name of the {self.spec.kind}")
        if operations:
            found[item] = {**operations, "parameters": [of_name, *scope, _PRETTY]}
        if {"list", "watch"} <= verbs:
            parameters = {"query": [*_LIST, _PRETTY], "scope": scope, "name": [of_name]}
            watches.add_to(found, self.spec, self.lead, self._watch, parameters)
        for sub in self.spec.subresources:
            self._add_subresource(found, f"{item}/{sub.name}", sub, [of_name, *scope])

    def _collection(self, verbs: set[str]) -> Obj:
        operations: Obj = {}
        subject = f"{self.scope}{self.spec.kind}"
        if "list" in verbs:
            operations["get"] = self._list(f"list{self.lead}{subject}")
        if "create" in verbs:
            operations["post"] = self._operation(
                f"create{self.lead}{subject}", "post", self.gvk, self.body, _WRITE, self.body, codes=("200", "201", "202")
            )
        if "deletecollection" in verbs:
            operations["delete"] = self._operation(
                f"delete{self.lead}Collection{subject}",
                "deletecollection",
                self.gvk,
                _ref(f"{META}Status"),
                sorted([*_DELETE, *_SELECT], key=lambda parameter: str(parameter["name"])),
                _ref(f"{META}DeleteOptions"),
                required_body=False,
            )
        return operations

    def _list(self, operation_id: str) -> Obj:
        schema = _ref(list_name_of(self.spec))
        made = self._operation(operation_id, "list", self.gvk, schema, _LIST)
        made["responses"]["200"]["content"] = _content(schema, (*_TYPES, "application/json;stream=watch"))
        return made

    def _watch(self, operation_id: str, action: str) -> Obj:
        made = self._operation(operation_id, action, self.gvk, _ref(f"{META}WatchEvent"))
        made["responses"]["200"]["content"] = _content(_ref(f"{META}WatchEvent"), (*_TYPES, "application/json;stream=watch"))
        return made

    def _item(self, verbs: set[str], suffix: str, schema: Obj, gvk: GroupVersionKind) -> Obj:
        subject = f"{self.scope}{self.spec.kind}{suffix}"
        operations: Obj = {}
        if "get" in verbs:
            operations["get"] = self._operation(f"read{self.lead}{subject}", "get", gvk, schema)
        if "update" in verbs:
            operations["put"] = self._operation(
                f"replace{self.lead}{subject}", "put", gvk, schema, _WRITE, schema, codes=("200", "201")
            )
        if "patch" in verbs:
            made = self._operation(
                f"patch{self.lead}{subject}",
                "patch",
                gvk,
                schema,
                [*_WRITE, _query("force", "boolean")],
                _ref(PATCH),
                codes=("200", "201"),
            )
            # kubectl patches strategically where it is offered; custom resources are not merged so.
            types = _PATCH_TYPES if self.spec.openapi is None else _PATCH_TYPES[:-1]
            made["requestBody"]["content"] = _content(_ref(PATCH), types)
            operations["patch"] = made
        if "delete" in verbs:
            operations["delete"] = self._operation(
                f"delete{self.lead}{subject}",
                "delete",
                gvk,
                _ref(f"{META}Status"),
                _DELETE,
                _ref(f"{META}DeleteOptions"),
                codes=("200", "202"),
                required_body=False,
            )
        return operations

    def _add_subresource(self, found: Obj, path: str, sub: Subresource, parameters: list[Obj]) -> None:
        suffix = "".join(word.capitalize() for word in sub.name.split("/"))
        kind = sub.kind or self.spec.kind
        gvk = GroupVersionKind(sub.group, sub.version, kind) if sub.version else self.gvk._replace(kind=kind)
        if sub.name in _CONNECT:
            found[path] = {**self._connects(sub, suffix, gvk), "parameters": [*parameters, *_CONNECT[sub.name]]}
            if sub.name == "proxy":
                rest = [_in_path("path", "path to the resource"), *_CONNECT["proxy"]]
                found[f"{path}/{{path}}"] = {
                    **self._connects(sub, f"{suffix}WithPath", gvk),
                    "parameters": [*parameters, *rest],
                }
            return
        if sub.name == "log":
            subject = f"{self.scope}{self.spec.kind}Log"
            made = self._operation(f"read{self.lead}{subject}", "get", gvk, {"type": "string"})
            made["responses"]["200"]["content"] = _content({"type": "string"}, ("text/plain", *_TYPES))
            found[path] = {"get": made, "parameters": [*parameters, _PRETTY, *_LOG]}
            return
        schema = _ref(subresource_schema(self.spec, sub))
        operations = self._item(set(sub.verbs), suffix, schema, gvk)
        if "create" in sub.verbs:
            operation_id = f"create{self.lead}{self.scope}{self.spec.kind}{suffix}"
            operations["post"] = self._operation(operation_id, "post", gvk, schema, _WRITE, schema, codes=("200", "201", "202"))
        found[path] = {**operations, "parameters": [*parameters, _PRETTY]}

    def _connects(self, sub: Subresource, suffix: str, gvk: GroupVersionKind) -> Obj:
        methods = [method for verb in sub.verbs for method in _CONNECT_VERBS.get(verb, ())]
        if sub.name != "proxy":
            methods = [method for method in methods if method in ("get", "post")]
        return {method: self._connect(method, suffix, gvk) for method in methods}

    def _connect(self, method: str, suffix: str, gvk: GroupVersionKind) -> Obj:
        operation_id = f"connect{self.lead}{method.capitalize()}{self.scope}{self.spec.kind}{suffix}"
        made = self._operation(operation_id, "connect", gvk, {"type": "string"})
        made["responses"]["200"]["content"] = _content({"type": "string"}, ("*/*",))
        return made

    def _operation(
        self,
        operation_id: str,
        action: str,
        gvk: GroupVersionKind,
        schema: Obj,
        parameters: list[Obj] | None = None,
        body: Obj | None = None,
        *,
        codes: tuple[str, ...] = ("200",),
        required_body: bool = True,
    ) -> Obj:
        texts = {"200": "OK", "201": "Created", "202": "Accepted"}
        responses: dict[str, Any] = {code: {"description": texts[code], "content": _content(schema)} for code in codes}
        made: Obj = {
            "operationId": operation_id,
            "tags": [self.tag],
            "responses": {**responses, "401": {"description": "Unauthorized"}},
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": {"group": gvk.group, "version": gvk.version, "kind": gvk.kind},
        }
        if parameters:
            made["parameters"] = sorted(parameters, key=lambda parameter: str(parameter["name"]))
        if body is not None:
            made["requestBody"] = {"content": _content(body, ("*/*",))}
            if required_body:
                made["requestBody"]["required"] = True
        return made


def subresource_schema(spec: KindSpec, sub: Subresource) -> str:
    """The definition of a subresource's body: of its own kind, where that is known."""
    if not sub.kind:
        return name_of(spec)
    group, version = (sub.group, sub.version) if sub.version else (spec.resource.group, spec.resource.version)
    return schema().name_for(GroupVersionKind(group, version, sub.kind)) or name_of(spec)
