"""What changed in a runtime: its lists compared, when a timer says so or, sooner, when the runtime hints at something.

CRI's GetContainerEvents is such a hint where it is served (containerd 1.7, CRI-O 1.26). Before that, containerd's own event
service on the same socket is; it is used for nothing else. Hints are never read for what changed: they may come before the
runtime's own answers know of it, so after one the lists are read more than once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

from cri_api.v1 import api_pb2 as cri

from steersman.api.protobuf.wire import BYTES, Malformed, put_varint, skip, varint
from steersman.cri.interface import RuntimeFault
from steersman.cri.messages import ContainerState, EventKind, RuntimeEvent, SandboxState
from steersman.cri.remote import calls, views
from steersman.cri.remote.calls import Endpoint, NotSupported
from steersman.cri.remote.messages import UID_LABEL
from steersman.machinery.clock import Clock
from steersman.machinery.waiting import within

log = logging.getLogger(__name__)

POLL_S, POLL_WITH_HINTS_S = 1.0, 10.0
_SETTLING_S = (0.03, 0.15, 0.6)
"""When to look again after a hint."""
_RETRY_S = 1.0
_EVENTS = calls.RUNTIME + "GetContainerEvents"
_CONTAINERD_EVENTS = "/containerd.services.events.v1.Events/Subscribe"
_EXIT = "/tasks/exit"
_TOPICS = ("/tasks/create", "/tasks/start", "/tasks/oom", "/tasks/delete", _EXIT, "/containers/create", "/containers/delete")


class Hints:
    """`note()` says that something may have changed; `wait()` returns when it is time to look."""

    def __init__(self, endpoint: Endpoint, clock: Clock) -> None:
        self._endpoint, self._clock = endpoint, clock
        self._noted = asyncio.Event()
        self._settling: tuple[float, ...] = ()
        self._streaming = False

    def note(self) -> None:
        self._settling = _SETTLING_S
        self._noted.set()

    async def wait(self) -> None:
        if self._settling:
            pause, *later = self._settling
            self._settling = tuple(later)
        else:
            pause = POLL_WITH_HINTS_S if self._streaming else POLL_S
        await within(self._clock, pause, self._noted.wait)
        self._noted.clear()

    async def follow(self) -> None:
        """Listen to what the runtime offers, until cancelled; returns if it offers nothing."""
        sources = [(_EVENTS, b""), (_CONTAINERD_EVENTS, _subscription())]
        while sources:
            method, request = sources[0]
            try:
                async for message in self._endpoint.stream(method, request):
                    self._streaming = True
                    if method == _EVENTS or not is_of_exec(message):
                        self.note()
            except NotSupported:
                del sources[0]
                continue
            except RuntimeFault as error:
                log.debug("hints of the container runtime ended error=%s", error)
            self._streaming = False
            await self._clock.sleep(_RETRY_S)


def is_of_exec(envelope: bytes) -> bool:
    """Whether an event of containerd's is about a command in a container, of which the lists say nothing."""
    try:
        fields = _fields(envelope)
        if fields.get(3) != _EXIT.encode():
            return False
        event = _fields(_fields(fields[4]).get(2, b""))
        return event.get(1) != event.get(2)
    except (IndexError, KeyError, Malformed):
        return False


def _subscription() -> bytes:
    out = bytearray()
    for topic in _TOPICS:
        text = f'namespace=="k8s.io",topic=="{topic}"'.encode()
        out.append(1 << 3 | BYTES)
        put_varint(out, len(text))
        out += text
    return bytes(out)


def _fields(message: bytes) -> dict[int, bytes]:
    """The fields of a message that have a length."""
    found, place = {}, 0
    while place < len(message):
        tag, place = varint(message, place)
        if tag & 7 == BYTES:
            size, place = varint(message, place)
            found[tag >> 3] = message[place : place + size]
            place += size
        else:
            place = skip(message, place, tag, len(message))
    return found


@dataclass(frozen=True, slots=True)
class _Known:
    steps: tuple[EventKind, ...]
    pod_uid: str


_STEPS: dict[str, tuple[EventKind, ...]] = {
    ContainerState.CREATED: (EventKind.CREATED,),
    ContainerState.RUNNING: (EventKind.CREATED, EventKind.STARTED),
    ContainerState.EXITED: (EventKind.CREATED, EventKind.STARTED, EventKind.STOPPED),
    ContainerState.UNKNOWN: (EventKind.CREATED, EventKind.STARTED),
    SandboxState.READY: (EventKind.STARTED,),
    SandboxState.NOT_READY: (EventKind.STARTED, EventKind.STOPPED),
}


class Differ:
    """Compares each view of the runtime with the one before. To the first, everything is new."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def compare(self, sandboxes: Sequence[cri.PodSandbox], containers: Sequence[cri.Container]) -> Iterator[RuntimeEvent]:
        now = {each.id: _Known(_STEPS[views.sandbox_state(each.state)], each.metadata.uid) for each in sandboxes}
        for each in containers:
            now[each.id] = _Known(_STEPS[views.container_state(each.state)], each.labels.get(UID_LABEL, ""))
        before, self._known = self._known, now
        for identity, known in now.items():
            passed = before[identity].steps if identity in before else ()
            for kind in known.steps[len(passed) :]:
                yield RuntimeEvent(kind, identity, known.pod_uid)
        # Containers go before their sandboxes: they came after them.
        for identity, known in reversed(before.items()):
            if identity not in now:
                if EventKind.STOPPED not in known.steps and EventKind.STARTED in known.steps:
                    yield RuntimeEvent(EventKind.STOPPED, identity, known.pod_uid)
                yield RuntimeEvent(EventKind.DELETED, identity, known.pod_uid)


async def events(endpoint: Endpoint, hints: Hints) -> AsyncIterator[RuntimeEvent]:
    """Live events, each change told once. Raises RuntimeFault when the runtime does not answer."""
    differ = Differ()
    while True:
        sandboxes = await endpoint.call(calls.RUNTIME + "ListPodSandbox", cri.ListPodSandboxRequest(), cri.ListPodSandboxResponse)
        containers = await endpoint.call(
            calls.RUNTIME + "ListContainers", cri.ListContainersRequest(), cri.ListContainersResponse
        )
        for event in differ.compare(sandboxes.items, containers.containers):
            yield event
        await hints.wait()
