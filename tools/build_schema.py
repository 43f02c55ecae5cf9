"""Make src/steersman/api/schema/v1.36.json, the schema facts, from the PyPI package kubernetes-validate.

Run when a new upstream version is taken up: `python tools/build_schema.py`. The package writes optional as a `null` type and
quantities as `oneOf`; here both are undone. Only facts are kept (names, types, formats, list types, merge keys, required
fields, GVKs), no texts. What the short keys mean is told in steersman/api/schema/loader.py, which reads them.
"""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

VERSION = "v1.36"
SOURCE = "kubernetes-json-schema/v1.36.0-local/_definitions.json"
TARGET = Path(__file__).parent.parent / "src/steersman/api/schema" / f"{VERSION}.json"
REF = "#/$defs/"
PRERELEASE = re.compile(r"\.v\d+(alpha|beta)\d+\.")
PREFIX = "io.k8s."

SCALARS = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "int-or-string",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "time",
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": "micro-time",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": "raw",
    "io.k8s.apimachinery.pkg.runtime.RawExtension": "raw",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Patch": "raw",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON": "any",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray": "any",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool": "any",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray": "any",
}
"""Definitions that are one value on the wire, with the type word they get."""

EXTRAS = {
    "x-kubernetes-list-type": "list",
    "x-kubernetes-list-map-keys": "keys",
    "x-kubernetes-map-type": "map",
    "x-kubernetes-patch-strategy": "patch",
    "x-kubernetes-patch-merge-key": "mergeKey",
}


def main() -> None:
    spec = find_spec("kubernetes_validate")
    if spec is None or spec.origin is None:
        raise SystemExit("kubernetes-validate is not installed")
    definitions: dict[str, Any] = json.loads((Path(spec.origin).parent / SOURCE).read_text())["$defs"]
    wanted = {name: facts(body) for name, body in definitions.items() if name not in SCALARS and not PRERELEASE.search(name)}
    lines = [
        f"{json.dumps(name.removeprefix(PREFIX))}:{json.dumps(wanted[name], separators=(',', ':'))}" for name in sorted(wanted)
    ]
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def facts(definition: dict[str, Any]) -> dict[str, Any]:
    """One definition, in short keys; empty ones are left out."""
    required = definition.get("required", ())
    fields = {name: field_facts(name, prop) for name, prop in sorted(definition.get("properties", {}).items())}
    kinds = [[gvk["group"], gvk["version"], gvk["kind"]] for gvk in definition.get("x-kubernetes-group-version-kind", ())]
    found = {
        "fields": fields,
        "required": sorted(required),
        "gvk": kinds if len(kinds) < 3 else [kind for kind in kinds if not kind[0]],
        "map": definition.get("x-kubernetes-map-type", ""),
    }
    return {key: value for key, value in found.items() if value}


def field_facts(name: str, prop: dict[str, Any]) -> Any:
    """A type word alone, or an object with the type word and what strategic merge and apply need."""
    extras = {short: prop[long] for long, short in EXTRAS.items() if long in prop}
    word = type_word(prop)
    return {"type": word, **extras} if extras else word


def type_word(prop: dict[str, Any]) -> str:
    """`string`, `int32`, `#api.core.v1.PodSpec`, `[string]` for lists, `{string}` for maps ..."""
    if "$ref" in prop:
        name = prop["$ref"].removeprefix(REF)
        return SCALARS.get(name) or "#" + name.removeprefix(PREFIX)
    kind = prop.get("type")
    if isinstance(kind, list):
        kind = next(item for item in kind if item != "null")
    if kind == "array":
        return f"[{type_word(prop['items'])}]"
    if kind == "object":
        inner = prop.get("additionalProperties")
        return f"{{{type_word(inner)}}}" if inner else "raw"
    if kind in ("string", "integer", "number"):
        word = str(prop.get("format") or kind)
        return "bytes" if word == "byte" else word
    return str(kind or "any")


if __name__ == "__main__":
    main()
