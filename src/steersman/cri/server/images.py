"""CRI's ImageService over an interface.ImageService."""

from __future__ import annotations

from cri_api.v1 import api_pb2 as cri

from steersman.cri.interface import ImageService
from steersman.cri.messages import Image
from steersman.cri.server import answers, requests
from steersman.cri.server.finding import image_by_prefix
from steersman.machinery.clock import Clock


class ImageCalls:
    """Methods are named as CRI's calls, and found by their names (serving.py)."""

    def __init__(self, images: ImageService, clock: Clock) -> None:
        self._images, self._clock = images, clock

    async def ListImages(self, request: cri.ListImagesRequest) -> cri.ListImagesResponse:
        if name := request.filter.image.image:
            found = await self._find(name)
            return cri.ListImagesResponse(images=[answers.image(found)] if found else [])
        return cri.ListImagesResponse(images=[answers.image(each) for each in await self._images.list_images()])

    async def ImageStatus(self, request: cri.ImageStatusRequest) -> cri.ImageStatusResponse:
        found = await self._find(request.image.image)
        return cri.ImageStatusResponse(image=answers.image(found) if found else None)

    async def PullImage(self, request: cri.PullImageRequest) -> cri.PullImageResponse:
        auth = requests.auth(request.auth) if request.HasField("auth") else None
        return cri.PullImageResponse(image_ref=await self._images.pull_image(request.image.image, auth))

    async def RemoveImage(self, request: cri.RemoveImageRequest) -> cri.RemoveImageResponse:
        found = await self._find(request.image.image)
        if found is not None:
            await self._images.remove_image(found.id)
        return cri.RemoveImageResponse()

    async def ImageFsInfo(self, request: cri.ImageFsInfoRequest) -> cri.ImageFsInfoResponse:
        return answers.image_fs(*await self._images.image_fs(), self._clock.now())

    async def _find(self, name: str) -> Image | None:
        return await self._images.image_status(name) or image_by_prefix(name, await self._images.list_images())
