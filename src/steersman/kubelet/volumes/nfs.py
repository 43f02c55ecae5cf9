"""nfs: a folder of a file server, mounted by the kernel. Only where mount.nfs (nfs-common) and a kernel with NFS are.

In pods and behind claims. Source: upstream pkg/volume/nfs; messages as its mount utilities word them.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from steersman.kubelet.volumes import mounts
from steersman.kubelet.volumes.base import Request, VolumeFault
from steersman.machinery import programs
from steersman.machinery.meta import Obj, dig, name_of

_HELP = "for several filesystems (e.g. nfs, cifs) you might need a /sbin/mount.<type> helper program."
Run = Callable[[Sequence[str]], Awaitable[programs.Outcome]]


async def _run(argv: Sequence[str]) -> programs.Outcome:
    return await programs.run(argv)


class NfsVolume:
    source, name = "nfs", "kubernetes.io~nfs"
    refreshes = False

    def __init__(self, run: Run = _run) -> None:
        self._run = run

    async def set_up(self, request: Request) -> Path:
        return await self._mount(request.volume["nfs"], request.directory, (), "")

    async def set_up_volume(self, request: Request, volume: Obj) -> Path:
        directory = request.directory.parent.parent / self.name / name_of(volume)
        source, options = volume["spec"]["nfs"], volume["spec"].get("mountOptions") or ()
        claimed = bool(dig(request.volume, "persistentVolumeClaim", "readOnly", default=False))
        return await self._mount({**source, "readOnly": source.get("readOnly") or claimed}, directory, options, name_of(volume))

    async def grow(self, request: Request, claim: Obj, volume: Obj) -> None:
        """The server's business."""

    async def _mount(self, source: Obj, directory: Path, options: Sequence[str], volume: str) -> Path:
        if mounts.is_mount(directory):
            return directory
        directory.mkdir(0o750, parents=True, exist_ok=True)
        server = f"[{source['server']}]" if ":" in source["server"] else source["server"]
        flags = [*(("ro",) if source.get("readOnly") else ()), *options]
        arguments = ["-t", "nfs", *(("-o", ",".join(flags)) if flags else ()), f"{server}:{source['path']}", str(directory)]
        try:
            outcome = await self._run(["mount", *arguments])
        except OSError as error:
            raise VolumeFault(f"mount failed: {error}", volume=volume) from None
        if outcome.code:
            said = outcome.output.decode(errors="replace").strip()
            lines = [f"mount failed: exit status {outcome.code}", "Mounting command: mount"]
            lines += [f"Mounting arguments: {' '.join(arguments)}", f"Output: {said}"]
            if "helper program" not in said and shutil.which("mount.nfs", path="/sbin:/usr/sbin") is None:
                lines.append(_HELP)
            directory.rmdir()
            raise VolumeFault("\n".join(lines), volume=volume)
        return directory

    async def tear_down(self, directory: Path) -> None:
        """Detach it, on a thread: a server that is gone makes the kernel think about it. Raises OSError."""
        await asyncio.to_thread(mounts.unmount_below, directory)
        # Only empty: what is below a mount is not the pod's.
        os.rmdir(directory)
