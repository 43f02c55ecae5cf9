"""Where CSI volumes are on the node, and the note beside each by which a kubelet that was started anew knows what it is.

As upstream's: plugins/kubernetes.io/csi/<driver>/<hash of the handle>/globalmount is where a volume is staged once for all pods,
pods/<uid>/volumes/kubernetes.io~csi/<spec name>/mount where one pod has it. The notes are called vol_data.json. The folders say
which pods use a volume: nothing else remembers it. Source: upstream pkg/volume/csi (csi_util.go, csi_attacher.go).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = "kubernetes.io~csi"
_NOTE = "vol_data.json"
PERSISTENT, EPHEMERAL = "Persistent", "Ephemeral"


@dataclass(frozen=True, slots=True)
class Note:
    """vol_data.json. Beside a staged volume there are driver, handle and spec name only."""

    driver: str
    handle: str
    spec_name: str = ""
    lifecycle: str = ""
    node: str = ""
    attachment: str = ""

    def write(self, directory: Path) -> None:
        """Whole or not at all: a note that is cut off would leave a mount that nobody undoes. Raises OSError."""
        values = {
            "attachmentID": self.attachment,
            "driverName": self.driver,
            "nodeName": self.node,
            "specVolID": self.spec_name,
            "volumeHandle": self.handle,
            "volumeLifecycleMode": self.lifecycle,
        }
        fresh = directory / f".{_NOTE}"
        fresh.write_text(json.dumps({key: value for key, value in values.items() if value}))
        os.replace(fresh, directory / _NOTE)


def read(directory: Path) -> Note | None:
    """None if there is none that can be read."""
    try:
        found = json.loads((directory / _NOTE).read_text())
        return Note(
            str(found["driverName"]),
            str(found["volumeHandle"]),
            str(found.get("specVolID", "")),
            str(found.get("volumeLifecycleMode", "")),
            str(found.get("nodeName", "")),
            str(found.get("attachmentID", "")),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def forget(directory: Path) -> None:
    """Remove a volume's folder after its mount is gone; only what is empty goes, and the note. Raises OSError."""
    for mount in (directory / "mount", directory / "globalmount"):
        if mount.is_dir():
            os.rmdir(mount)
        else:
            # What a block device was published on.
            mount.unlink(missing_ok=True)
    for note in (directory / _NOTE, directory / f".{_NOTE}"):
        note.unlink(missing_ok=True)
    if directory.is_dir():
        os.rmdir(directory)


def staging(root: Path, driver: str, handle: str) -> Path:
    """Where a volume is staged. `root`: the kubelet's folder."""
    return root / "plugins" / "kubernetes.io" / "csi" / driver / hashlib.sha256(handle.encode()).hexdigest() / "globalmount"


def of_pods(root: Path) -> Iterator[tuple[Path, Note]]:
    """All volumes that pods have, or may have."""
    for directory in root.glob(f"pods/*/volumes/{FOLDER}/*"):
        note = read(directory)
        if note is not None:
            yield directory, note


def used(root: Path, driver: str, handle: str) -> bool:
    """Whether some pod has the volume."""
    return any((note.driver, note.handle) == (driver, handle) for _, note in of_pods(root))


def ephemeral_handle(pod_uid: str, name: str) -> str:
    return f"csi-{hashlib.sha256(f'{pod_uid}{name}'.encode()).hexdigest()}"
