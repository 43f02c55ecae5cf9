"""Images of a simulated node: every name can be pulled, unless a test says otherwise. Nothing is fetched or kept on a disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import lru_cache

from steersman.cri.interface import RuntimeFault
from steersman.cri.messages import Image, RegistryAuth
from steersman.machinery.clock import Clock

SIZE_BYTES = 10_000_000


def full_name(image: str) -> str:
    """With Docker's registry and the tag `latest` filled in."""
    host, slash, _ = image.partition("/")
    if not slash:
        image = f"docker.io/library/{image}"
    elif "." not in host and ":" not in host and host != "localhost":
        image = f"docker.io/{image}"
    return image if "@" in image or ":" in image.rpartition("/")[2] else f"{image}:latest"


@lru_cache(maxsize=4096)
def _made(name: str) -> Image:
    """The image of that full name: the same one on all nodes."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    repository, at, _ = name.partition("@")
    if not at:
        repository = repository.rpartition(":")[0]
    return Image(f"sha256:{digest}", () if at else (name,), (f"{repository}@sha256:{digest}",), SIZE_BYTES, None, "")


class SimulatedImages:
    """An ImageService. `refuse(name)` may give the fault of a pull; `pull_s` is how long one takes."""

    def __init__(
        self,
        clock: Clock,
        *,
        pull_s: float = 0.0,
        refuse: Callable[[str], RuntimeFault | None] = lambda image: None,
        present: Iterable[str] = (),
    ) -> None:
        self._clock, self._pull_s, self._refuse = clock, pull_s, refuse
        self._by_id: dict[str, Image] = {}
        self._by_name: dict[str, Image] = {}
        for name in present:
            self._add(full_name(name))

    async def pull_image(self, image: str, auth: RegistryAuth | None = None) -> str:
        if self._pull_s:
            await self._clock.sleep(self._pull_s)
        fault = self._refuse(image)
        if fault is not None:
            raise fault
        return self._add(full_name(image)).id

    def _add(self, name: str) -> Image:
        made = _made(name)
        self._by_name[name] = self._by_id[made.id] = made
        return made

    def find(self, image: str) -> Image | None:
        """By id, name or digest."""
        return self._by_id.get(image) or self._by_name.get(full_name(image))

    async def image_status(self, image: str) -> Image | None:
        return self.find(image)

    async def list_images(self) -> list[Image]:
        return list(self._by_id.values())

    async def remove_image(self, image: str) -> None:
        found = self.find(image)
        if found is not None:
            del self._by_id[found.id]
            self._by_name = {name: item for name, item in self._by_name.items() if item is not found}

    async def image_fs(self) -> tuple[str, int, int]:
        return "/", SIZE_BYTES * len(self._by_id), len(self._by_id)
