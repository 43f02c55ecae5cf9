"""Carrying out a preemption, beside other decisions: victims are marked and deleted, nominations in the way are taken back.

Not here: who the victims are (preemption.py). Source: upstream framework/preemption, KEP-3329 (DisruptionTarget).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from steersman.api.resources import PODS
from steersman.client.events import EventRecorder
from steersman.client.interface import Client
from steersman.machinery.clock import Clock
from steersman.machinery.errors import Conflict, NotFound, StatusError
from steersman.machinery.meta import Obj, condition, dig, format_time, is_deleting
from steersman.scheduler.podinfo import PodInfo

log = logging.getLogger(__name__)

WORKERS = 8
REASON = "PreemptionByScheduler"


@dataclass(frozen=True, slots=True)
class Preemption:
    """`superseded`: pods of lower priority that were nominated to the same node."""

    preemptor: PodInfo
    node: str
    victims: Sequence[PodInfo]
    superseded: Sequence[PodInfo] = ()


class Evictions:
    """`finished` is told of every preemption that is over, and whether all of it was done."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        recorder: EventRecorder,
        scheduler_name: str,
        finished: Callable[[Preemption, bool], None],
    ) -> None:
        self._client, self._clock, self._recorder = client, clock, recorder
        self._message = f"{scheduler_name}: preempting to accommodate a higher priority pod"
        self._finished = finished
        self._waiting: asyncio.Queue[Preemption] = asyncio.Queue()

    def add(self, preemption: Preemption) -> None:
        self._waiting.put_nowait(preemption)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            preemption = await self._waiting.get()
            results: list[bool] = []
            async with asyncio.TaskGroup() as group:
                for pod in preemption.superseded:
                    group.create_task(self._clear_nomination(pod))
                for victim in preemption.victims:
                    group.create_task(self._evict(victim, preemption, results))
            self._finished(preemption, all(results))

    async def _evict(self, victim: PodInfo, preemption: Preemption, results: list[bool]) -> None:
        namespace, name = victim.key
        try:
            if not is_deleting(victim.obj):
                patch = disruption_patch(victim.obj, self._message, format_time(self._clock.now()))
                if patch is not None:
                    await self._client.patch(PODS, name, patch, namespace, kind="strategic", subresource="status")
                await self._client.delete(PODS, name, namespace, uid=victim.uid)
        except (NotFound, Conflict):
            # Gone already, or another pod has its name by now.
            results.append(True)
            return
        except (StatusError, ConnectionError) as error:
            log.warning("preemption failed victim=%s/%s node=%s error=%s", namespace, name, preemption.node, error)
            results.append(False)
            return
        except Exception:
            log.exception("preemption failed victim=%s/%s node=%s", namespace, name, preemption.node)
            results.append(False)
            return
        text = f"Preempted by pod {preemption.preemptor.uid} on node {preemption.node}"
        related = preemption.preemptor.obj
        self._recorder.event(victim.obj, "Normal", "Preempted", text, related=related, action="Preempting")
        results.append(True)

    async def _clear_nomination(self, pod: PodInfo) -> None:
        patch = {"metadata": {"uid": pod.uid}, "status": {"nominatedNodeName": None}}
        try:
            await self._client.patch(PODS, pod.key[1], patch, pod.key[0], kind="strategic", subresource="status")
        except (StatusError, ConnectionError) as error:
            # Its next attempt writes it.
            log.info("nomination not cleared pod=%s/%s error=%s", *pod.key, error)
        except Exception:
            log.exception("nomination not cleared pod=%s/%s", *pod.key)


def disruption_patch(pod: Obj, message: str, now: str) -> Obj | None:
    """Says on a victim why it goes; None if it says so already."""
    found = condition(pod, "DisruptionTarget") or {}
    wanted: Obj = {"type": "DisruptionTarget", "status": "True", "reason": REASON, "message": message}
    if generation := dig(pod, "metadata", "generation"):
        wanted["observedGeneration"] = generation
    if all(found.get(field) == value for field, value in wanted.items()):
        return None
    if found.get("status") != "True":
        wanted["lastTransitionTime"] = now
    return {"metadata": {"uid": pod["metadata"]["uid"]}, "status": {"conditions": [wanted]}}
