"""Whole OpenAPI documents. v2 is v3 rewritten, so that both always say the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from steersman.api.customresources import openapi as customresources
from steersman.api.kinds import KindSpec
from steersman.apiserver.openapi import paths as operations
from steersman.apiserver.openapi import roots, schemas
from steersman.machinery.meta import Obj

_INFO = {"title": "Kubernetes"}
_BASES = ("ObjectMeta", "ListMeta", "Status", "DeleteOptions", "WatchEvent")


def v3(specs: Iterable[KindSpec], group: str, version: str, release: str) -> Obj | None:
    """The OpenAPI v3 document of a group-version; None for one that is not served. `release` is like `v1.36.0`."""
    found = [spec for spec in specs if (spec.resource.group, spec.resource.version) == (group, version)]
    if not found:
        return None
    shown = {**roots.of_version(group, version), **operations.paths(found)}
    return _document(shown, _components(found), release)


def v3_root(path: str, release: str) -> Obj:
    """The OpenAPI v3 document of a path that is no resource: one of roots.PATHS, or `apis/<group>`."""
    paths, names = roots.of(path)
    return _document(paths, schemas.components(names), release)


def _document(paths: Obj, components: Obj, release: str) -> Obj:
    return {
        "openapi": "3.0.0",
        "info": {**_INFO, "version": release},
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {
                "BearerToken": {
                    "type": "apiKey",
                    "description": "Bearer Token authentication",
                    "name": "authorization",
                    "in": "header",
                }
            },
        },
    }


def _components(specs: list[KindSpec]) -> dict[str, Obj]:
    names = {roots.RESOURCES}
    if any(verb in spec.verbs for spec in specs for verb in ("patch", "delete", "watch")):
        names |= {schemas.PATCH, *(schemas.META + base for base in _BASES)}
    made: dict[str, Obj] = {}
    for spec in specs:
        name, list_name = schemas.name_of(spec), schemas.list_name_of(spec)
        names |= {name, list_name}
        names |= {operations.subresource_schema(spec, sub) for sub in spec.subresources}
        if not schemas.known(name):
            made[name] = schemas.unknown_kind(spec)
        if not schemas.known(list_name) and "list" in spec.verbs:
            made[list_name] = schemas.unknown_list(spec)
    if made:
        # What such kinds refer to.
        names |= {schemas.META + "ObjectMeta", schemas.META + "ListMeta"}
    return dict(sorted({**schemas.components(names), **made}.items()))


def v2(specs: Iterable[KindSpec], release: str, others: Iterable[Obj] = ()) -> Obj:
    """The OpenAPI v2 document of everything. `others`: v3 documents of what other servers serve."""
    found = list(specs)
    versions = dict.fromkeys((spec.resource.group, spec.resource.version) for spec in found)
    all_paths: Obj = {}
    definitions: dict[str, Obj] = {}
    for group, version in versions:
        document = v3(found, group, version, release)
        assert document is not None
        all_paths.update(document["paths"])
        definitions.update(document["components"]["schemas"])
    groups = (f"apis/{group}" for group in dict.fromkeys(group for group, _ in versions) if group)
    for path in (*roots.PATHS, *groups):
        document = v3_root(path, release)
        all_paths.update(document["paths"])
        definitions.update(document["components"]["schemas"])
    for document in others:
        all_paths.update(document["paths"])
        for name, schema in ((document.get("components") or {}).get("schemas") or {}).items():
            definitions.setdefault(name, schema)
    made = {schemas.name_of(spec): customresources.v2(spec.openapi) for spec in found if spec.openapi is not None}
    return {
        "swagger": "2.0",
        "info": {**_INFO, "version": release},
        "paths": {path: _path_v2(all_paths[path]) for path in sorted(all_paths)},
        "definitions": {name: made.get(name) or _schema_v2(definitions[name]) for name in sorted(definitions)},
        "securityDefinitions": {
            "BearerToken": {
                "type": "apiKey",
                "description": "Bearer Token authentication",
                "name": "authorization",
                "in": "header",
            }
        },
        "security": [{"BearerToken": []}],
    }


def _schema_v2(schema: Any) -> Any:
    """References point elsewhere, stand alone, and alternatives are not known: the first type or text stands for them."""
    if isinstance(schema, list):
        return [_schema_v2(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    rest = {key: _schema_v2(value) for key, value in schema.items() if key not in ("allOf", "oneOf", "$ref", "properties")}
    if "properties" in schema:
        rest["properties"] = {key: _schema_v2(value) for key, value in schema["properties"].items()}
    if "$ref" in schema:
        rest["$ref"] = schema["$ref"].replace(schemas.REF, "#/definitions/")
    for alternative in schema.get("allOf", ()):
        rest.update(_schema_v2(alternative))
    if "oneOf" in schema:
        rest["type"] = "string"
    return rest


def _path_v2(path: Obj) -> Obj:
    made: Obj = {}
    for method, operation in path.items():
        made[method] = [_parameter_v2(item) for item in operation] if method == "parameters" else _operation_v2(operation)
    return made


def _parameter_v2(parameter: Obj) -> Obj:
    return {**{key: value for key, value in parameter.items() if key != "schema"}, **parameter["schema"]}


def _operation_v2(operation: Obj) -> Obj:
    made = {key: value for key, value in operation.items() if key not in ("requestBody", "parameters", "responses")}
    parameters = [_parameter_v2(item) for item in operation.get("parameters", ())]
    body = operation.get("requestBody")
    if body is not None:
        schema = next(iter(body["content"].values()))["schema"]
        parameters.insert(0, {"in": "body", "name": "body", "schema": _schema_v2(schema), "required": bool(body.get("required"))})
        made["consumes"] = sorted(body["content"])
    if parameters:
        made["parameters"] = parameters
    made["schemes"] = ["https"]
    made["produces"] = sorted(operation["responses"]["200"].get("content", ()))
    made["responses"] = {code: _response_v2(response) for code, response in operation["responses"].items()}
    return made


def _response_v2(response: Obj) -> Obj:
    made: Obj = {"description": response["description"]}
    if "content" in response:
        made["schema"] = _schema_v2(next(iter(response["content"].values()))["schema"])
    return made
