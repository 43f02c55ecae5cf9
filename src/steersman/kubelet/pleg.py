"""The pod lifecycle event generator: tells workers that something changed in the runtime, and reads a pod's state from it.

Events come from the runtime's stream; as that may lose some, everything is listed now and then and compared. With a
working stream that is rare, so that an idle node does nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from steersman.cri.interface import Runtime, RuntimeFault
from steersman.cri.messages import Container, ContainerState
from steersman.kubelet.counts import Counts
from steersman.kubelet.view import MESSAGE_FILE_ANNOTATION, MESSAGE_POLICY_ANNOTATION, UID_LABEL, PodView
from steersman.machinery.clock import Clock
from steersman.machinery.waiting import Nudge

log = logging.getLogger(__name__)

RELISTS_SKIPPED_WITH_EVENTS = 10
MAX_MESSAGE, MAX_POD_MESSAGES = 4096, 12288
_LOG_LINES, _LOG_BYTES = 80, 2048

_Print = frozenset[tuple[str, str]]


class Pleg:
    """poke(uid): something about that pod may have changed."""

    def __init__(
        self, runtime: Runtime, clock: Clock, poke: Callable[[str], None], relist_s: float = 1.0, counts: Counts | None = None
    ) -> None:
        self._runtime, self._clock, self._poke, self._relist_s = runtime, clock, poke, relist_s
        self._counts = counts or Counts()
        self._prints: dict[str, _Print] = {}
        self._messages: dict[str, str] = {}
        self._streaming = False
        self._wake = Nudge()
        self._relisted_s: float | None = None
        self._complaints: set[str] = set()
        self.views: dict[str, PodView] = {}

    @property
    def idle_s(self) -> float:
        """How long ago everything was listed; 0 before it was begun with."""
        return 0.0 if self._relisted_s is None else self._clock.monotonic() - self._relisted_s

    async def run(self, after_relist: Callable[[], Awaitable[None]]) -> None:
        self._relisted_s = self._clock.monotonic()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._relist_forever(after_relist))

    async def _follow(self) -> None:
        while True:
            try:
                self._streaming = True
                async for event in self._runtime.events():
                    self._complaints.discard("runtime events ended")
                    if event.pod_uid:
                        self._poke(event.pod_uid)
            except RuntimeFault as error:
                self._complain("runtime events ended", error)
            self._streaming = False
            await self._clock.sleep(self._relist_s)

    async def _relist_forever(self, after_relist: Callable[[], Awaitable[None]]) -> None:
        while True:
            pause_s = self._relist_s
            try:
                await self.relist()
                self._complaints.discard("relist failed")
                await after_relist()
                if self._streaming:
                    pause_s *= RELISTS_SKIPPED_WITH_EVENTS
            except RuntimeFault as error:
                self._complain("relist failed", error)
            await self._wake.wait_within(self._clock, pause_s)
            self._wake.clear()

    def relist_soon(self) -> None:
        """Without waiting for the next time."""
        self._wake.set()

    def _complain(self, what: str, error: RuntimeFault) -> None:
        """Once, until it goes well again: a runtime may be away for long."""
        log.log(logging.DEBUG if what in self._complaints else logging.WARNING, "%s error=%s", what, error)
        self._complaints.add(what)

    async def relist(self) -> None:
        """List everything, poke the pods that changed since the last time; all views by pod UID are kept in `views`."""
        begun_s = self._clock.monotonic()
        if self._relisted_s is not None:
            self._counts.observe("kubelet_pleg_relist_interval_seconds", begun_s - self._relisted_s)
        sandboxes, containers = await self._runtime.list_pod_sandboxes(), await self._runtime.list_containers()
        prints: dict[str, set[tuple[str, str]]] = {}
        by_uid: dict[str, tuple[list[int], list[int]]] = {}
        for index, sandbox in enumerate(sandboxes):
            prints.setdefault(sandbox.uid, set()).add((sandbox.id, sandbox.state))
            by_uid.setdefault(sandbox.uid, ([], []))[0].append(index)
        for index, container in enumerate(containers):
            uid = container.labels.get(UID_LABEL, "")
            prints.setdefault(uid, set()).add((container.id, container.state))
            by_uid.setdefault(uid, ([], []))[1].append(index)
        frozen = {uid: frozenset(found) for uid, found in prints.items()}
        for uid in frozen.keys() | self._prints.keys():
            if uid and frozen.get(uid) != self._prints.get(uid):
                self._poke(uid)
        self._prints = frozen
        self._messages = {each.id: text for each in containers if (text := self._messages.get(each.id)) is not None}
        self._relisted_s = self._clock.monotonic()
        self._counts.observe("kubelet_pleg_relist_duration_seconds", self._relisted_s - begun_s)
        self.views = {
            uid: PodView.of(uid, (sandboxes[i] for i in found[0]), (containers[i] for i in found[1]))
            for uid, found in by_uid.items()
            if uid
        }

    async def view(self, uid: str) -> PodView:
        """The pod's state now, termination messages filled in. Raises RuntimeFault."""
        sandboxes = await self._runtime.list_pod_sandboxes(pod_uid=uid)
        containers = await self._runtime.list_containers(pod_uid=uid)
        room = MAX_POD_MESSAGES // max(len({each.name for each in containers}), 1)
        return PodView.of(uid, sandboxes, (self._with_message(each, min(room, MAX_MESSAGE)) for each in containers))

    def _with_message(self, container: Container, limit: int) -> Container:
        if container.state is not ContainerState.EXITED:
            return container
        text = self._messages.get(container.id)
        if text is None:
            text = self._messages[container.id] = termination_message(container, limit)
        if not text:
            return container
        return replace(container, message=f"{container.message}: {text}" if container.message else text)


def termination_message(container: Container, limit: int) -> str:
    """What the container left at its terminationMessagePath, or the end of its log if it failed and policy says so."""
    path = container.annotations.get(MESSAGE_FILE_ANNOTATION)
    text = ""
    if path:
        try:
            with open(path, "rb") as file:
                text = file.read(limit).decode("utf-8", "replace")
        except OSError:
            text = ""
    fallback = container.annotations.get(MESSAGE_POLICY_ANNOTATION) == "FallbackToLogsOnError"
    if not text and fallback and container.exit_code != 0 and container.log_path:
        text = _log_tail(Path(container.log_path))
    return text


def _log_tail(path: Path) -> str:
    """The last lines of a CRI log, without its prefixes."""
    try:
        with open(path, "rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 64 * 1024))
            lines = file.read().splitlines()[-_LOG_LINES:]
    except OSError:
        return ""
    parts = []
    for line in lines:
        fields = line.split(b" ", 3)
        if len(fields) == 4:
            parts.append(fields[3] + (b"" if fields[2].startswith(b"P") else b"\n"))
    return b"".join(parts)[-_LOG_BYTES:].decode("utf-8", "replace")
