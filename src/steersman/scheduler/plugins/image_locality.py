"""ImageLocality: better where the pod's images are; images that few nodes have count less, lest they draw all pods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from steersman.scheduler.columns import Ints, Rows
from steersman.scheduler.framework import MAX_SCORE, Normalize
from steersman.scheduler.nodetable import NodeTable
from steersman.scheduler.podinfo import PodInfo

_MIB = 1024 * 1024
_FLOOR = 23 * _MIB
_CEILING_PER_CONTAINER = 1000 * _MIB


@dataclass(frozen=True, slots=True)
class Needs:
    images: Sequence[str]
    containers: int


class ImageLocality:
    name = "ImageLocality"
    weight = 1
    normalize = Normalize.NONE
    uses_pods = False

    def prepare_score(self, pod: PodInfo) -> Needs | None:
        containers = [*(pod.spec.get("initContainers") or ()), *(pod.spec.get("containers") or ())]
        images = [container.get("image") or "" for container in containers]
        images += [volume["image"].get("reference") or "" for volume in pod.spec.get("volumes") or () if volume.get("image")]
        named = tuple(normalized(image) for image in images if image)
        return Needs(named, len(containers)) if named else None

    def score(self, needs: Needs, table: NodeTable, rows: Rows) -> Ints:
        sums = np.zeros(table.count, np.int64)
        for image in needs.images:
            held = table.rows_with_image(image)
            spread = len(held) / max(table.count, 1)
            for row, size in held.items():
                sums[row] += int(size * spread)
        ceiling = _CEILING_PER_CONTAINER * needs.containers
        clamped = np.clip(sums, _FLOOR, ceiling)
        return (MAX_SCORE * (clamped - _FLOOR) // (ceiling - _FLOOR))[rows]


def normalized(image: str) -> str:
    """Nodes list images with their tag; a pod may leave `:latest` out."""
    return image if image.rfind(":") > image.rfind("/") else f"{image}:latest"
