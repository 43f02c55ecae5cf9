"""What a describer is given, and what describers of all kinds ask and write: lists, events, labels, annotations, conditions.

Not here: anything about one kind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from steersman.api.resources import EVENTS
from steersman.cli.kubectl.describe.golang import rfc1123
from steersman.cli.kubectl.describe.writer import Writer
from steersman.client.interface import Client
from steersman.machinery import fields, labels
from steersman.machinery.duration import human
from steersman.machinery.errors import StatusError
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, annotations_of, controller_of, labels_of, name_of, namespace_of, parse_time, uid_of

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_LONGEST_ANNOTATION = 140
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Subject:
    """The object to describe, as the server has it, and the server to ask about what is around it."""

    client: Client
    obj: Obj
    now: datetime
    show_events: bool = True

    @property
    def spec(self) -> Obj:
        return self.obj.get("spec") or {}

    @property
    def status(self) -> Obj:
        return self.obj.get("status") or {}

    async def items(
        self, resource: Resource, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> list[Obj]:
        """All items, asked for in chunks."""
        gathered: list[Obj] = []
        token = ""
        while True:
            found = await self.client.list(
                resource, namespace, label_selector=label_selector, field_selector=field_selector, limit=_CHUNK, continue_=token
            )
            gathered += found["items"]
            token = (found.get("metadata") or {}).get("continue") or ""
            if not token:
                return gathered

    async def events(self, *, kind: str | None = None, uid: str | None = None, required: bool = False) -> list[Obj]:
        """The events about the object; none where they can't be read, unless `required`. `kind=""` asks for any kind."""
        asked = {
            "name": name_of(self.obj),
            "namespace": namespace_of(self.obj),
            "kind": self.obj.get("kind", "") if kind is None else kind,
            "uid": uid_of(self.obj) if uid is None else uid,
        }
        wanted = [f"involvedObject.{key}={fields.escape(value)}" for key, value in asked.items() if value or key == "namespace"]
        try:
            return await self.items(EVENTS, namespace_of(self.obj), field_selector=",".join(wanted))
        except StatusError:
            if required:
                raise
            return []

    def since(self, stamp: str | None) -> str:
        """How long ago, for people."""
        return since(stamp, self.now)

    async def write_events(self, w: Writer) -> None:
        """The section Events, if it is wanted."""
        if self.show_events:
            write_events(w, await self.events(), self.now)


Describer = Callable[[Subject, Writer], Awaitable[None]]


def since(stamp: str | None, now: datetime) -> str:
    moment = parse_time(stamp)
    return human((now - moment).total_seconds()) if moment else "<unknown>"


def write_events(w: Writer, events: list[Obj], now: datetime) -> None:
    """Oldest last sighting first."""
    if not events:
        w.field("Events", "<none>")
        return
    w.write("Events:\n")
    w.row("Type", "Reason", "Age", "From", "Message")
    w.row("----", "------", "----", "----", "-------")
    for event in sorted(events, key=lambda event: event.get("lastTimestamp") or ""):
        origin = (event.get("source") or {}).get("component") or event.get("reportingComponent", "")
        text = (event.get("message") or "").strip()
        w.row(event.get("type", ""), event.get("reason", ""), event_age(event, now), origin, text)


def event_age(event: Obj, now: datetime) -> str:
    """When it was seen last, and how often since when if more than once."""
    first = since(event.get("eventTime") or event.get("firstTimestamp"), now)
    series = event.get("series")
    if series is not None:
        return f"{since(series.get('lastObservedTime'), now)} (x{series.get('count', 0)} over {first})"
    count = event.get("count") or 0
    return f"{since(event.get('lastTimestamp'), now)} (x{count} over {first})" if count > 1 else first


def head(w: Writer, obj: Obj, *, namespace: bool = True) -> None:
    """Name, Namespace, Labels, Annotations: how most descriptions begin."""
    w.field("Name", name_of(obj))
    if namespace:
        w.field("Namespace", namespace_of(obj))
    write_labels(w, "Labels", labels_of(obj))
    write_annotations(w, annotations_of(obj))


def write_labels(w: Writer, title: str, found: dict[str, str] | None, *, indent: str = "") -> None:
    w.entries(title, [f"{key}={value}" for key, value in sorted((found or {}).items())], indent=indent)


def write_annotations(w: Writer, found: dict[str, str] | None, *, title: str = "Annotations") -> None:
    """Long ones and those of several lines stand below their names, cut; kubectl's own record of the last apply is not shown."""
    w.write(f"{title}:\t")
    shown = sorted((key, value) for key, value in (found or {}).items() if key != LAST_APPLIED)
    if not shown:
        w.write("<none>\n")
    for place, (key, value) in enumerate(shown):
        if place:
            w.write("\t")
        value = value.removesuffix("\n")
        if _size(value) + _size(key) + 2 > _LONGEST_ANNOTATION or "\n" in value:
            w.write(f"{key}:\n")
            for line in value.split("\n"):
                w.write(f"\t  {shorten(line, _LONGEST_ANNOTATION - 2)}\n")
        else:
            w.write(f"{key}: {value}\n")


def _size(text: str) -> int:
    return len(text.encode())


def shorten(text: str, longest: int = _LONGEST_ANNOTATION) -> str:
    """`text`, cut after so many bytes."""
    raw = text.encode()
    return raw[:longest].decode(errors="replace") + "..." if len(raw) > longest else text


def write_controller(w: Writer, obj: Obj) -> None:
    if owner := controller_of(obj):
        w.field("Controlled By", f"{owner.get('kind', '')}/{owner.get('name', '')}")


def write_conditions(w: Writer, conditions: Iterable[Obj] | None) -> None:
    """Type, Status and Reason, as workloads show them."""
    if not conditions:
        return
    w.write("Conditions:\n")
    w.heading("Type", "Status", "Reason")
    for item in conditions:
        w.row(f"{item.get('type', '')} ", item.get("status", ""), item.get("reason", ""))


def write_timed_conditions(w: Writer, conditions: Iterable[Obj] | None, *, heartbeat: str = "", title: str = "") -> None:
    """With times and messages. `heartbeat` is the field of a second time, shown under `title`."""
    if not conditions:
        return
    w.write("Conditions:\n")
    if heartbeat:
        w.row("Type", "Status", title, "LastTransitionTime", "Reason", "Message")
        w.row("----", "------", "-----------------", "------------------", "------", "-------")
    else:
        w.heading("Type", "Status", "LastTransitionTime", "Reason", "Message")
    # Where there are two times, upstream puts a blank behind each cell.
    blank = " " if heartbeat else ""
    for item in conditions:
        cells = [item.get("type", ""), item.get("status", "")]
        if heartbeat:
            cells.append(rfc1123(item.get(heartbeat)))
        cells += [rfc1123(item.get("lastTransitionTime")), item.get("reason", "")]
        w.row(*(f"{cell}{blank}" for cell in cells), item.get("message", ""))


def pairs(found: dict[str, str] | None) -> str:
    """`a=b,c=d`, or `<none>`."""
    return ",".join(f"{key}={value}" for key, value in sorted((found or {}).items())) or "<none>"


def selector_text(selector: Obj | None) -> str:
    """A label selector's text, `<none>` if it has none, `<error>` if it can't be one."""
    try:
        return str(labels.from_label_selector(selector)) or "<none>"
    except ValueError:
        return "<error>"


def boolean(value: bool | None) -> str:
    return "<unset>" if value is None else "True" if value else "False"


def or_unset(value: object) -> object:
    return "<unset>" if value is None else value
