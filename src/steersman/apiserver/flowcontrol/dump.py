"""/debug/api_priority_and_fairness/: levels, queues and waiting requests as they are now, as aligned text.

Source: upstream util/flowcontrol/apf_controller_debug.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from steersman.apiserver.contracts import Call
from steersman.apiserver.flowcontrol.control import FlowControl, Seat
from steersman.apiserver.flowcontrol.levels import Level
from steersman.apiserver.flowcontrol.queues import GUESSED_S, Queue
from steersman.apiserver.http import Response
from steersman.apiserver.routes import Routes
from steersman.machinery.clock import Clock

BELOW = "/debug/api_priority_and_fairness/"
_LEVELS = ("PriorityLevelName", "ActiveQueues", "IsIdle", "IsQuiescing", "WaitingRequests", "ExecutingRequests")
_QUEUES = (
    "PriorityLevelName", "Index", "PendingRequests", "ExecutingRequests", "SeatsInUse", "NextDispatchR", "InitialSeatsSum",
    "MaxSeatsSum", "TotalWorkSum",
)  # fmt: skip
_REQUESTS = (
    "PriorityLevelName", "FlowSchemaName", "QueueIndex", "RequestIndexInQueue", "FlowDistingsher", "ArriveTime", "InitialSeats",
    "FinalSeats", "AdditionalLatency",
)  # fmt: skip
_DETAILS = ("UserName", "Verb", "APIPath", "Namespace", "Name", "APIVersion", "Resource", "SubResource")
_LEAST_WIDTH = 8

Row = Sequence[object]


class Dump:
    """The three pages."""

    def __init__(self, control: FlowControl, clock: Clock) -> None:
        self._control, self._clock = control, clock

    def install(self, routes: Routes) -> None:
        for name, serve in (("priority_levels", self.levels), ("queues", self.queues), ("requests", self.requests)):
            routes.add(f"{BELOW}dump_{name}", serve, listed=False)

    async def levels(self, call: Call) -> Response:
        return _page(_LEVELS, (_level_row(level) for level in self._levels))

    async def queues(self, call: Call) -> Response:
        return _page(_QUEUES, (_queue_row(level, queue) for level in self._levels for queue in level.queues.all))

    async def requests(self, call: Call) -> Response:
        detailed = bool(call.request.query("includeRequestDetails"))
        now, now_s = self._clock.now(), self._clock.monotonic()
        rows = (
            _request_row(level, queue, index, seat, now - timedelta(seconds=now_s - seat.arrived_s), detailed)
            for level in self._levels
            for queue in level.queues.all
            for index, seat in enumerate(queue.waiting)
            if isinstance(seat, Seat)
        )
        return _page((*_REQUESTS, *_DETAILS) if detailed else _REQUESTS, rows)

    @property
    def _levels(self) -> Iterator[Level]:
        return (self._control.levels[name] for name in sorted(self._control.levels))


def _level_row(level: Level) -> Row:
    queues = level.queues
    active = sum(1 for queue in queues.all if queue.waiting)
    return level.name, active, queues.idle, level.quiescing, queues.waiting, queues.executing


def _queue_row(level: Level, queue: Queue) -> Row:
    seats, work = queue.waiting_seats, _seat_seconds(queue.waiting_seats * GUESSED_S)
    next_r = _seat_seconds(queue.next_r)
    return level.name, queue.index, len(queue.waiting), queue.executing, queue.seats_in_use, next_r, seats, seats, work


def _request_row(level: Level, queue: Queue, index: int, seat: Seat, arrived: datetime, detailed: bool) -> Row:
    when = arrived.isoformat().replace("+00:00", "Z")
    flow, info = seat.flow, seat.info
    row = (level.name, flow.schema, queue.index, index, flow.distinguisher, when, seat.seats, 0, "0s")
    if not detailed:
        return row
    version = f"{info.group}/{info.version}" if info.group else info.version
    return (*row, seat.user.name, info.verb, info.path, info.namespace, info.name, version, info.plural, info.subresource)


def _seat_seconds(value: float) -> str:
    return f"{value:.8f}ss"


def _page(header: Sequence[str], rows: Iterator[Row]) -> Response:
    """Columns as Go's tabwriter aligns them: every cell but the last ends with a comma."""
    cells = [[*(f"{_text(cell)}," for cell in row[:-1]), _text(row[-1])] for row in (header, *rows)]
    widths = [max(_LEAST_WIDTH, max(map(len, column)) + 1) for column in zip(*cells, strict=True)]
    lines = ("".join(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)) + row[-1] for row in cells)
    return Response(body="".join(f"{line}\n" for line in lines).encode(), content_type="text/plain; charset=utf-8")


def _text(cell: object) -> str:
    return str(cell).lower() if isinstance(cell, bool) else str(cell)
