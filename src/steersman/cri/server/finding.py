"""Which sandbox, container or image is meant: people name them by the beginning of an id, as CRI's runtimes allow. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from steersman.cri.interface import NotThere, RuntimeFault
from steersman.cri.messages import Image

_HEX = re.compile(r"[0-9a-f]+")


def whole_id(given: str, known: Iterable[str], what: str) -> str:
    """The one id that is or begins with what was given. Raises NotThere; RuntimeFault if there are several."""
    found = [each for each in known if given and each.startswith(given)]
    if given in found:
        return given
    if not found:
        raise NotThere(f"{what} {given!r} not found: does not exist")
    if len(found) > 1:
        raise RuntimeFault(f"{what} id {given!r} is ambiguous: {len(found)} begin so")
    return found[0]


def image_by_prefix(given: str, images: Iterable[Image]) -> Image | None:
    """An image by the beginning of its id, with or without `sha256:`, if that is clear."""
    digits = given.removeprefix("sha256:")
    if not _HEX.fullmatch(digits):
        return None
    found = [each for each in images if each.id.removeprefix("sha256:").startswith(digits)]
    return found[0] if len(found) == 1 else None


def has_labels(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return wanted.items() <= labels.items()
