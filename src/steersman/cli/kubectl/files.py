"""Objects from -f: files, directories, `-` (stdin) and URLs; YAML documents, JSON, Lists taken apart.

Source: upstream cli-runtime pkg/resource/visitor.go.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError
from steersman.cli.kubectl.mapping import Mapping, NoMatch
from steersman.machinery.gvk import Resource, split_api_version
from steersman.machinery.meta import Obj, labels_of, name_of, namespace_of

if TYPE_CHECKING:
    from steersman.cli.kubectl.mapping import Target

_EXTENSIONS = (".json", ".yaml", ".yml")
_SEPARATOR = re.compile(r"^---.*$\n?", re.MULTILINE)


async def from_files(
    ctx: Context, files: Sequence[str], *, recursive: bool = False, selector: str = "", local: bool = False
) -> tuple[list[Target], list[Exception]]:
    """Each object with its resource and namespace; and what is wrong with single documents."""
    from steersman.cli.kubectl.mapping import Target

    found: list[Target] = []
    errors: list[Exception] = []
    matches = _matcher(selector)
    for source, text in texts(ctx, files, recursive):
        try:
            for obj in documents(source, text):
                if not matches(obj):
                    continue
                if local:
                    found.append(Target(assumed(obj, source), namespace_of(obj), name_of(obj), source, obj))
                    continue
                mapping = await mapping_of(ctx, obj, source)
                found.append(Target(mapping, placed(ctx, mapping, obj), name_of(obj), source, obj))
        except KubectlError as error:
            errors.append(error)
    if not found and not errors:
        raise KubectlError("no objects passed to " + ctx.command.partition(" ")[0])
    return found, errors


def documents(source: str, text: str) -> Iterator[Obj]:
    """The objects of a text, those of Lists one by one. KubectlError for what can't be read."""
    for document in _SEPARATOR.split(text) if not text.lstrip().startswith("{") else [text]:
        value = _parsed(source, document)
        if value is None:
            continue
        if not isinstance(value, dict):
            raise KubectlError(
                f'unable to decode "{source}": json: cannot unmarshal {_go_kind(value)} '
                "into Go value of type unstructured.detector"
            )
        yield from _taken_apart(value)


def _taken_apart(obj: Obj) -> Iterator[Obj]:
    items = obj.get("items")
    if isinstance(items, list) and str(obj.get("kind") or "").endswith("List"):
        kind = str(obj["kind"]).removesuffix("List")
        for item in items:
            if isinstance(item, dict):
                lead = {} if item.get("kind") or not kind else {"apiVersion": obj.get("apiVersion"), "kind": kind}
                yield from _taken_apart({**lead, **item})
        return
    yield obj


def _parsed(source: str, text: str) -> Any:
    stripped = text.lstrip()
    if stripped.startswith("{"):
        try:
            return orjson.loads(stripped)
        except orjson.JSONDecodeError:
            pass  # YAML's flow style begins the same way
    from steersman.machinery import yamlio

    try:
        return yamlio.load(text)
    except ValueError as error:
        raise KubectlError(f"error parsing {source}: error converting YAML to JSON: {error}") from None


def _go_kind(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "number"


def assumed(obj: Obj, source: str) -> Mapping:
    """What serves an object's kind in all likelihood, without asking a server."""
    kind, group, version = _typed(obj, source)
    plural = kind.lower() + ("es" if kind.endswith("s") else "s")
    return Mapping(Resource(group, version, plural, True, kind), frozenset())


async def mapping_of(ctx: Context, obj: Obj, source: str) -> Mapping:
    """The resource of an object's kind."""
    kind, group, version = _typed(obj, source)
    try:
        return await ctx.mapper.for_kind(group, version, kind)
    except NoMatch as error:
        raise KubectlError(
            f'resource mapping not found for name: "{name_of(obj)}" namespace: "{namespace_of(obj)}" from "{source}": '
            f"{error}\nensure CRDs are installed first"
        ) from None


def _typed(obj: Obj, source: str) -> tuple[str, str, str]:
    """Kind, group and version; KubectlError if they are not said."""
    kind, version = str(obj.get("kind") or ""), str(obj.get("apiVersion") or "")
    if not kind or not version:
        missing = [what for what, there in (("apiVersion", version), ("kind", kind)) if not there]
        problem = f"{missing[0]} not set" if len(missing) == 1 else f"[{', '.join(f'{what} not set' for what in missing)}]"
        raise KubectlError(
            f'error validating "{source}": error validating data: {problem}; '
            "if you choose to ignore these errors, turn validation off with --validate=false"
        )
    return kind, *split_api_version(version)


def placed(ctx: Context, mapping: Mapping, obj: Obj) -> str:
    """The object's namespace, which is set on it if it has none; KubectlError if the command line contradicts."""
    meta = obj.setdefault("metadata", {})
    if not mapping.resource.namespaced:
        meta.pop("namespace", None)
        return ""
    given = namespace_of(obj)
    if given and ctx.namespace_set and given != ctx.namespace:
        raise KubectlError(
            f'the namespace from the provided object "{given}" does not match the namespace "{ctx.namespace}". '
            f"You must pass '--namespace={given}' to perform this operation."
        )
    meta["namespace"] = given or ctx.namespace
    return str(meta["namespace"])


def texts(ctx: Context, files: Sequence[str], recursive: bool) -> Iterator[tuple[str, str]]:
    for name in files:
        if name == "-":
            yield "STDIN", ctx.stdin.read()
        elif name.startswith(("http://", "https://")):
            yield name, _downloaded(name)
        else:
            for path in _paths(name, recursive):
                yield str(path), path.read_text(errors="replace")


def _paths(name: str, recursive: bool) -> list[Path]:
    path = Path(name)
    if not path.exists():
        raise KubectlError(f'the path "{name}" does not exist')
    if not path.is_dir():
        return [path]
    found: list[Path] = []
    for folder, folders, names in os.walk(path):
        folders.sort()
        found += [Path(folder, item) for item in sorted(names) if item.endswith(_EXTENSIONS)]
        if not recursive:
            break
    if not found:
        raise KubectlError(f"error reading [{name}]: recognized file extensions are [.json .yaml .yml]")
    return found


def _downloaded(url: str) -> str:
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return str(answer.read().decode(errors="replace"))
    except urllib.error.HTTPError as error:
        raise KubectlError(
            f'unable to read URL "{url}", server reported {error.code} {error.reason}, status code={error.code}'
        ) from None
    except OSError as error:
        raise KubectlError(f'Get "{url}": {getattr(error, "reason", error)}') from None


def _matcher(selector: str) -> Any:
    if not selector:
        return lambda obj: True
    from steersman.machinery import labeltext

    parsed = labeltext.parse(selector)
    return lambda obj: parsed.matches(labels_of(obj))
