"""image: what is in an OCI image, read-only. The kubelet pulls it (images.py), the runtime mounts it (cri.Mount.image).

Source: upstream pkg/volume/image, which does nothing either.
"""

from __future__ import annotations

from pathlib import Path

from steersman.kubelet.volumes.base import Request
from steersman.machinery.meta import Obj, dig


class ImageVolume:
    source, name = "image", "kubernetes.io~image"
    refreshes = False

    async def set_up(self, request: Request) -> Path:
        """Only a name: nothing is there on the host."""
        return request.directory

    async def tear_down(self, directory: Path) -> None:
        """It went with the containers."""


def mounted_images(pod: Obj, container: Obj) -> dict[str, Obj]:
    """The image volumes which the container mounts, by name: their sources."""
    mounted = {mount["name"] for mount in container.get("volumeMounts") or ()}
    volumes = dig(pod, "spec", "volumes", default=None) or ()
    return {each["name"]: each["image"] for each in volumes if each.get("image") and each["name"] in mounted}
