"""`kubectl explain`: the fields of a kind, from the server's OpenAPI v3 document. Texts are the server's: some give none.

Source: kubectl pkg/explain/v2 (templates/plaintext.tmpl).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError, PlainError
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.mapping import NoMatch
from steersman.machinery.gvk import Resource, split_api_version
from steersman.machinery.meta import Obj

SUMMARY = "Describe fields and structure of various resources."
USAGE = (
    "explain TYPE [--recursive=FALSE|TRUE] [--api-version=api-version-group] [-o|--output=plaintext|plaintext-openapiv2] "
    "[options]"
)
EXAMPLES = """  # Get the documentation of the resource and its fields
  kubectl explain pods

  # Get all the fields in the resource
  kubectl explain pods --recursive

  # Get the documentation of a specific field of a resource
  kubectl explain pods.spec.containers"""
FLAGS = (
    Flag("api-version", help="Use given api-version (group/version) of the resource."),
    Flag("output", help="Format in which to render the schema. Valid values are: (plaintext, plaintext-openapiv2).", short="o",
         default="plaintext"),
    Flag("recursive", "bool", "When true, print the name of all the fields recursively. Otherwise, print the available fields "
         "with their description."),
)  # fmt: skip
_FORMATS = ("plaintext", "plaintext-openapiv2")
_WIDTH = 76
_ENUM_LIMIT = 4
_TEXTS = dict.fromkeys((f"io.k8s.apimachinery.pkg.apis.meta.v1.{kind}" for kind in ("Time", "MicroTime")), "string")
"""Kinds that are written as text, and so shown."""


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    if not args:
        raise KubectlError(
            "You must specify the type of resource to explain. "
            'Use "kubectl api-resources" for a complete list of supported resources.'
        )
    if len(args) > 1:
        raise KubectlError("We accept only this format: explain RESOURCE")
    if flags.text("output") not in _FORMATS:
        raise KubectlError(f"unrecognized format: {flags.text('output')}")
    resource, path = await _subject(ctx, args[0], flags.text("api-version"))
    if "" in path:
        raise KubectlError("invalid jsonpath syntax, first node must be field node")
    root = "apis" if resource.group else "api"
    document: Obj = await ctx.client.raw("GET", f"/openapi/v3/{root}/{resource.api_version}")
    schemas: Mapping[str, Obj] = (document.get("components") or {}).get("schemas") or {}
    schema = _schema_of(schemas, resource)
    if resource.group:
        ctx.print(f"GROUP:      {resource.group}")
    ctx.print(f"KIND:       {resource.kind}\nVERSION:    {resource.version}\n")
    explained = _Explainer(schemas, recursive=flags.on("recursive")).explain(schema, path)
    ctx.print("".join(explained))
    return 0


async def _subject(ctx: Context, text: str, version: str) -> tuple[Resource, list[str]]:
    """The resource that a text begins with (`deployments.apps.spec`), and the fields after it."""
    words = text.split(".")
    for count in range(len(words), 0, -1):
        try:
            found = (await ctx.mapper.for_argument(".".join(words[:count]))).resource
        except NoMatch:
            continue
        if count > 1 and ".".join(words[1:count]) not in (found.group, f"{found.version}.{found.group}"):
            continue
        if not version:
            return found, words[count:]
        group, number = split_api_version(version)
        for item in await ctx.mapper.all():
            at = item.resource
            if (at.group, at.version, at.plural) == (group, number, found.plural):
                return at, words[count:]
        name = f"{group}/{number}, Resource={found.plural}"
        if any((item.resource.group, item.resource.version) == (group, number) for item in await ctx.mapper.all()):
            raise KubectlError(f"GVR ({name}) not found in OpenAPI schema")
        raise KubectlError(f'couldn\'t find resource for "{name}"')
    raise PlainError(f'the server doesn\'t have a resource type "{words[0]}"')


def _schema_of(schemas: Mapping[str, Obj], resource: Resource) -> Obj:
    wanted = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    for schema in schemas.values():
        if wanted in (schema.get("x-kubernetes-group-version-kind") or ()):
            return schema
    raise KubectlError(f"GVR ({resource.group}/{resource.version}, Resource={resource.plural}) not found in OpenAPI schema")


@dataclass(frozen=True, slots=True)
class _Explainer:
    schemas: Mapping[str, Obj]
    recursive: bool

    def explain(self, schema: Obj, path: list[str]) -> Iterator[str]:
        """Down the path, through lists, maps and references, to what is to be explained."""
        resolved = self._resolved(schema)
        if not path:
            yield "DESCRIPTION:\n"
            yield f"{_indented(wrapped(self._description(schema) or '<empty>', _WIDTH), 4)}\n"
            if fields := "".join(self._fields(schema, 1, frozenset())):
                yield f"FIELDS:\n{fields}"
            return
        properties = resolved.get("properties") or {}
        if path[0] in properties:
            inner = properties[path[0]]
            if len(path) == 1:
                yield f"FIELD: {path[0]} <{_type(inner)}>\n{_enum(inner, long=True)}\n\n"
            yield from self.explain(inner, path[1:])
            return
        for nested in (*(resolved.get("allOf") or ()), resolved.get("items"), resolved.get("additionalProperties")):
            if isinstance(nested, dict):
                yield from self.explain(nested, path)
                return
        raise KubectlError(f'field "{path[0]}" does not exist')

    def _resolved(self, schema: Obj) -> Obj:
        name = str(schema.get("$ref") or "").rpartition("/")[2]
        return self.schemas.get(name, schema) if name else schema

    def _description(self, schema: Obj) -> str:
        """Its own, then those of what it consists of."""
        resolved = self._resolved(schema)
        parts = [f"{resolved['description']}\n"] if resolved.get("description") else []
        parts += [self._description(part) for part in _parts(resolved)]
        return "".join(parts)

    def _fields(self, schema: Obj, level: int, seen: frozenset[str]) -> Iterator[str]:
        """`seen`: the references above, so that kinds that hold themselves come to an end."""
        reference = str(schema.get("$ref") or "")
        if reference in seen:
            return
        inside = seen | {reference} if reference else seen
        resolved = self._resolved(schema)
        properties: Mapping[str, Obj] = resolved.get("properties") or {}
        required = resolved.get("required") or ()
        for name in sorted(properties):
            yield self._field(name, properties[name], level, needed=name in required)
            if self.recursive:
                yield from self._fields(properties[name], level + 1, inside)
        for part in _parts(resolved):
            yield from self._fields(part, level, inside)

    def _field(self, name: str, schema: Obj, level: int, *, needed: bool) -> str:
        margin = " " * (level * 2)
        line = f"{margin}{name}\t<{_type(schema)}>{' -required-' if needed else ''}{_enum(schema, long=False, margin=margin)}\n"
        if self.recursive:
            return line
        text = str(schema.get("description") or "") or self._description(schema).removesuffix("\n") or "<no description>"
        return f"{line}{_indented(wrapped(text, _WIDTH), len(margin) + 2)}\n\n"


def _parts(schema: Obj) -> list[Obj]:
    found = [*(schema.get("allOf") or ()), schema.get("items"), schema.get("additionalProperties")]
    return [part for part in found if isinstance(part, dict)]


def _type(schema: Obj) -> str:
    if isinstance(schema.get("items"), dict):
        return f"[]{_type(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"map[string]{_type(schema['additionalProperties'])}"
    parts = schema.get("allOf") or []
    if len(parts) == 1 and not schema.get("properties"):
        return _type(parts[0])
    if reference := schema.get("$ref"):
        name = str(reference).rpartition("/")[2]
        return _TEXTS.get(name) or name.rpartition(".")[2] or "Object"
    return str(schema.get("type") or "Object")


def _enum(schema: Obj, *, long: bool, margin: str = "") -> str:
    values = [_enum_value(value) for value in schema.get("enum") or ()]
    if not values:
        return ""
    if long:
        return "ENUM:\n" + "".join(f"    {value}\n" for value in values)
    more = ["...."] if len(values) > _ENUM_LIMIT else []
    return f"\n{margin}enum: {', '.join([*values[:_ENUM_LIMIT], *more])}"


def _enum_value(value: Any) -> str:
    return '""' if value == "" else str(value)


def _indented(text: str, amount: int) -> str:
    margin = " " * amount
    return "\n".join(margin + line for line in text.split("\n"))


def wrapped(text: str, limit: int) -> str:
    """Lines broken at spaces; a word that is too long stays whole, line breaks stay where they are."""
    return "\n".join(_wrapped_line(line, limit) for line in text.split("\n"))


def _wrapped_line(line: str, limit: int) -> str:
    done: list[str] = []
    current, space = "", ""
    for word in re.findall(r"\s+|\S+", line):
        if word.isspace():
            space = word
            continue
        if current and len(current) + len(space) + len(word) > limit:
            done.append(current)
            current = word
        else:
            current += space + word
        space = ""
    return "\n".join([*done, current + (space if len(current) + len(space) <= limit else "")])
