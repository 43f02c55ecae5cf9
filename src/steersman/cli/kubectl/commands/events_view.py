"""How `kubectl events` shows them: as rows of one growing table, or through a printer, in the field order of the Go types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.describe.subject import event_age
from steersman.cli.kubectl.output import Printer
from steersman.cli.kubectl.tabwriter import Table
from steersman.machinery.meta import Obj, namespace_of

_HEADINGS = ("LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE")
# What an Event always has on the wire, so that it looks alike whichever server it came from.
_ALWAYS: Obj = {
    "involvedObject": {}, "source": {}, "firstTimestamp": None, "lastTimestamp": None, "eventTime": None,
    "reportingComponent": "", "reportingInstance": "",
}  # fmt: skip
Order = Mapping[str, "Order"]


def _order(words: str, **inner: Order) -> Order:
    return {word: inner.get(word, {}) for word in words.split()}


_REFERENCE = _order("kind namespace name uid apiVersion resourceVersion fieldPath")
_MANAGED = _order("manager operation apiVersion time fieldsType fieldsV1 subresource")
_METADATA = _order(
    "name generateName namespace uid resourceVersion generation creationTimestamp deletionTimestamp deletionGracePeriodSeconds "
    "labels annotations ownerReferences finalizers managedFields",
    managedFields=_MANAGED,
)
_EVENT = _order(
    "kind apiVersion metadata involvedObject reason message source firstTimestamp lastTimestamp count type eventTime series "
    "action related reportingComponent reportingInstance",
    metadata=_METADATA,
    involvedObject=_REFERENCE,
    related=_REFERENCE,
    source=_order("component host"),
    series=_order("count lastObservedTime"),
)
_LIST = _order("kind apiVersion metadata items", items=_EVENT)


class EventsView:
    """Prints events as they were asked for: through a printer, or as rows of one growing table."""

    def __init__(self, ctx: Context, shown: Printer | None) -> None:
        self._ctx, self._printer = ctx, shown
        self._table, self._headed = Table(), ctx.flags.on("no-headers")
        self._everywhere = ctx.flags.on("all-namespaces")

    def show_all(self, events: Sequence[Obj]) -> None:
        if self._printer is None:
            self._write(events)
        # Upstream's printer of names refuses lists, and its error goes nowhere.
        elif self._ctx.flags.text("output") != "name":
            self._print(
                {"kind": "EventList", "apiVersion": "v1", "metadata": {}, "items": [{**_ALWAYS, **item} for item in events]},
                _LIST,
            )

    def show(self, event: Obj) -> None:
        """One, at once."""
        if self._printer is None:
            self._write([event])
        else:
            self._print({**_ALWAYS, **event}, _EVENT)
        self._ctx.out.flush()

    def _print(self, obj: Obj, order: Order) -> None:
        assert self._printer is not None
        if self._ctx.flags.text("output") != "json":
            self._printer.print(obj, self._ctx.out)
            return
        from steersman.cli.kubectl.output.documents import encode, without_managed_fields

        shown = obj if self._ctx.flags.on("show-managed-fields") else without_managed_fields(obj)
        self._ctx.out.write(encode(ordered(shown, order), indent=4, in_order=True) + "\n")

    def _write(self, events: Sequence[Obj]) -> None:
        rows = [self._row(event) for event in events]
        if not self._headed:
            rows.insert(0, (("NAMESPACE",) if self._everywhere else ()) + _HEADINGS)
            self._headed = True
        text = "".join("\t".join(row) + "\n" for row in rows)
        self._ctx.out.write(self._table.align(text))

    def _row(self, event: Obj) -> tuple[str, ...]:
        about = event.get("involvedObject") or {}
        row = (
            event_age(event, self._ctx.clock.now()),
            str(event.get("type", "")),
            str(event.get("reason", "")),
            f"{about.get('kind', '')}/{about.get('name', '')}",
            str(event.get("message", "")).strip(),
        )
        return (namespace_of(event), *row) if self._everywhere else row


def ordered(value: Any, order: Order) -> Any:
    """`value` with its keys as in `order`; those it does not know come last, by name."""
    if isinstance(value, list):
        return [ordered(item, order) for item in value]
    if not isinstance(value, dict):
        return value
    known = [key for key in order if key in value]
    return {key: ordered(value[key], order.get(key, {})) for key in (*known, *sorted(value.keys() - order.keys()))}
