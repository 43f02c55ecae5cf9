"""The tables of `kubectl get`: asked of the server, one per collection or name, and shown group by group."""

from __future__ import annotations

from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import Aggregate, KubectlError
from steersman.cli.kubectl.flags import Flags
from steersman.cli.kubectl.mapping import Target
from steersman.cli.kubectl.output.table import TableOptions, TablePrinter
from steersman.cli.kubectl.resources import Query, targets, unlistable
from steersman.client.rest import collection_path, object_path
from steersman.client.rest import query as query_text
from steersman.machinery import duration
from steersman.machinery.errors import BadRequest, NotFound, StatusError
from steersman.machinery.meta import Obj, name_of, parse_time

_TABLES = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"


class Shown(NamedTuple):
    """A table and what it is of."""

    target: Target
    table: Obj


async def print_tables(ctx: Context, flags: Flags, query: Query) -> int:
    if flags.text("sort-by"):
        query = query._replace(chunk=0)  # pages can't be sorted one by one
    wanted, errors = await targets(ctx, query)
    shown: list[Shown] = []
    for target in wanted:
        try:
            shown += [Shown(target, table) for table in await fetch(ctx, query, target, objects=bool(flags.text("sort-by")))]
        except (StatusError, KubectlError) as error:
            if not (flags.on("ignore-not-found") and isinstance(error, NotFound)):
                errors.append(error)
    written = _print_groups(ctx, flags, shown)
    if not written and not flags.on("ignore-not-found") and not errors:
        _say_nothing_found(ctx, flags, wanted)
    if errors:
        raise Aggregate(errors)
    return 0


def accepted(flags: Flags) -> str:
    """The Accept header for tables; for objects, which become tables of names and ages, with --server-print=false."""
    return _TABLES if flags.on("server-print") else "application/json"


async def fetch(ctx: Context, query: Query, target: Target, *, objects: bool = False) -> list[Obj]:
    """The table of a name, or one per page of a collection. `objects`: rows hold whole objects, not only their metadata."""
    include = "Object" if objects else ""
    headers = {"Accept": accepted(ctx.flags)}
    if target.name:
        path = object_path(target.mapping.resource, target.namespace, target.name, ctx.flags.text("subresource"))
        answer = await ctx.client.raw("GET", path + query_text(includeObject=include), headers=headers)
        return [as_table(answer, ctx.clock.now())]
    pages: list[Obj] = []
    continue_ = ""
    while True:
        params = query_text(
            labelSelector=query.selector,
            fieldSelector=query.field_selector,
            limit=query.chunk,
            includeObject=include,
            **{"continue": continue_},
        )
        path = collection_path(target.mapping.resource, target.namespace)
        try:
            pages.append(as_table(await ctx.client.raw("GET", path + params, headers=headers), ctx.clock.now()))
        except (BadRequest, NotFound) as error:
            raise unlistable(error, query, target) from None
        continue_ = (pages[-1].get("metadata") or {}).get("continue") or ""
        if not continue_:
            return pages


def as_table(answer: Obj, now: datetime) -> Obj:
    """What the server sent; a table of names and ages where it makes no tables itself (some aggregated servers do not)."""
    if answer.get("kind") == "Table":
        return answer
    items = answer.get("items") if isinstance(answer.get("items"), list) else [answer]
    return {
        "kind": "Table",
        "metadata": answer.get("metadata") or {},
        "columnDefinitions": [
            {"name": "Name", "type": "string", "format": "name", "priority": 0},
            {"name": "Age", "type": "string", "priority": 0},
        ],
        "rows": [{"cells": _cells(item, now), "object": item} for item in items or ()],
    }


def _cells(item: Obj, now: datetime) -> list[str]:
    made = parse_time((item.get("metadata") or {}).get("creationTimestamp"))
    return [name_of(item), duration.human((now - made).total_seconds()) if made else "<unknown>"]


def options_of(flags: Flags, target: Target, *, with_kind: bool = False) -> TableOptions:
    """How a table of this resource is shown under these flags."""
    at = target.mapping.resource
    kind = f"{at.kind.lower()}.{at.group}" if at.group else at.kind.lower()
    return TableOptions(
        wide=flags.text("output") == "wide",
        no_headers=flags.on("no-headers"),
        with_namespace=flags.on("all-namespaces") and at.namespaced,
        kind=kind if with_kind or flags.on("show-kind") else "",
        show_labels=flags.on("show-labels"),
        label_columns=flags.texts("label-columns"),
    )


def _print_groups(ctx: Context, flags: Flags, shown: list[Shown]) -> bool:
    """Whether anything was written. Tables of the same resource that follow each other share their headers and widths."""
    with_kind = len({item.target.mapping.resource for item in shown}) > 1
    written = False
    for _, group in groupby(shown, key=lambda item: item.target.mapping.resource):
        members = list(group)
        table = _joined(members, flags.text("sort-by"))
        if not table["rows"]:
            continue
        if written and not flags.on("no-headers"):
            ctx.print()
        TablePrinter(options_of(flags, members[0].target, with_kind=with_kind)).print(table, ctx.out)
        written = True
    return written


def _joined(members: list[Shown], sort_path: str) -> Obj:
    rows = [row for member in members for row in member.table.get("rows") or ()]
    if sort_path and rows:
        from steersman.cli.kubectl.sorting import sort_by

        rows = sort_by(rows, sort_path, lambda row: row.get("object") or {})
    definitions: list[Obj] = next((found for member in members if (found := member.table.get("columnDefinitions"))), [])
    return {"columnDefinitions": definitions, "rows": rows}


def _say_nothing_found(ctx: Context, flags: Flags, wanted: list[Target]) -> None:
    if not flags.on("all-namespaces") and all(target.mapping.resource.namespaced for target in wanted):
        ctx.complain(f"No resources found in {ctx.namespace} namespace.")
    else:
        ctx.complain("No resources found")
