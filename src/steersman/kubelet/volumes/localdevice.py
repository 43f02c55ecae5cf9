"""Local volumes whose path is a block device: its file system is mounted for each pod, made first if the device has none.

The kernel shares a file system between all its mounts, so pods that use one volume at a time see the same. Not here: devices
that containers get as they are (volumeMode: Block, persistentclaim.py). Source: upstream pkg/volume/local, mount-utils
(SafeFormatAndMount).
"""

from __future__ import annotations

import stat
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from steersman.kubelet.volumes import mounts
from steersman.kubelet.volumes.base import VolumeFault
from steersman.machinery import programs
from steersman.machinery.meta import Obj, dig, name_of

DEFAULT_TYPE = "ext4"
_NOTHING_FOUND = 2
_NOT_REPAIRED = 4

Run = Callable[[Sequence[str]], Awaitable[programs.Outcome]]


async def _run(argv: Sequence[str]) -> programs.Outcome:
    return await programs.run(argv)


def is_device(path: Path) -> bool:
    return path.exists() and stat.S_ISBLK(path.stat().st_mode)


async def mount(volume: Obj, directory: Path, *, readonly: bool, run: Run = _run) -> Path:
    """Mount the PersistentVolume's device at `directory`, unless it is already; the directory. Raises VolumeFault."""
    if mounts.is_mount(directory):
        return directory
    device, name = volume["spec"]["local"]["path"], name_of(volume)
    try:
        found = await _found(device, run)
        kind = dig(volume, "spec", "local", "fsType", default="") or found or DEFAULT_TYPE
        if not readonly:
            await (_check(device, run) if found else _format(device, kind, run))
        options = [*(("ro",) if readonly else ()), *(volume["spec"].get("mountOptions") or ()), "defaults"]
        directory.mkdir(0o750, parents=True, exist_ok=True)
        await _done(run, "mount", "-t", kind, "-o", ",".join(options), device, str(directory))
    except (OSError, VolumeFault) as error:
        if directory.is_dir():
            directory.rmdir()
        raise VolumeFault(f"local: failed to mount device {device}: {error}", "MountVolume.MountDevice failed", name) from None
    return directory


async def unmount(directory: Path) -> None:
    """Raises OSError."""
    mounts.unmount_below(directory)
    # Only empty: what is below a mount is not the pod's.
    directory.rmdir()


async def _found(device: str, run: Run) -> str:
    """What the device has on it: a file system's type, `partitions`, or ''."""
    outcome = await run(["blkid", "-p", "-s", "TYPE", "-s", "PTTYPE", "-o", "export", device])
    if outcome.code == _NOTHING_FOUND:
        return ""
    if outcome.code:
        raise VolumeFault(f"blkid: {_said(outcome)}")
    values = dict(line.split("=", 1) for line in outcome.stdout.decode(errors="replace").splitlines() if "=" in line)
    return values.get("TYPE") or ("partitions" if "PTTYPE" in values else "")


async def _format(device: str, kind: str, run: Run) -> None:
    flags = ("-F", "-m0") if kind.startswith("ext") else ("-f",) if kind == "xfs" else ()
    await _done(run, f"mkfs.{kind}", *flags, device)


async def _check(device: str, run: Run) -> None:
    """Mend what can be mended without asking; not while another pod uses it, which not all programs notice (fsck.vfat)."""
    if mounts.is_in_use(Path(device)):
        return
    try:
        outcome = await run(["fsck", "-a", device])
    except FileNotFoundError:
        return
    if outcome.code & _NOT_REPAIRED:
        raise VolumeFault(f"'fsck' found errors on device {device} but could not correct them: {_said(outcome)}")


async def _done(run: Run, *argv: str) -> None:
    outcome = await run(argv)
    if outcome.code:
        raise VolumeFault(f"{' '.join(argv)}: exit status {outcome.code}: {_said(outcome)}")


def _said(outcome: programs.Outcome) -> str:
    return outcome.output.decode(errors="replace").strip()
