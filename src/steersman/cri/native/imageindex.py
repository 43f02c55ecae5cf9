"""The list of images: one JSON file, replaced atomically; names, digests and layers of each.

An image is named in the list only after all of its layers are unpacked; layers and blobs without an image are swept (images.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import msgspec

from steersman.cri.interface import RuntimeFault
from steersman.cri.messages import Image
from steersman.cri.native.files import locked, read_or_none, write_atomic
from steersman.cri.native.reference import parse
from steersman.cri.native.spec import ImageDefaults


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """An image. `id`: digest of its config; `tags` and `digests` are full references; `layer_dirs`: unpacked layers, bottom
    first."""

    id: str
    defaults: ImageDefaults
    layer_dirs: tuple[str, ...]
    size_bytes: int
    tags: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    blobs: tuple[str, ...] = ()
    """Digests of the kept blobs: manifest and config."""
    pinned: bool = False

    @property
    def ref(self) -> str:
        """What a container status shows as its imageID: a digest reference if it was pulled, else the id."""
        return self.digests[0] if self.digests else self.id

    def name_for(self, asked: str) -> str:
        """The tag among ours that the user's words mean, else the first, else the id."""
        try:
            full = str(parse(asked))
        except RuntimeFault:
            full = ""
        return full if full in self.tags or full in self.digests else next(iter(self.tags), self.id)

    def view(self) -> Image:
        user = self.defaults.user.partition(":")[0]
        number = int(user) if user.isdecimal() else None
        username = "" if number is not None else user
        return Image(self.id, self.tags, self.digests, self.size_bytes, number, username, self.pinned)


@dataclass(slots=True)
class ImageIndex:
    """The images of one directory, by id; looked up by reference or id.

    Several processes share it (the node, and `steersman image`): reads notice that the file was replaced, changes are made
    under a lock on what is there then.
    """

    path: str
    _images: dict[str, ImageRecord] = field(default_factory=dict)
    _seen: tuple[int, int] = (0, 0)

    @property
    def images(self) -> dict[str, ImageRecord]:
        """As the file has them now. Not to be changed."""
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            self._images, self._seen = {}, (0, 0)
            return self._images
        if (found.st_ino, found.st_mtime_ns) != self._seen:
            data = read_or_none(self.path)
            self._images = msgspec.json.decode(data, type=dict[str, ImageRecord]) if data else {}
            self._seen = (found.st_ino, found.st_mtime_ns)
        return self._images

    @contextmanager
    def _changing(self) -> Iterator[dict[str, ImageRecord]]:
        with locked(f"{self.path}.lock"):
            images = dict(self.images)
            yield images
            write_atomic(self.path, msgspec.json.encode(images), mode=0o644, durable=True)

    def find(self, *names: str) -> ImageRecord | None:
        """The image with one of these references or ids."""
        images = self.images
        for name in names:
            if name in images:
                return images[name]
            for image in images.values():
                if name in image.tags or name in image.digests:
                    return image
        return None

    def put(self, image: ImageRecord) -> ImageRecord:
        """Add the image, or more names to it; a tag moves here from any image that had it."""
        with self._changing() as images:
            for other in list(images.values()):
                if other.id != image.id and set(other.tags) & set(image.tags):
                    images[other.id] = replace(other, tags=tuple(tag for tag in other.tags if tag not in image.tags))
            known = images.get(image.id)
            if known:
                tags, digests = (*known.tags, *image.tags), (*known.digests, *image.digests)
                blobs = (*known.blobs, *image.blobs)
                image = replace(known, tags=_unique(tags), digests=_unique(digests), blobs=_unique(blobs))
            images[image.id] = image
        return image

    def remove(self, identity: str) -> None:
        with self._changing() as images:
            images.pop(identity, None)


def _unique(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
