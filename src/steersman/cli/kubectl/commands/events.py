"""`kubectl events`: what happened, oldest last sighting first; with -w what happens from now on as well."""

from __future__ import annotations

from steersman.api.resources import EVENTS
from steersman.cli.kubectl import common
from steersman.cli.kubectl.commands.events_view import EventsView
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError, PlainError
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.mapping import NoMatch
from steersman.cli.kubectl.output import FORMATS, Printer, PrintOptions, printer
from steersman.machinery import fields
from steersman.machinery.meta import Obj

SUMMARY = "Display events."
USAGE = f"events [(-o|--output=){'|'.join(FORMATS)}] [--for TYPE/NAME] [--watch] [--types=Normal,Warning] [options]"
EXAMPLES = """  # List recent events in the default namespace
  kubectl events

  # List recent events in all namespaces
  kubectl events --all-namespaces

  # List recent events for the specified pod, then wait for more events and list them as they arrive
  kubectl events --for pod/web-pod-13je7 --watch

  # List recent events in YAML format
  kubectl events -oyaml

  # List recent only events of type 'Warning' or 'Normal'
  kubectl events --types=Warning,Normal"""
FLAGS = (
    common.ALL_NAMESPACES,
    Flag("chunk-size", "int", "Return large lists in chunks rather than all at once. Pass 0 to disable.", default=500),
    Flag("for", help="Filter events to only those pertaining to the specified resource."),
    Flag("no-headers", "bool", "When using the default output format, don't print headers."),
    Flag("types", "strings", "Output only events of given types."),
    Flag("watch", "bool", "After listing the requested events, watch for more events.", short="w"),
    *common.PRINTING,
)


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    selector = await _selector(ctx, flags.text("for"))
    shown = _printer(flags)
    types = {kind.lower() for kind in flags.texts("types")}
    if types - {"normal", "warning"}:
        raise KubectlError("valid --types are Normal or Warning")
    namespace = "" if flags.on("all-namespaces") else ctx.namespace
    view = EventsView(ctx, shown)
    if flags.on("watch"):
        await _watch(ctx, view, namespace, selector, types)
        return 0
    events = [event for event in await _list(ctx, namespace, selector) if _wanted(event, types)]
    if not events:
        ctx.complain("No events found." if flags.on("all-namespaces") else f"No events found in {ctx.namespace} namespace.")
        return 0
    view.show_all(sorted(events, key=_last_seen))
    return 0


def _printer(flags: Flags) -> Printer | None:
    """None is the table."""
    spec = flags.text("output")
    if not spec:
        return None
    options = PrintOptions(
        template=flags.text("template"),
        managed_fields=flags.on("show-managed-fields"),
        allow_missing_keys=flags.on("allow-missing-template-keys"),
    )
    return printer(spec, options)


async def _selector(ctx: Context, about: str) -> str:
    """The field selector of --for."""
    if not about:
        return ""
    kind, slash, name = about.partition("/")
    if not slash:
        raise KubectlError("--for must be in resource/name form")
    if "/" in name:
        raise KubectlError("arguments in resource/name form may not have more than one slash")
    try:
        mapping = await ctx.mapper.for_argument(kind)
    except NoMatch as error:
        raise PlainError(str(error)) from None
    at = mapping.resource
    wanted = {"kind": at.kind, "apiVersion": at.api_version, "name": name}
    return ",".join(f"involvedObject.{key}={fields.escape(value)}" for key, value in wanted.items()) if name else ""


async def _list(ctx: Context, namespace: str, selector: str) -> list[Obj]:
    events: list[Obj] = []
    token = ""
    while True:
        page = await ctx.client.list(
            EVENTS, namespace, field_selector=selector, limit=ctx.flags.number("chunk-size"), continue_=token
        )
        events += page["items"]
        token = (page.get("metadata") or {}).get("continue") or ""
        if not token:
            return events


async def _watch(ctx: Context, view: EventsView, namespace: str, selector: str, types: set[str]) -> None:
    """Until the server or the person ends it. The server begins with what there is."""
    async for change in ctx.client.watch(EVENTS, namespace, field_selector=selector, bookmarks=False):
        # Events vanish after an hour; that is no news.
        if change.type in ("ADDED", "MODIFIED") and _wanted(change.object, types):
            view.show(change.object)


def _wanted(event: Obj, types: set[str]) -> bool:
    return not types or str(event.get("type", "")).lower() in types


def _last_seen(event: Obj) -> str:
    """RFC 3339 in UTC sorts as text, fractions of seconds or not, if both ends are cut off alike."""
    stamp = (event.get("series") or {}).get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or ""
    return str(stamp).removesuffix("Z")
