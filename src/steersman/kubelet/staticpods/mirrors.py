"""Mirror pods: what the API shows of static pods. Made, removed and made again here; the status writer fills their status.

A mirror belongs to the static pod of its name whose hash it carries. One that was deleted comes back; one without a static pod
goes. Source: upstream pkg/kubelet/pod/mirror_client.go, tryReconcileMirrorPods in pkg/kubelet/kubelet.go.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from steersman.api.resources import PODS
from steersman.client.interface import Client
from steersman.kubelet.kit import NodeFacts
from steersman.kubelet.pods import HASH_ANNOTATION, MIRROR_ANNOTATION
from steersman.kubelet.statuswriter import StatusWriter
from steersman.machinery.clock import Clock
from steersman.machinery.errors import AlreadyExists, Conflict, NotFound, StatusError
from steersman.machinery.meta import Key, Obj, annotations_of, is_deleting, key_of, name_of, namespace_of, uid_of
from steersman.machinery.waiting import Backoff, within

log = logging.getLogger(__name__)

_RECHECK_S = 60.0


def mirror_of(pod: Obj, node: Obj) -> Obj:
    """The mirror of a static pod on that Node, which owns it: with the Node it goes."""
    meta = pod["metadata"]
    owner = {"apiVersion": "v1", "kind": "Node", "name": name_of(node), "uid": uid_of(node), "controller": True}
    made: Obj = {key: value for key, value in meta.items() if key in ("name", "namespace", "labels", "finalizers")}
    made["annotations"] = {**annotations_of(pod), MIRROR_ANNOTATION: annotations_of(pod)[HASH_ANNOTATION]}
    made["ownerReferences"] = [owner]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": made, "spec": pod["spec"]}


def is_mirror_of(mirror: Obj, pod: Obj) -> bool:
    return bool(annotations_of(mirror).get(MIRROR_ANNOTATION) == annotations_of(pod).get(HASH_ANNOTATION))


class Mirrors:
    """wanted(): the static pods that have begun and are not to end. held(key): one of that name still ends, its mirror stays.

    complete(): all sources of static pods and the API's pods have been read, so that what has no static pod is an orphan.
    """

    def __init__(
        self,
        client: Client,
        clock: Clock,
        statuses: StatusWriter,
        facts: NodeFacts,
        wanted: Callable[[], Iterable[Obj]],
        held: Callable[[Key], bool],
        complete: Callable[[], bool],
    ) -> None:
        self._client, self._clock, self._statuses, self._facts = client, clock, statuses, facts
        self._wanted, self._held, self._complete = wanted, held, complete
        self._shown: dict[Key, Obj] = {}
        self._wake = asyncio.Event()

    def wake(self) -> None:
        self._wake.set()

    def changed(self, old: Obj | None, new: Obj | None) -> None:
        """An informer's change of a mirror pod of this node."""
        if new is None:
            if old is not None:
                self._shown.pop(key_of(old), None)
                self._statuses.unshow(annotations_of(old).get(MIRROR_ANNOTATION, ""), uid_of(old))
        else:
            self._shown[key_of(new)] = new
            self._statuses.show(annotations_of(new).get(MIRROR_ANNOTATION, ""), new)
        self._wake.set()

    def mirror_uid(self, key: Key) -> str:
        """How the API knows the static pod of that name, or ''."""
        return uid_of(self._shown[key]) if key in self._shown else ""

    async def run(self) -> None:
        """Until cancelled."""
        backoff = Backoff(0.2, 10.0)
        while True:
            self._wake.clear()
            failed = not await self._reconcile()
            if failed:
                await self._clock.sleep(backoff.next())
            else:
                backoff.reset()
                await within(self._clock, _RECHECK_S, self._wake.wait)

    async def _reconcile(self) -> bool:
        """Bring all mirrors into line. False if something did not go well and is to be tried again."""
        if not self._complete():
            return True
        wanted = {key_of(pod): pod for pod in self._wanted()}
        good = True
        for key, pod in wanted.items():
            shown = self._shown.get(key)
            if shown is not None and not is_deleting(shown) and is_mirror_of(shown, pod):
                # Perhaps it was there before its pod: after a restart, or with a file that came back.
                self._statuses.show(uid_of(pod), shown)
                continue
            good &= await self._guarded(key, self._replace(pod, shown))
        for key, shown in list(self._shown.items()):
            if key not in wanted and not self._held(key):
                good &= await self._guarded(key, self._delete(shown))
        return good

    async def _guarded(self, key: Key, work: Awaitable[None]) -> bool:
        try:
            await work
        except (StatusError, ConnectionError) as error:
            log.warning("mirror pod not brought into line pod=%s/%s error=%s", *key, error)
            return False
        return True

    async def _replace(self, pod: Obj, shown: Obj | None) -> None:
        if shown is not None:
            await self._delete(shown)
        node = self._facts.node
        if node is None or is_deleting(node):
            return
        try:
            await self._client.create(PODS, mirror_of(pod, node), namespace_of(pod))
        except AlreadyExists:
            found = await self._client.get(PODS, name_of(pod), namespace_of(pod))
            if not is_mirror_of(found, pod):
                raise
        log.info("mirror pod made pod=%s/%s", namespace_of(pod), name_of(pod))

    async def _delete(self, shown: Obj) -> None:
        key = key_of(shown)
        try:
            await self._client.delete(PODS, name_of(shown), namespace_of(shown), grace_period_s=0, uid=uid_of(shown))
        except (NotFound, Conflict):
            log.debug("mirror pod was gone pod=%s/%s", *key)
        if uid_of(self._shown.get(key, shown)) == uid_of(shown):
            # Not waiting for the watch to say so: what is asked for next must not find it again.
            self._shown.pop(key, None)
            self._statuses.unshow(annotations_of(shown).get(MIRROR_ANNOTATION, ""), uid_of(shown))
