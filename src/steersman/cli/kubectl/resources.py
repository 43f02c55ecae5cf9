"""The resource builder: from arguments, files and selectors to the objects a verb works on.

    find(ctx, Query(args=("deploy/web", …)))       names, types with --all or a selector, `type/name`, files
    Found.infos                                    what was found, in the order asked for
    Found.errors                                   what was not; a verb works on the rest and then raises these

Source: upstream cli-runtime pkg/resource/builder.go. Not here: reading files (files.py), which words mean which resource
(mapping.py), writing (each verb).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError, PlainError, raise_all
from steersman.cli.kubectl.flags import Flags
from steersman.cli.kubectl.mapping import Mapping, Target
from steersman.machinery.errors import BadRequest, NotFound, StatusError
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, name_of, namespace_of, resource_version_of

NOTHING_GIVEN = """error: You must provide one or more resources by argument or filename.
Example resource specifications include:
   '-f rsrc.yaml'
   '--filename=rsrc.json'
   '<resource> <name>'
   '<resource>'"""
SLASH_MIX = (
    "there is no need to specify a resource type as a separate argument when passing arguments in resource/name form "
    "(e.g. 'kubectl get resource/<resource_name>' instead of 'kubectl get resource resource/<resource_name>'"
)
_NOT_ONE = "arguments in resource/name form must have a single resource and name"


class Query(NamedTuple):
    """What a verb was asked to work on.

    everything: a type without names means all of them (get; --all). fetch: ask the server for what is named, else infos have
    no object. latest: objects from files are read from the server as well. local: the server is not asked
    at all, not even for what there is. default_type: type of names without one.
    """

    args: Sequence[str] = ()
    files: Sequence[str] = ()
    recursive: bool = False
    selector: str = ""
    field_selector: str = ""
    all_namespaces: bool = False
    everything: bool = False
    fetch: bool = True
    latest: bool = False
    local: bool = False
    default_type: str = ""
    chunk: int = 500
    subresource: str = ""


def query_of(
    flags: Flags,
    args: Sequence[str],
    *,
    everything: bool = False,
    fetch: bool = True,
    latest: bool = False,
    local: bool = False,
    default_type: str = "",
) -> Query:
    """A Query from the flags that verbs share (-f, -R, -l, --field-selector, -A, --all), as far as this verb has them."""
    if flags.has("kustomize") and flags.text("kustomize"):
        raise KubectlError("-k is not there yet: build the directory with kustomize and give its output to -f -")
    return Query(
        args=args,
        files=flags.texts("filename") if flags.has("filename") else (),
        recursive=flags.has("recursive") and flags.on("recursive"),
        selector=flags.text("selector") if flags.has("selector") else "",
        field_selector=flags.text("field-selector") if flags.has("field-selector") else "",
        all_namespaces=flags.has("all-namespaces") and flags.on("all-namespaces"),
        everything=everything or (flags.has("all") and flags.on("all")),
        fetch=fetch,
        latest=latest,
        local=local,
        default_type=default_type,
        chunk=flags.number("chunk-size") if flags.has("chunk-size") else 500,
        subresource=flags.text("subresource") if flags.has("subresource") else "",
    )


@dataclass(slots=True)
class Info:
    """One object, or one that is named and not fetched (obj None). `source` is the file it came from."""

    mapping: Mapping
    namespace: str
    name: str
    source: str = ""
    obj: Obj | None = None

    @property
    def resource(self) -> Resource:
        return self.mapping.resource

    @property
    def object(self) -> Obj:
        assert self.obj is not None
        return self.obj

    @property
    def shown(self) -> str:
        """`deployment.apps/web`: what most verbs print before what they did."""
        return f"{self.kind_shown}/{self.name}"

    @property
    def kind_shown(self) -> str:
        """`deployment.apps`, `pod`."""
        at = self.resource
        return f"{at.kind.lower()}.{at.group}" if at.group else at.kind.lower()

    def refresh(self, obj: Obj) -> None:
        """Take over what the server answered."""
        self.obj, self.name, self.namespace = obj, name_of(obj), namespace_of(obj)


@dataclass(slots=True)
class Found:
    """single: exactly one object was asked for by its name, so that it is printed as itself and not as a list."""

    infos: list[Info] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    single: bool = False
    resource_version: int = 0

    def checked(self) -> list[Info]:
        """The infos; raises if anything asked for could not be had."""
        raise_all(self.errors)
        return self.infos


async def find(ctx: Context, query: Query) -> Found:
    """Everything the query names. What is wrong with the query itself is raised; what a server refused is in `errors`."""
    wanted, errors = await targets(ctx, query)
    found = Found(single=_is_single(query, wanted), errors=errors)
    for target in wanted:
        try:
            await _visit(ctx, query, target, found)
        except (StatusError, KubectlError) as error:
            found.errors.append(error)
    return found


async def find_one(ctx: Context, query: Query) -> Info:
    """The only object of a query; KubectlError if there are several."""
    infos = (await find(ctx, query)).checked()
    if len(infos) != 1:
        raise KubectlError(f"expected one resource, got {len(infos)}" if infos else "no objects passed")
    return infos[0]


def _is_single(query: Query, wanted: Sequence[Target]) -> bool:
    """A stream or a folder may hold any number of objects, even if it is one today."""
    if query.files:
        return len(wanted) == len(query.files) == 1 and query.files[0] != "-" and not os.path.isdir(query.files[0])
    return len(wanted) == 1 and bool(wanted[0].name)


async def targets(ctx: Context, query: Query) -> tuple[list[Target], list[Exception]]:
    """What to ask the server for, and what is wrong with single files. Raises KubectlError for the command line's mistakes."""
    if query.files:
        if query.args:
            raise KubectlError("when paths, URLs, or stdin is provided as input, you may not specify resource arguments as well")
        from steersman.cli.kubectl.files import from_files

        return await from_files(ctx, query.files, recursive=query.recursive, selector=query.selector, local=query.local)
    if query.local:
        raise KubectlError(
            "you must specify resources by --filename when --local is set.\n"
            "Example resource specifications include:\n   '-f rsrc.yaml'\n   '--filename=rsrc.json'"
        )
    args = list(query.args)
    if query.default_type and args and not any("/" in arg for arg in args):
        args = [query.default_type, *args]
    if not args:
        raise PlainError(NOTHING_GIVEN)
    if query.everything and (query.selector or query.field_selector) and query.fetch is False:
        raise KubectlError("setting 'all' parameter but found a non empty selector. ")
    if any("/" in arg for arg in args):
        return await _by_slash(ctx, query, args), []
    return await _by_type(ctx, query, args), []


