"""Local volumes that are block devices: which programs are run for which devices, and a real one."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from steersman.kubelet.volumes import localdevice, mounts
from steersman.kubelet.volumes.base import VolumeFault
from steersman.machinery.meta import Obj
from steersman.machinery.programs import Outcome

DEVICE = "/dev/disk9"
LOOK = f"blkid -p -s TYPE -s PTTYPE -o export {DEVICE}"
EXT4 = Outcome(0, f"DEVNAME={DEVICE}\nTYPE=ext4\n".encode(), b"")
XFS = Outcome(0, f"DEVNAME={DEVICE}\nTYPE=xfs\n".encode(), b"")
PARTS = Outcome(0, f"DEVNAME={DEVICE}\nPTTYPE=dos\n".encode(), b"")
EMPTY = Outcome(2, b"", b"")
WELL = Outcome(0, b"", b"")


def volume(path: str = DEVICE, **local: Any) -> Obj:
    return {"metadata": {"name": "pv"}, "spec": {"local": {"path": path, **local}}}


class Programs:
    """Notes what is run; `answers` by program."""

    def __init__(self, **answers: Outcome) -> None:
        self.ran: list[str] = []
        self._answers = answers

    async def __call__(self, argv: Sequence[str]) -> Outcome:
        self.ran.append(" ".join(argv))
        return self._answers.get(argv[0].replace(".", "_"), WELL)


@pytest.mark.parametrize(
    ("found", "made", "readonly", "ran"),
    [
        (EMPTY, volume(), False, [f"mkfs.ext4 -F -m0 {DEVICE}", "mount -t ext4 -o defaults"]),
        (EMPTY, volume(fsType="xfs"), False, [f"mkfs.xfs -f {DEVICE}", "mount -t xfs -o defaults"]),
        (EXT4, volume(), False, [f"fsck -a {DEVICE}", "mount -t ext4 -o defaults"]),
        (XFS, volume(), False, [f"fsck -a {DEVICE}", "mount -t xfs -o defaults"]),
        (EXT4, volume(), True, ["mount -t ext4 -o ro,defaults"]),
        (EMPTY, volume(), True, ["mount -t ext4 -o ro,defaults"]),
        (PARTS, volume(fsType="ext4"), False, [f"fsck -a {DEVICE}", "mount -t ext4 -o defaults"]),
    ],
    ids=["empty", "empty, xfs", "ext4", "xfs", "read-only", "empty, read-only", "partitions"],
)
def test_only_an_empty_device_gets_a_file_system(
    tmp_path: Path, found: Outcome, made: Obj, readonly: bool, ran: list[str]
) -> None:
    programs = Programs(blkid=found)
    directory = tmp_path / "v"
    assert asyncio.run(localdevice.mount(made, directory, readonly=readonly, run=programs)) == directory
    assert programs.ran == [LOOK, *ran[:-1], f"{ran[-1]} {DEVICE} {directory}"]


def test_a_file_system_that_another_pod_uses_is_not_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "is_in_use", lambda device: device == Path(DEVICE))
    programs = Programs(blkid=EXT4)
    asyncio.run(localdevice.mount(volume(), tmp_path / "v", readonly=False, run=programs))
    assert programs.ran == [LOOK, f"mount -t ext4 -o defaults {DEVICE} {tmp_path / 'v'}"]


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ({"blkid": Outcome(8, b"", b"ambivalent")}, "blkid: ambivalent"),
        ({"blkid": EXT4, "fsck": Outcome(4, b"bad", b"")}, "could not correct them: bad"),
        ({"blkid": EMPTY, "mkfs_ext4": Outcome(1, b"", b"too small")}, "mkfs.ext4 .*: exit status 1: too small"),
        ({"blkid": EXT4, "mount": Outcome(32, b"", b"wrong fs type")}, "mount .*: exit status 32: wrong fs type"),
    ],
    ids=["look", "check", "format", "mount"],
)
def test_what_fails_is_told_and_nothing_is_left(tmp_path: Path, answers: dict[str, Outcome], why: str) -> None:
    with pytest.raises(VolumeFault, match=f"local: failed to mount device {DEVICE}: .*{why}") as caught:
        asyncio.run(localdevice.mount(volume(), tmp_path / "v", readonly=False, run=Programs(**answers)))
    assert (caught.value.step, caught.value.volume) == ("MountVolume.MountDevice failed", "pv")
    assert not list(tmp_path.iterdir())


def test_what_could_be_mended_is_mounted(tmp_path: Path) -> None:
    programs = Programs(blkid=EXT4, fsck=Outcome(1, b"", b""))
    asyncio.run(localdevice.mount(volume(), tmp_path / "v", readonly=False, run=programs))
    assert programs.ran[-1].startswith("mount ")


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Path]:
    """A loop device of 8 MB of nothing."""
    image = tmp_path / "image"
    image.touch()
    os.truncate(image, 8 << 20)
    name = subprocess.run(["losetup", "--find", "--show", str(image)], check=True, capture_output=True, text=True).stdout.strip()
    yield Path(name)
    subprocess.run(["losetup", "--detach", name], check=True)


@pytest.mark.root
def test_pods_share_what_is_on_a_device_and_it_stays_when_they_go(tmp_path: Path, device: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"

    async def scenario() -> None:
        assert localdevice.is_device(device) and not localdevice.is_device(tmp_path)
        for place in (first, second, first):
            await localdevice.mount(volume(str(device)), place, readonly=False)
        (first / "kept").write_text("x")
        assert (second / "kept").read_text() == "x"
        assert mounts.mounts_below(first) == [first] and mounts.is_in_use(device)
        await localdevice.unmount(first)
        await localdevice.unmount(second)
        assert not first.exists() and not second.exists()
        await localdevice.mount(volume(str(device)), first, readonly=True)
        assert (first / "kept").read_text() == "x"
        with pytest.raises(OSError, match="Read-only file system"):
            (first / "more").touch()
        await localdevice.unmount(first)

    asyncio.run(scenario())
