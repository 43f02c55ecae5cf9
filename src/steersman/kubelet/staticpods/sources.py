"""Where static pods are read: a directory (or one file), a URL. What can't be read or used changes nothing, and is told once.

Source: upstream pkg/kubelet/config/file.go, file_linux.go, http.go. There, a manifest that became bad stops its pod; here the
last good one stays in force as long as the file is there, since a slip of the editor is no order to stop an API server.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from steersman.kubelet.staticpods.manifests import FILE, HTTP, BadManifest, Origin, read
from steersman.machinery import inotify
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj
from steersman.machinery.waiting import within

log = logging.getLogger(__name__)

_CHANGES = inotify.CLOSE_WRITE | inotify.MOVED_TO | inotify.MOVED_FROM | inotify.DELETE
_HTTP_TIMEOUT_S = 10.0

Complain = Callable[[str, str], None]
"""Called with (place, why) when a manifest can't be used."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """The newest content of a manifest, and the pods of the newest good one."""

    content: bytes
    pods: tuple[Obj, ...]


class Manifests:
    """The manifests of one source by place; a place is a file's path or the URL."""

    def __init__(self, source: str, node: str, clock: Clock, complain: Complain) -> None:
        self._source, self._node, self._clock, self._complain = source, node, clock, complain
        self._kept: dict[str, _Kept] = {}

    @property
    def pods(self) -> list[Obj]:
        """In the order of their places."""
        return [pod for _, kept in sorted(self._kept.items()) for pod in kept.pods]

    def take(self, place: str, content: bytes) -> None:
        """What is there now."""
        before = self._kept.get(place)
        if before is not None and before.content == content:
            return
        try:
            pods = tuple(read(content, Origin(self._source, place, self._node), self._clock.now()))
        except BadManifest as error:
            self._complain(place, str(error))
            pods = before.pods if before is not None else ()
        self._kept[place] = _Kept(content, pods)

    def keep_only(self, places: set[str]) -> None:
        for gone in self._kept.keys() - places:
            del self._kept[gone]


class Directory:
    """A directory whose files are manifests, or one such file. `changed` is called when there may be other pods."""

    def __init__(self, path: Path, every_s: float, node: str, clock: Clock, complain: Complain) -> None:
        self._path, self._every_s, self._clock, self._complain = path, every_s, clock, complain
        self._manifests = Manifests(FILE, node, clock, complain)
        self._told: dict[str, str] = {}
        self._stirred = asyncio.Event()

    @property
    def pods(self) -> list[Obj]:
        return self._manifests.pods

    def scan(self) -> None:
        """Read everything anew. Files of which the name begins with a dot and subdirectories are passed over."""
        found: set[str] = set()
        for path in self._files():
            place = str(path)
            found.add(place)
            try:
                self._manifests.take(place, path.read_bytes())
            except FileNotFoundError:
                found.discard(place)
            except OSError as error:
                self._tell_once(place, str(error))
        self._manifests.keep_only(found)

    def _files(self) -> list[Path]:
        try:
            if self._path.is_file():
                return [self._path]
            listed = [each for each in sorted(self._path.iterdir()) if not each.name.startswith(".") and not each.is_dir()]
        except FileNotFoundError:
            # Not there yet, or gone: no pods.
            return []
        except OSError as error:
            self._tell_once(str(self._path), str(error))
            return []
        for each in listed:
            if not each.is_file():
                self._tell_once(str(each), "is not a regular file")
        return [each for each in listed if each.is_file()]

    def _tell_once(self, place: str, why: str) -> None:
        if self._told.get(place) != why:
            self._told[place] = why
            self._complain(place, why)

    async def run(self, changed: Callable[[], None]) -> None:
        """Until cancelled: look when the kernel says so, and now and then in any case."""
        with _Watch(self._stirred.set) as watch:
            while True:
                watch.keep(self._path)
                self._stirred.clear()
                self.scan()
                changed()
                await within(self._clock, self._every_s, self._stirred.wait)


class _Watch:
    """The kernel's word on a directory, also when another one takes its place; on a file, or what is not there yet, its
    parent's. `stirred`: something has changed."""

    def __init__(self, stirred: Callable[[], None]) -> None:
        self._stirred = stirred
        self._fd: int | None = None
        self._which = (0, 0, "")

    def __enter__(self) -> _Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self._drop()

    def keep(self, path: Path) -> None:
        """Watch it, if it is there."""
        folder, only = (path, "") if path.is_dir() else (path.parent, path.name)
        try:
            found = folder.stat()
            which = (found.st_dev, found.st_ino, only)
            if self._fd is not None and which == self._which:
                return
            self._drop()
            fd = inotify.watch(str(folder), _CHANGES | (inotify.CREATE if only else 0))
        except OSError as error:
            self._drop()
            log.debug("static pods are not watched, only read now and then path=%s error=%s", path, error)
            return
        self._fd, self._which = fd, which
        asyncio.get_running_loop().add_reader(fd, self._ready, fd, only)

    def _ready(self, fd: int, only: str) -> None:
        names = inotify.names(fd)
        if not only or only in names:
            self._stirred()

    def _drop(self) -> None:
        if self._fd is not None:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = None


class Url:
    """A manifest behind a URL."""

    def __init__(
        self, url: str, headers: Mapping[str, tuple[str, ...]], every_s: float, node: str, clock: Clock, complain: Complain
    ) -> None:
        self._url, self._every_s, self._clock, self._complain = url, every_s, clock, complain
        self._headers = [(name, value) for name, values in headers.items() for value in values]
        self._manifests = Manifests(HTTP, node, clock, complain)
        self._told = ""
        self.answered = False
        """Whether there has been an answer: until then nobody knows which pods there are."""

    @property
    def pods(self) -> list[Obj]:
        return self._manifests.pods

    async def run(self, changed: Callable[[], None]) -> None:
        """Until cancelled."""
        while True:
            try:
                self._manifests.take(self._url, await self._get())
                self.answered, self._told = True, ""
                changed()
            except (OSError, aiohttp.ClientError, TimeoutError) as error:
                if str(error) != self._told:
                    self._told = str(error)
                    self._complain(self._url, str(error) or type(error).__name__)
            await self._clock.sleep(self._every_s)

    async def _get(self) -> bytes:
        limit = aiohttp.ClientTimeout(total=_HTTP_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=limit) as session, session.get(self._url, headers=self._headers) as answer:
            body = await answer.read()
            if answer.status != 200:
                raise aiohttp.ClientError(f"{self._url}: {answer.status} {answer.reason}")
            if not body:
                raise aiohttp.ClientError(f"zero-length data received from {self._url}")
            return body
