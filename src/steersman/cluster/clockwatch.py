"""Tells when this machine's clock and the API server's are far apart: in the log, and as an event of the Node.

Tokens and certificates hold for a time, so a clock that is minutes off looks like many other faults, and none of them says so.
Asked of the Date header of an answer that anybody may have. What is not here: setting clocks.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from steersman.client.events import EventRecorder
from steersman.client.interface import Transport
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj

log = logging.getLogger(__name__)

TOLERANCE = timedelta(minutes=2)
PERIOD_S = 60.0
_TARGET = "/livez"


def complaint(headers: Mapping[str, str], now: datetime) -> str:
    """How far this clock is from that of who answered with those headers; empty if it is near, or they don't tell."""
    try:
        there = parsedate_to_datetime(headers.get("date", ""))
    except (TypeError, ValueError):
        return ""
    ahead = now - there
    if abs(ahead) <= TOLERANCE:
        return ""
    minutes = abs(ahead).total_seconds() / 60
    what = "ahead of" if ahead > timedelta(0) else "behind"
    return (
        f"this machine's clock is {minutes:.0f} minutes {what} that of the API server "
        f"({now:%H:%M:%S} here, {there:%H:%M:%S} there, UTC)"
    )


async def run(transport: Transport, recorder: EventRecorder, node: Obj, clock: Clock) -> None:
    """Look every minute, until cancelled. `node`: whom the events are about. Told once in an hour, and when it is over."""
    told_s: float | None = None
    while True:
        try:
            found = complaint((await transport.request("GET", _TARGET)).headers, clock.now())
        except ConnectionError:
            log.debug("clocks not compared")
        else:
            if found and (told_s is None or clock.monotonic() - told_s > 3600):
                log.warning("clock is off: %s", found)
                recorder.event(node, "Warning", "ClockOff", f"Set the clock: {found}")
                told_s = clock.monotonic()
            elif not found and told_s is not None:
                log.info("clock is right again")
                told_s = None
        await clock.sleep(PERIOD_S)
