"""Which scheduled time of a cron job is due. Only the latest missed one ever runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from steersman.machinery.cron import Schedule
from steersman.machinery.meta import Obj, dig, parse_time

_MANY = 100


@dataclass(frozen=True, slots=True)
class Due:
    """`at`: the latest time that has come and wasn't handled, if any. `many`: more than a hundred were missed."""

    at: datetime | None = None
    many: bool = False


def due(cron_job: Obj, schedule: Schedule, now: datetime) -> Due:
    earliest = parse_time(dig(cron_job, "status", "lastScheduleTime")) or parse_time(
        dig(cron_job, "metadata", "creationTimestamp")
    )
    deadline_s = dig(cron_job, "spec", "startingDeadlineSeconds")
    if deadline_s is not None:
        horizon = now - timedelta(seconds=deadline_s)
        earliest = horizon if earliest is None else max(earliest, horizon)
    first = schedule.next(earliest or now)
    if first is None or first > now:
        return Due()
    second = schedule.next(first)
    if second is None or second > now:
        return Due(first)
    # From shortly before now, for the first missed time may be years back; further if an irregular schedule has nothing there.
    step = second - first
    back = step
    moment = schedule.next(max(first, now - back))
    while moment is not None and moment > now:
        back *= 2
        moment = second if now - back <= first else schedule.next(now - back)
    latest = first
    while moment is not None and moment <= now:
        latest, moment = moment, schedule.next(moment)
    return Due(latest, (now - first) // step + 1 > _MANY)
