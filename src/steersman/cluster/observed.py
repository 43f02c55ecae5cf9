"""What can be seen of a component at work from outside: filled by controlling.py, shown by componentserver.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from steersman.client.counting import RequestCounts

if TYPE_CHECKING:
    from steersman.loop.queue import WorkQueue
    from steersman.machinery.meta import Key
    from steersman.scheduler.counting import SchedulingCounts


@dataclass(slots=True)
class Observed:
    """`name` is the component's, as upstream's. leads None: there is no election."""

    name: str
    requests: RequestCounts = field(default_factory=RequestCounts)
    queues: dict[str, WorkQueue[Key]] = field(default_factory=dict)
    scheduling: SchedulingCounts | None = None
    leads: bool | None = None
