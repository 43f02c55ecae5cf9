"""hostPath: a file or folder of the node, checked by its type (upstream pkg/volume/hostpath)."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from steersman.kubelet.volumes.base import Request, VolumeFault

_CHECKS: dict[str, tuple[Callable[[int], bool], str]] = {
    "Directory": (stat.S_ISDIR, "a directory"),
    "DirectoryOrCreate": (stat.S_ISDIR, "a directory"),
    "File": (stat.S_ISREG, "a file"),
    "FileOrCreate": (stat.S_ISREG, "a file"),
    "Socket": (stat.S_ISSOCK, "a socket file"),
    "CharDevice": (stat.S_ISCHR, "a character device"),
    "BlockDevice": (stat.S_ISBLK, "a block device"),
}


class HostPathVolume:
    source, name = "hostPath", "kubernetes.io~host-path"
    refreshes = False

    async def set_up(self, request: Request) -> Path:
        source = request.volume[self.source]
        path, kind = Path(source["path"]), source.get("type") or ""
        if not kind:
            return path
        if kind not in _CHECKS:
            raise VolumeFault(f"hostPath type check failed: {kind} is an invalid volume type")
        is_right, words = _CHECKS[kind]
        try:
            if not path.exists():
                self._make(path, kind)
            right = path.exists() and is_right(os.stat(path).st_mode)
        except OSError as error:
            raise VolumeFault(f"stat {path}: {(error.strerror or str(error)).lower()}") from None
        if not right:
            raise VolumeFault(f"hostPath type check failed: {path} is not {words}")
        return path

    @staticmethod
    def _make(path: Path, kind: str) -> None:
        try:
            if kind == "DirectoryOrCreate":
                path.mkdir(parents=True, exist_ok=True)
                os.chmod(path, 0o755)
            elif kind == "FileOrCreate":
                path.touch()
                os.chmod(path, 0o644)
        except OSError as error:
            verb = "mkdir" if kind == "DirectoryOrCreate" else "open"
            raise VolumeFault(f"{verb} {path}: {(error.strerror or str(error)).lower()}") from None

    async def tear_down(self, directory: Path) -> None:
        """The node's own: nothing to undo."""
