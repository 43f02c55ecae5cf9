"""How attachable CSI volumes are called by the attach/detach controller, kubelets and drivers' attachers. Pure.

Source: upstream pkg/volume/csi/csi_attacher.go (getAttachmentName), pkg/volume/util (GetUniqueVolumeName).
"""

from __future__ import annotations

import hashlib

_LEAD = "kubernetes.io/csi/"


def attachment_name(handle: str, driver: str, node: str) -> str:
    """The VolumeAttachment's."""
    return f"csi-{hashlib.sha256(f'{handle}{driver}{node}'.encode()).hexdigest()}"


def unique_name(driver: str, handle: str) -> str:
    """What a Node's status calls the volume."""
    return f"{_LEAD}{driver}^{handle}"


def parts(unique: str) -> tuple[str, str] | None:
    """(driver, handle) of such a name; None for volumes of other kinds."""
    driver, found, handle = unique.removeprefix(_LEAD).partition("^")
    return (driver, handle) if unique.startswith(_LEAD) and found else None
