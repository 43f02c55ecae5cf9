"""Removes images that nothing uses: every five minutes when their disk is nearly full or they are too old, and all of them when
eviction asks for it (eviction/reclaiming.py).

Source: upstream pkg/kubelet/images/image_gc_manager.go; KEP-4210 (imageMaximumGCAge).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from steersman.cri.interface import ImageService, Runtime, RuntimeFault
from steersman.cri.messages import Image
from steersman.kubelet.images import with_default_tag
from steersman.kubelet.kit import NodeFacts
from steersman.machinery import duration
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj, dig

log = logging.getLogger(__name__)

EVERY_S = 300.0
_ALWAYS = float("-inf")


class Recorder(Protocol):
    def event(self, about: Obj, type: str, reason: str, message: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Policy:
    """At `high` per cent of the disk, images go until it is `low`, none that came less than `min_age_s` ago; whatever the disk,
    those that nothing used for `max_age_s` (0: none)."""

    high: int = 85
    low: int = 80
    min_age_s: float = 120.0
    max_age_s: float = 0.0

    @property
    def off(self) -> bool:
        return self.high >= 100 and self.max_age_s <= 0


def policy(configuration: Mapping[str, Any]) -> Policy:
    """What a KubeletConfiguration, with its defaults, says."""
    return Policy(
        configuration["imageGCHighThresholdPercent"],
        configuration["imageGCLowThresholdPercent"],
        duration.parse_go(configuration["imageMinimumGCAge"]),
        duration.parse_go(configuration["imageMaximumGCAge"]),
    )


class CollectionFailed(Exception):
    """Why not enough images were removed."""


@dataclass(slots=True)
class _Record:
    """When an image was seen first, and last in use, on the monotonic clock."""

    seen_s: float
    used_s: float = _ALWAYS


Disk = Callable[[str], tuple[int, int]]
"""(capacity, available) in bytes of the filesystem of a path. Raises OSError."""


def disk_of(path: str) -> tuple[int, int]:
    disk = os.statvfs(path)
    return disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize


class ImageCollector:
    """pods(): those whose image volumes may be mounted."""

    def __init__(
        self,
        policy: Policy,
        runtime: Runtime,
        images: ImageService,
        clock: Clock,
        recorder: Recorder,
        facts: NodeFacts,
        pods: Callable[[], Iterable[Obj]],
        disk: Disk = disk_of,
    ) -> None:
        self._policy, self._runtime, self._images, self._clock = policy, runtime, images, clock
        self._recorder, self._facts, self._pods, self._disk = recorder, facts, pods, disk
        self._records: dict[str, _Record] | None = None
        self._began_s = clock.monotonic()
        self._failed_before = False

    async def run(self) -> None:
        """Until cancelled."""
        if self._policy.off:
            log.info("image garbage collection is off")
            return
        while True:
            await self.turn()
            await self._clock.sleep(EVERY_S)

    async def turn(self) -> None:
        """Collect once. The first failure may only mean that the runtime is not up yet: the second in a row is an event."""
        try:
            await self.collect()
            self._failed_before = False
        except (CollectionFailed, RuntimeFault, OSError) as error:
            log.warning("image garbage collection failed error=%s", error)
            if self._failed_before:
                self._tell("ImageGCFailed", str(error))
            self._failed_before = True

    def _tell(self, reason: str, text: str) -> None:
        if self._facts.node is not None:
            self._recorder.event(self._facts.node, "Warning", reason, text)

    async def collect(self) -> None:
        """Raises CollectionFailed, RuntimeFault, OSError."""
        unused = await self._remove_old(await self._unused())
        capacity, available = self._disk((await self._images.image_fs())[0])
        if capacity <= 0:
            text = "invalid capacity 0 on image filesystem"
            self._tell("InvalidDiskCapacity", text)
            raise CollectionFailed(text)
        available = min(available, capacity)
        percent = 100 - available * 100 // capacity
        if percent < self._policy.high:
            return
        wanted = capacity * (100 - self._policy.low) // 100 - available
        log.info(
            "disk usage on image filesystem is over the high threshold, images go down to the low one usage=%d high=%d bytes=%d",
            percent,
            self._policy.high,
            wanted,
        )
        freed = await self._free(unused, wanted)
        if freed < wanted:
            text = (
                f"Insufficient free disk space on the node's image filesystem ({percent}% of {_size(capacity)} used). "
                f"Failed to free sufficient space by deleting unused images (freed {freed} bytes). "
                "Investigate disk usage, as it could be used by active images, logs, volumes, or other data."
            )
            self._tell("FreeDiskSpaceFailed", text)
            raise CollectionFailed(text)

    async def delete_unused(self) -> None:
        """All that nothing uses, but those that just came. Raises CollectionFailed, RuntimeFault."""
        await self._free(await self._unused(), None)

    # --- which ones ------------------------------------------------------------------------------------------------

    async def _unused(self) -> list[Image]:
        """Look at what there is, and at what is in use; the others in the order in which they go."""
        images, now_s = await self._images.list_images(), self._clock.monotonic()
        used = await self._used(images)
        # What was there before the kubelet looked first may be of any age.
        known, seen_s = (self._records, now_s) if self._records is not None else ({}, _ALWAYS)
        records = {image.id: known.get(image.id) or _Record(seen_s) for image in images}
        for identity in used & records.keys():
            records[identity].used_s = now_s
        self._records = records
        unused = [image for image in images if image.id not in used and not image.pinned]
        return sorted(unused, key=lambda image: (records[image.id].used_s, records[image.id].seen_s))

    async def _used(self, images: Iterable[Image]) -> set[str]:
        """Ids of those that containers, also dead ones, were made from, and of volumes."""
        names = {name for container in await self._runtime.list_containers() for name in (container.image, container.image_ref)}
        found = {image.id for image in images if names & {image.id, *image.repo_tags, *image.repo_digests}}
        for reference in {each for pod in self._pods() for each in _image_volumes(pod)}:
            image = await self._images.image_status(reference)
            if image is not None:
                found.add(image.id)
        return found

    # --- removing --------------------------------------------------------------------------------------------------

    async def _remove_old(self, unused: list[Image]) -> list[Image]:
        """Those nothing used for too long; the rest. Not before the kubelet itself has seen so much time pass."""
        now_s, limit_s = self._clock.monotonic(), self._policy.max_age_s
        if limit_s <= 0 or now_s - self._began_s <= limit_s:
            return unused
        left = []
        for image in unused:
            record = self._record(image)
            if now_s - max(record.used_s, record.seen_s) <= limit_s:
                left.append(image)
                continue
            await self._images.remove_image(image.id)
            self._facts.counts.count("kubelet_image_garbage_collected_total", reason="age")
            log.info("removed an image that was unused for long image=%s bytes=%d", image.id, image.size_bytes)
        return left

    async def _free(self, unused: Iterable[Image], wanted: int | None) -> int:
        """Remove images until there are that many bytes (None: all of them); how many. Raises CollectionFailed."""
        freed, now_s, faults = 0, self._clock.monotonic(), list[str]()
        for image in unused:
            if wanted is not None and freed >= wanted:
                break
            if now_s - self._record(image).seen_s < self._policy.min_age_s:
                continue
            try:
                await self._images.remove_image(image.id)
            except RuntimeFault as error:
                faults.append(f"{image.id}: {error}")
                continue
            freed += image.size_bytes
            self._facts.counts.count("kubelet_image_garbage_collected_total", reason="space")
            log.info("removed an unused image to win space image=%s bytes=%d", image.id, image.size_bytes)
        if faults:
            raise CollectionFailed(f"freed {freed} bytes, with errors in image deletion: {'; '.join(faults)}")
        return freed

    def _record(self, image: Image) -> _Record:
        assert self._records is not None  # images come from _unused, which made it
        return self._records[image.id]


def _image_volumes(pod: Obj) -> Iterable[str]:
    for volume in dig(pod, "spec", "volumes", default=None) or ():
        reference = dig(volume, "image", "reference", default="")
        if reference:
            try:
                yield with_default_tag(reference)
            except ValueError:
                continue


def _size(count: int) -> str:
    value = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
