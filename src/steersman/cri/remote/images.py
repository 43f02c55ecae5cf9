"""RemoteImages: interface.ImageService over CRI's ImageService. Archives are imported by containerd's own `ctr`."""

from __future__ import annotations

import asyncio
import re
import shutil
from dataclasses import replace

from cri_api.v1 import api_pb2 as cri

from steersman.cri.interface import NotThere, RuntimeFault
from steersman.cri.messages import Image, RegistryAuth
from steersman.cri.remote import calls, messages, views
from steersman.cri.remote.calls import IMAGES, RUNTIME, Endpoint
from steersman.machinery import programs
from steersman.machinery.clock import Clock

PULL_S = 1800.0
LOAD_S = 600.0
_NAMESPACE = "k8s.io"
_UNREACHABLE = re.compile(
    r"connection refused|no such host|no route to host|i/o timeout|network is unreachable|TLS handshake timeout|"
    r"failed to do request|server misbehaving"
)
_INVALID = re.compile(r"invalid reference format|failed to parse image reference|repository name must be lowercase")


class RemoteImages:
    """Use as RemoteRuntime's neighbour on the same endpoint."""

    def __init__(self, endpoint: Endpoint, clock: Clock) -> None:
        self._endpoint, self._clock = endpoint, clock

    async def pull_image(self, image: str, auth: RegistryAuth | None = None) -> str:
        request = cri.PullImageRequest(image=cri.ImageSpec(image=image), auth=messages.auth(auth))
        try:
            answer = await self._endpoint.call(IMAGES + "PullImage", request, cri.PullImageResponse, PULL_S)
        except RuntimeFault as error:
            raise RuntimeFault(str(error), reason=pull_reason(str(error))) from error
        return answer.image_ref

    async def image_status(self, image: str) -> Image | None:
        request = cri.ImageStatusRequest(image=cri.ImageSpec(image=image))
        try:
            answer = await self._endpoint.call(IMAGES + "ImageStatus", request, cri.ImageStatusResponse)
        except NotThere:
            return None
        return views.image(answer.image) if answer.HasField("image") and answer.image.id else None

    async def list_images(self) -> list[Image]:
        answer = await self._endpoint.call(IMAGES + "ListImages", cri.ListImagesRequest(), cri.ListImagesResponse)
        found = [views.image(each) for each in answer.images]
        if not found or any(each.pinned for each in found):
            return found
        kept = await self._sandbox_image()
        return [replace(each, pinned=True) if each.id == kept else each for each in found]

    async def _sandbox_image(self) -> str:
        """The id of the image that sandboxes are made of, "" if that is not known.

        A runtime that pins images pins this one; containerd 1.6 pins none, so here it is done for it: without the image no pod
        could start, where no registry can be reached not ever again.
        """
        answer = await self._endpoint.call(RUNTIME + "Status", cri.StatusRequest(verbose=True), cri.StatusResponse)
        name = views.details(answer.info, "config").get("sandboxImage")
        image = await self.image_status(name) if isinstance(name, str) and name else None
        return image.id if image is not None else ""

    async def remove_image(self, image: str) -> None:
        request = cri.RemoveImageRequest(image=cri.ImageSpec(image=image))
        try:
            await self._endpoint.call(IMAGES + "RemoveImage", request, cri.RemoveImageResponse, calls.SLOW_S)
        except NotThere:
            return

    async def image_fs(self) -> tuple[str, int, int]:
        answer = await self._endpoint.call(IMAGES + "ImageFsInfo", cri.ImageFsInfoRequest(), cri.ImageFsInfoResponse)
        if not answer.image_filesystems:
            return "", 0, 0
        first = answer.image_filesystems[0]
        return first.fs_id.mountpoint, first.used_bytes.value, first.inodes_used.value

    async def load(self, archive: str) -> list[str]:
        """Import an OCI or docker archive; the images' names. CRI has no such call: this is for containerd, with its ctr."""
        ctr = shutil.which("ctr")
        if ctr is None:
            raise RuntimeFault("ctr is not installed: images in archives are imported with it; Debian has it in `containerd`")
        argv = [ctr, "--address", self._endpoint.path, "--namespace", _NAMESPACE, "images", "import", archive]
        try:
            async with asyncio.timeout(LOAD_S):
                outcome = await programs.run(argv)
        except TimeoutError:
            raise RuntimeFault(f"ctr did not import {archive} within {LOAD_S:g} s") from None
        if outcome.code:
            raise RuntimeFault(f"ctr could not import {archive}: {outcome.stderr.decode(errors='replace').strip()}")
        return re.findall(r"^unpacking (\S+) \(", outcome.stdout.decode(errors="replace"), flags=re.MULTILINE)

    async def close(self) -> None:
        await self._endpoint.close()


def pull_reason(message: str) -> str:
    """The kubelet's reason for a pull that failed with this text."""
    if _INVALID.search(message):
        return "InvalidImageName"
    return "RegistryUnavailable" if _UNREACHABLE.search(message) else "ErrImagePull"
