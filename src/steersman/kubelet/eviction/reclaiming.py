"""Wins disk space back without ending a pod: dead containers, then images that nothing uses."""

from __future__ import annotations

import logging
from collections.abc import Collection

from steersman.cri.interface import ContainerState, ImageService, Runtime, RuntimeFault
from steersman.kubelet.view import UID_LABEL

log = logging.getLogger(__name__)


async def reclaim_disk(runtime: Runtime, images: ImageService, living: Collection[str]) -> None:
    """living: UIDs of pods that have not ended; their last dead containers are still needed."""
    try:
        await _remove_dead(runtime, living)
        await _remove_unused(runtime, images)
    except RuntimeFault as error:
        log.warning("disk space was not won back error=%s", error)


async def _remove_dead(runtime: Runtime, living: Collection[str]) -> None:
    for container in await runtime.list_containers():
        uid = container.labels.get(UID_LABEL, "")
        if container.state is ContainerState.EXITED and uid and uid not in living:
            await runtime.remove_container(container.id)


async def _remove_unused(runtime: Runtime, images: ImageService) -> None:
    used = {name for container in await runtime.list_containers() for name in (container.image, container.image_ref)}
    for image in await images.list_images():
        if image.pinned or used & {image.id, *image.repo_tags, *image.repo_digests}:
            continue
        try:
            await images.remove_image(image.id)
            log.info("removed an unused image to win space image=%s bytes=%d", image.id, image.size_bytes)
        except RuntimeFault as error:
            log.warning("unused image not removed image=%s error=%s", image.id, error)
