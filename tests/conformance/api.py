"""The API of a cluster in a network namespace, as blocking calls: client/rest.py on an event loop in a thread inside.

Here and not in the client: only tests want to wait in line for one answer after the other.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from steersman.client import kubeconfig
from steersman.client.http import make_ssl_context
from steersman.client.interface import Answer, WatchEvent
from steersman.client.rest import RestClient
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj
from steersman.network.netns import entered

_LIMIT_S = 120
"""Only so that nothing hangs: how fast the server is, is not asked here."""
_T = TypeVar("_T")


class Watching:
    """A watch that runs beside the test. Bookmarks are left out."""

    def __init__(self) -> None:
        self.events: queue.SimpleQueue[WatchEvent | BaseException] = queue.SimpleQueue()

    def next(self, within_s: float = _LIMIT_S) -> WatchEvent:
        """The next event; what ended the watch is raised, AssertionError if none comes."""
        try:
            event = self.events.get(timeout=within_s)
        except queue.Empty:
            raise AssertionError(f"no watch event within {within_s:.0f} s") from None
        if isinstance(event, BaseException):
            raise event
        return event

    def take(self, count: int, within_s: float = _LIMIT_S) -> list[WatchEvent]:
        return [self.next(within_s) for _ in range(count)]

    def until(self, kind: str, within_s: float = _LIMIT_S) -> Obj:
        """The object of the next event of this type."""
        while True:
            event = self.next(within_s)
            if event.type == kind:
                return event.object


class Api:
    """Client's verbs, blocking. Raises what they raise: StatusError, ConnectionError."""

    def __init__(self, netns: str, config: Path) -> None:
        self._netns, self._config = netns, config
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="api", daemon=True)

    def __enter__(self) -> Api:
        self._thread.start()
        assert self._ready.wait(_LIMIT_S), "the client did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self.client.close())
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(_LIMIT_S)

    def _serve(self) -> None:
        # The whole life of this thread is inside, so every socket it opens is.
        with entered(f"/run/netns/{self._netns}"):
            asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        self.client = RestClient(kubeconfig.load(self._config), user_agent="conformance")
        self._ready.set()
        await self._stopped.wait()

    def _call(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_LIMIT_S)

    def get(self, resource: Resource, name: str, namespace: str = "", *, subresource: str = "") -> Obj:
        return self._call(self.client.get(resource, name, namespace, subresource=subresource))

    def list(self, resource: Resource, namespace: str = "", **options: Any) -> Obj:
        return self._call(self.client.list(resource, namespace, **options))

    def create(self, resource: Resource, obj: Obj, namespace: str = "", *, name: str = "", subresource: str = "") -> Obj:
        return self._call(self.client.create(resource, obj, namespace, name=name, subresource=subresource))

    def update(self, resource: Resource, obj: Obj, *, subresource: str = "") -> Obj:
        return self._call(self.client.update(resource, obj, subresource=subresource))

    def patch(
        self,
        resource: Resource,
        name: str,
        patch: Obj | Sequence[Obj],
        namespace: str = "",
        *,
        kind: str = "merge",
        subresource: str = "",
    ) -> Obj:
        return self._call(self.client.patch(resource, name, patch, namespace, kind=kind, subresource=subresource))

    def delete(self, resource: Resource, name: str, namespace: str = "", **options: Any) -> Obj:
        return self._call(self.client.delete(resource, name, namespace, **options))

    def delete_collection(self, resource: Resource, namespace: str = "", *, label_selector: str = "") -> Obj:
        return self._call(self.client.delete_collection(resource, namespace, label_selector=label_selector))

    def raw(self, method: str, target: str, body: bytes = b"", **headers: str) -> Any:
        """Header names with `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._call(self.client.raw(method, target, body=body, headers=named))

    def request(self, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
        """The answer as it is, errors too."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._call(self.client.transport.request(method, target, headers=named, body=body))

    def websocket(self, target: str, protocol: str) -> Sequence[bytes]:
        """All frames of a WebSocket until the server closes it."""

        async def read() -> Sequence[bytes]:
            connection = kubeconfig.resolve(kubeconfig.read(self._config))
            context = make_ssl_context(connection.ca, connection.cert, connection.key)
            async with aiohttp.ClientSession() as session:
                async with session.ws_connect(connection.server + target, protocols=(protocol,), ssl=context) as socket:
                    assert socket.protocol == protocol
                    return [it.data if isinstance(it.data, bytes) else it.data.encode() async for it in socket]

        return self._call(read())

    @contextmanager
    def watching(
        self, resource: Resource, namespace: str = "", *, resource_version: str = "", **options: Any
    ) -> Iterator[Watching]:
        """Options: resource_version, label_selector, field_selector.

        What happens from the call on is told. Without a version, what is there comes first, as ADDED: it is listed here and the
        watch goes on from the list, for one that finds out by itself would begin whenever its request happens to arrive.
        """
        watching = Watching()
        if not resource_version:
            found = self.list(resource, namespace, **options)
            resource_version = found["metadata"]["resourceVersion"]
            for item in found["items"]:
                watching.events.put(WatchEvent("ADDED", item))

        async def follow() -> None:
            try:
                # Cancelling breaks it off: nothing more is done with the stream.
                async for event in self.client.watch(resource, namespace, resource_version=resource_version, **options):
                    if event.type != "BOOKMARK":
                        watching.events.put(event)
            except Exception as fault:
                watching.events.put(fault)

        task = asyncio.run_coroutine_threadsafe(follow(), self._loop)
        try:
            yield watching
        finally:
            task.cancel()
