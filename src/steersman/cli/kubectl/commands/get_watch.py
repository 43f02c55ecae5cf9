"""`kubectl get --watch`: what there is, then every change, until the server or the person ends it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import orjson

from steersman.cli.kubectl.commands.get_formats import printer_of
from steersman.cli.kubectl.commands.get_tables import accepted, as_table, fetch, options_of
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError
from steersman.cli.kubectl.flags import Flags
from steersman.cli.kubectl.mapping import Target
from steersman.cli.kubectl.output.table import TablePrinter
from steersman.cli.kubectl.resources import Query, targets
from steersman.client.rest import collection_path, lines
from steersman.client.rest import query as query_text
from steersman.machinery.errors import from_status
from steersman.machinery.meta import Obj, namespace_of

Show = Callable[[str, Obj], None]

_SEVERAL = "watch is only supported on individual resources and resource collections - more than 1 resource was found"
_EVENT_WIDTH = len("MODIFIED")


async def watch(ctx: Context, flags: Flags, query: Query) -> int:
    wanted, errors = await targets(ctx, query)
    if errors:
        raise errors[0]
    if len(wanted) != 1:
        raise KubectlError("you may only specify a single resource type" if not query.files else _SEVERAL)
    target = wanted[0]
    tables = flags.text("output") in ("", "wide") and not flags.text("template")
    show = _table_show(ctx, flags, target) if tables else _object_show(ctx, flags)
    version, seen = await _first(ctx, flags, query, target, show, tables)
    try:
        async for kind, obj in _events(ctx, query, target, version, tables):
            # A watch from nowhere begins with the object as it is: as it was shown, unless it has changed since.
            known, seen = seen, ""
            if known and not _is_newer(_version(obj), known):
                continue
            show(kind, obj)
            ctx.out.flush()
    except TimeoutError:
        pass  # --request-timeout is how long to watch
    return 0


async def _first(ctx: Context, flags: Flags, query: Query, target: Target, show: Show, tables: bool) -> tuple[str, str]:
    """Show what there is, unless only changes are wanted; the version to watch from, and that of a single object."""
    quiet = flags.on("watch-only")
    seen = ""
    if tables:
        pages = await fetch(ctx, query, target)
        version, seen = str((pages[-1].get("metadata") or {}).get("resourceVersion") or ""), _version(pages[0])
        for page in pages if not quiet else ():
            if page.get("rows"):
                show("ADDED", page)
    elif target.name:
        obj = await ctx.client.get(target.mapping.resource, target.name, target.namespace)
        version, seen = "", _version(obj)
        if not quiet:
            show("ADDED", obj)
    else:
        from steersman.cli.kubectl.resources import list_all

        items, number = await list_all(ctx, query, target)
        version = str(number)
        for item in items if not quiet else ():
            show("ADDED", item)
    ctx.out.flush()
    return ("0", seen or "unknown") if target.name else (version, "")


def _version(obj: Obj) -> str:
    """The resourceVersion of an object, or of that in the first row of a table."""
    if obj.get("kind") == "Table":
        rows: list[Obj] = obj.get("rows") or [{}]
        obj = rows[0].get("object") or {}
    return str((obj.get("metadata") or {}).get("resourceVersion") or "")


def _is_newer(version: str, than: str) -> bool:
    return version.isdecimal() and than.isdecimal() and int(version) > int(than)


async def _events(ctx: Context, query: Query, target: Target, version: str, tables: bool) -> AsyncIterator[tuple[str, Obj]]:
    """Type and object (or table) of every change."""
    field_selector = query.field_selector
    if target.name:
        field_selector = f"metadata.name={target.name}"
    params = query_text(watch="true", resourceVersion=version, labelSelector=query.selector, fieldSelector=field_selector)
    path = collection_path(target.mapping.resource, target.namespace) + params
    headers = {"Accept": accepted(ctx.flags) if tables else "application/json"}
    async with ctx.client.transport.stream("GET", path, headers=headers) as answer:
        if answer.status != 200:
            raise from_status(orjson.loads(b"".join([chunk async for chunk in answer.chunks()])), answer.status)
        async for line in lines(answer.chunks()):
            event = orjson.loads(line)
            if event["type"] == "ERROR":
                raise from_status(event["object"], int(event["object"].get("code") or 500))
            if event["type"] != "BOOKMARK":
                yield event["type"], as_table(event["object"], ctx.clock.now()) if tables else event["object"]


def _object_show(ctx: Context, flags: Flags) -> Show:
    printing, as_events = printer_of(flags), flags.on("output-watch-events")

    def show(kind: str, obj: Obj) -> None:
        if not as_events:
            printing.print(obj, ctx.out)
        elif flags.text("output") == "json":
            from steersman.cli.kubectl.output.documents import encode, without_managed_fields

            shown = obj if flags.on("show-managed-fields") else without_managed_fields(obj)
            ctx.print(f'{{"type":"{kind}","object":{encode(shown)}}}')
        else:
            printing.print({"type": kind, "object": obj}, ctx.out)

    return show


def _table_show(ctx: Context, flags: Flags, target: Target) -> Show:
    """Later tables of a watch come without their columns. Columns of events and namespaces stand first."""
    options, as_events = options_of(flags, target), flags.on("output-watch-events")
    with_namespace = options.with_namespace
    printing = TablePrinter(replace(options, with_namespace=with_namespace and not as_events))
    definitions: list[Obj] = []

    def show(kind: str, table: Obj) -> None:
        nonlocal definitions
        definitions = table.get("columnDefinitions") or definitions
        whole = {**table, "columnDefinitions": definitions}
        printing.print(_with_event(whole, kind, with_namespace) if as_events else whole, ctx.out)

    return show


def _with_event(table: Obj, kind: str, with_namespace: bool) -> Obj:
    """The table with a column of what happened, and after it the namespaces."""
    names = ["Event", "Namespace"] if with_namespace else ["Event"]
    rows = []
    for row in table.get("rows") or ():
        lead = [kind.ljust(_EVENT_WIDTH)]
        if with_namespace:
            lead.append(namespace_of(row.get("object") or {}))
        rows.append({**row, "cells": [*lead, *row.get("cells", ())]})
    return {"columnDefinitions": [*({"name": name} for name in names), *table["columnDefinitions"]], "rows": rows}
