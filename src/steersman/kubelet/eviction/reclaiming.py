"""Wins disk space back without ending a pod: dead containers, then images that nothing uses."""

from __future__ import annotations

import logging
from collections.abc import Collection

from steersman.cri.interface import Runtime, RuntimeFault
from steersman.cri.messages import ContainerState
from steersman.kubelet.garbage.images import CollectionFailed, ImageCollector
from steersman.kubelet.view import UID_LABEL

log = logging.getLogger(__name__)


async def reclaim_disk(runtime: Runtime, images: ImageCollector, living: Collection[str]) -> None:
    """living: UIDs of pods that have not ended; their last dead containers are still needed."""
    try:
        await _remove_dead(runtime, living)
        await images.delete_unused()
    except (RuntimeFault, CollectionFailed) as error:
        log.warning("disk space was not won back error=%s", error)


async def _remove_dead(runtime: Runtime, living: Collection[str]) -> None:
    for container in await runtime.list_containers():
        uid = container.labels.get(UID_LABEL, "")
        if container.state is ContainerState.EXITED and uid and uid not in living:
            await runtime.remove_container(container.id)
