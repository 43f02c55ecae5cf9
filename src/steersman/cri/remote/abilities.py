"""What a runtime of some version cannot do, where CRI has no word for it. Pure."""

from __future__ import annotations

import re

_IMAGE_VOLUMES_SINCE = {"containerd": (2, 1), "cri-o": (1, 31)}


def no_image_volumes(name: str, version: str) -> str:
    """Why it cannot mount images; empty if it can, or is not known.

    One that does not know the field would complain of a mount without a host path instead.
    """
    since = _IMAGE_VOLUMES_SINCE.get(name.lower())
    found = re.match(r"v?(\d+)\.(\d+)", version)
    if since is None or found is None or (int(found[1]), int(found[2])) >= since:
        return ""
    return f"ImageVolumeMountFailed: {name} {version} does not support image volumes, {since[0]}.{since[1]} or newer is needed"
