"""`/containerLogs`: which container instance's log is meant, and the reading options from the query."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from steersman.cri.messages import Container, ContainerState
from steersman.kubelet.server.logfile import LogOptions
from steersman.kubelet.view import PodView
from steersman.kubelet.worker import PodWorker
from steersman.machinery import gonumbers
from steersman.machinery.meta import Obj, dig, name_of, parse_time

_WAITING = {
    "ErrImagePull": "image can't be pulled",
    "ImagePullBackOff": "trying and failing to pull image",
}


class LogRefused(Exception):
    """400; the text is the answer."""


def options_of(query: Mapping[str, str], now: datetime) -> LogOptions:
    """PodLogOptions from the query. Raises LogRefused."""

    def number(key: str, least: int, words: str) -> int | None:
        text = query.get(key)
        if not text or (key == "tailLines" and text == "all"):
            return None
        try:
            found = gonumbers.parse_int(text)
        except ValueError as fault:
            raise LogRefused(str(fault)) from None
        if found < least:
            raise LogRefused(f"PodLogOptions is invalid: {key}: Invalid value: {found}: {words}")
        return found

    tail = number("tailLines", 0, "must be greater than or equal to 0")
    limit = number("limitBytes", 1, "must be greater than 0")
    seconds = number("sinceSeconds", 1, "must be greater than 0")
    since = _ago(now, seconds) if seconds is not None else parse_time(query.get("sinceTime"))
    stream = query.get("stream") or "All"
    return LogOptions(
        follow=_true(query.get("follow")),
        tail=-1 if tail is None else tail,
        since=since,
        timestamps=_true(query.get("timestamps")),
        limit_bytes=limit or 0,
        stream="" if stream == "All" else stream.lower(),
    )


def _ago(now: datetime, seconds: int) -> datetime | None:
    """None before the first day there is."""
    try:
        return now - timedelta(seconds=seconds)
    except OverflowError:
        return None


def wants_previous(query: Mapping[str, str]) -> bool:
    return _true(query.get("previous"))


def _true(text: str | None) -> bool:
    return text is not None and text.lower() in ("", "1", "true", "t")


def container_id(pod: Obj, status: Obj, container: str, previous: bool) -> str:
    """The id of the instance whose log is asked for. Raises LogRefused."""
    who = f'container "{container}" in pod "{name_of(pod)}"'
    lists = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
    entry = next((item for key in lists for item in status.get(key) or () if item["name"] == container), None)
    if entry is None:
        raise LogRefused(f"{who} is not available")
    last = dig(entry, "lastState", "terminated", "containerID", default="")
    state = entry["state"]
    found = ""
    if previous:
        if not last:
            raise LogRefused(f'previous terminated container "{container}" in pod "{name_of(pod)}" not found')
        found = last
    elif "running" in state:
        found = entry.get("containerID") or ""
    elif "terminated" in state:
        found = state["terminated"].get("containerID") or last
        if not found:
            raise LogRefused(f"{who} is terminated")
    elif last:
        found = last
    else:
        reason = (state.get("waiting") or {}).get("reason") or ""
        raise LogRefused(f"{who} is waiting to start: {_WAITING.get(reason, reason)}")
    return str(found).rpartition("/")[2]


def find(view: PodView, wanted: str) -> Container | None:
    return next((item for item in view.containers if item.id == wanted), None)


def liveness(worker: PodWorker, wanted: str) -> Callable[[], bool]:
    """Whether that instance may still write, from what the worker saw last: costs nothing to ask."""

    def alive() -> bool:
        found = find(worker.view, wanted)
        return found is not None and found.state in (ContainerState.RUNNING, ContainerState.CREATED)

    return alive