async def _by_slash(ctx: Context, query: Query, args: Sequence[str]) -> list[Target]:
    found = []
    for arg in args:
        kind, slash, name = arg.partition("/")
        if not slash:
            if query.default_type:
                kind, name = query.default_type, arg
            else:
                raise KubectlError(SLASH_MIX)
        if "/" in name:
            raise KubectlError("arguments in resource/name form may not have more than one slash")
        if not kind or not name or "," in kind:
            raise KubectlError(_NOT_ONE)
        found.append((kind, name))
    if query.selector or query.field_selector or query.everything and query.fetch is False:
        raise KubectlError("selectors and the all flag cannot be used when passing resource/name arguments")
    return [_named(ctx, query, await ctx.mapper.for_argument(kind), name) for kind, name in found]


async def _by_type(ctx: Context, query: Query, args: Sequence[str]) -> list[Target]:
    types, names = args[0].split(","), args[1:]
    mappings: list[Mapping] = []
    for word in types:
        mappings += await ctx.mapper.category(word) or [await ctx.mapper.for_argument(word)]
    if names:
        if query.selector or query.field_selector:
            raise KubectlError("name cannot be provided when a selector is specified")
        return [_named(ctx, query, mapping, name) for mapping in mappings for name in names]
    if not (query.selector or query.field_selector or query.everything):
        raise KubectlError("resource(s) were provided, but no name was specified")
    # A category may name what can't be listed; upstream leaves it out as well.
    return [
        Target(mapping, "" if query.all_namespaces or not mapping.resource.namespaced else ctx.namespace) for mapping in mappings
    ]


def _named(ctx: Context, query: Query, mapping: Mapping, name: str) -> Target:
    if query.all_namespaces and mapping.resource.namespaced:
        raise KubectlError("a resource cannot be retrieved by name across all namespaces")
    return Target(mapping, ctx.namespace if mapping.resource.namespaced else "", name)


async def _visit(ctx: Context, query: Query, target: Target, found: Found) -> None:
    resource = target.mapping.resource
    if target.name or target.obj is not None:
        info = Info(target.mapping, target.namespace, target.name, target.source, target.obj)
        if query.fetch and (target.obj is None or query.latest):
            info.obj = await ctx.client.get(resource, target.name, target.namespace, subresource=query.subresource)
        found.infos.append(info)
        return
    if not query.fetch and not (query.selector or query.field_selector or query.everything):
        return
    items, version = await list_all(ctx, query, target)
    found.resource_version = max(found.resource_version, version)
    found.infos += [Info(target.mapping, namespace_of(item), name_of(item), "", item) for item in items]


def unlistable(error: StatusError, query: Query, target: Target) -> StatusError:
    """The error with what could not be listed before it."""
    at = target.mapping.resource
    lead = f'Unable to list "{at.group}/{at.version}, Resource={at.plural}"'
    if query.selector or query.field_selector:
        lead = (
            f'Unable to find "{at.group}/{at.version}, Resource={at.plural}" that match '
            f'label selector "{query.selector}", field selector "{query.field_selector}"'
        )
    return type(error)(f"{lead}: {error.message}", details=error.details)


async def list_all(ctx: Context, query: Query, target: Target) -> tuple[list[Obj], int]:
    """All pages of a collection, and the revision they are of."""
    items: list[Obj] = []
    continue_ = ""
    while True:
        try:
            page = await ctx.client.list(
                target.mapping.resource,
                target.namespace,
                label_selector=query.selector,
                field_selector=query.field_selector,
                limit=query.chunk,
                continue_=continue_,
            )
        except (BadRequest, NotFound) as error:
            raise unlistable(error, query, target) from None
        items += page["items"]
        continue_ = (page.get("metadata") or {}).get("continue") or ""
        if not continue_:
            return items, resource_version_of(page)
