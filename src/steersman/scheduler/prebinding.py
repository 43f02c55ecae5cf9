"""What must come true between the choice of a node and the binding: a pod's claims get their volumes there.

The scheduler only says which (a volume kept for a claim, a node named to the provisioner); binder and provisioner do the
rest, and the pod waits. Not here: the choice (placing.py). Source: upstream plugins/volumebinding (Reserve, PreBind).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from steersman.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from steersman.client.interface import Client
from steersman.loop.volumes import SELECTED_NODE
from steersman.machinery.clock import Clock
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Key, Obj, annotations_of
from steersman.machinery.waiting import within
from steersman.scheduler.queue import QueuedPod
from steersman.scheduler.surroundings import Surroundings
from steersman.scheduler.volumes import Plan

log = logging.getLogger(__name__)

BIND_TIMEOUT_S = 600


class PreBindFailed(Exception):
    """The pod must be scheduled anew; the text says why."""


class PreBinding:
    """`node_named`: a Node by name. `finished` is told of each pod whose wait is over, with the error if it was in vain."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        around: Surroundings,
        node_named: Callable[[str], Obj | None],
        finished: Callable[[QueuedPod, str, Exception | None], None],
    ) -> None:
        self._client, self._clock, self._around = client, clock, around
        self._node_named, self._finished = node_named, finished
        self._added: asyncio.Queue[tuple[QueuedPod, Plan]] = asyncio.Queue()
        self._waiting: dict[str, Plan] = {}
        self._changed = asyncio.Event()

    def add(self, queued: QueuedPod, plan: Plan) -> None:
        self._around.promise(plan)
        self._waiting[queued.info.uid] = plan
        self._added.put_nowait((queued, plan))

    def drop(self, pod_uid: str) -> None:
        """The pod is not to be bound any more."""
        if self._waiting.pop(pod_uid, None) is not None:
            self.changed()

    def changed(self) -> None:
        """Claims or volumes have changed."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Each pod in a task of its own: a volume may take minutes, and nobody else is to wait for it."""
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(self._carry_out(*await self._added.get()))

    async def _carry_out(self, queued: QueuedPod, plan: Plan) -> None:
        failure: Exception | None = None
        try:
            for claim in plan.claims:
                await self._write(plan, claim)
            await self._wait(queued, plan)
        except (PreBindFailed, StatusError, ConnectionError) as error:
            failure = error
        except Exception as error:
            log.exception("volumes of a pod not bound pod=%s/%s", *queued.info.key)
            failure = error
        # What came true is seen in the objects by now; what did not is free for others.
        self._around.take_back(plan)
        # Of this plan: dropped meanwhile, the pod may have another one.
        if self._waiting.get(queued.info.uid) is plan:
            del self._waiting[queued.info.uid]
            self._finished(queued, plan.node, failure)

    async def _write(self, plan: Plan, key: Key) -> None:
        volumes = self._around.volumes
        claim = volumes.claims.get(key)
        if claim is None:
            raise PreBindFailed(f'persistentvolumeclaim "{key[1]}" not found')
        if (volume := plan.volumes.get(key)) is not None:
            patch = volumes.reservation(claim, volume)
            if patch is not None:
                volumes.set_volume(None, await self._client.patch(PERSISTENT_VOLUMES, volume, patch))
        elif annotations_of(claim).get(SELECTED_NODE) != plan.node:
            version = claim["metadata"]["resourceVersion"]
            patch = {"metadata": {"resourceVersion": version, "annotations": {SELECTED_NODE: plan.node}}}
            volumes.set_claim(None, await self._client.patch(PERSISTENT_VOLUME_CLAIMS, key[1], patch, key[0]))

    async def _wait(self, queued: QueuedPod, plan: Plan) -> None:
        deadline_s = self._clock.monotonic() + BIND_TIMEOUT_S
        while self._waiting.get(queued.info.uid) is plan:
            node = self._node_named(plan.node)
            if node is None:
                raise PreBindFailed(f'node "{plan.node}" not found')
            try:
                if not self._around.volumes.unfinished(plan, node):
                    return
            except ValueError as error:
                raise PreBindFailed(str(error)) from None
            if not await within(self._clock, deadline_s - self._clock.monotonic(), self._changed.wait):
                raise PreBindFailed("timed out waiting for the condition")
