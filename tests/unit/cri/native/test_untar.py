"""Unpacking layers: nothing leads outside, whiteouts become overlayfs's, attributes survive."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from steersman.cri.native.untar import UnsafeArchive, unpack

pytestmark = pytest.mark.root


def entry(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    data = fields.pop("data", b"")
    assert isinstance(data, bytes)
    info = tarfile.TarInfo(name)
    info.type, info.size, info.mode = kind, len(data), 0o644
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def layer(*entries: tuple[tarfile.TarInfo, bytes]) -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data))
    buffer.seek(0)
    return buffer


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("untouched")
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


OUT = "../outside/secret"
ESCAPES: dict[str, Callable[[Path], list[tuple[tarfile.TarInfo, bytes]]]] = {
    "dots in a name": lambda root: [entry(OUT, data=b"x")],
    "dots further in": lambda root: [entry("a/../../outside/secret", data=b"x")],
    "a hard link out": lambda root: [entry("a", tarfile.LNKTYPE, linkname=OUT)],
    "a hard link to an absolute path": lambda root: [entry("a", tarfile.LNKTYPE, linkname=f"{root}/outside/secret")],
    "a whiteout of the parent": lambda root: [entry("a/.wh...")],
    "a device that hides": lambda root: [entry("a", tarfile.CHRTYPE, devmajor=0, devminor=0)],
    "a file where a directory should be": lambda root: [entry("a", data=b"x"), entry("a/b", data=b"x")],
}


@pytest.mark.parametrize("name", ESCAPES)
def test_an_archive_that_reaches_out_is_refused(name: str, target: Path) -> None:
    with pytest.raises(UnsafeArchive):
        unpack(layer(*ESCAPES[name](target.parent)), str(target))
    assert (target.parent / "outside" / "secret").read_text() == "untouched"


@pytest.mark.parametrize("link", ["../outside", "/outside", "{root}/outside", "../../../../../../{root}/outside"])
def test_links_are_followed_inside_only(link: str, target: Path) -> None:
    where = link.format(root=target.parent)
    archive = layer(
        entry("way", tarfile.SYMTYPE, linkname=where),
        entry("outside/", tarfile.DIRTYPE, mode=0o755),
        entry("outside/secret", data=b"inside"),
    )
    unpack(archive, str(target))
    assert os.readlink(target / "way") == where
    # Writing through the link may fail (a dangling link inside) or land inside; never outside.
    try:
        unpack(layer(entry("way/secret", data=b"changed"), entry("way/.wh.secret")), str(target))
    except UnsafeArchive:
        pass
    assert (target.parent / "outside" / "secret").read_text() == "untouched"


def test_a_link_is_replaced_not_written_through(target: Path) -> None:
    unpack(layer(entry("f", tarfile.SYMTYPE, linkname=OUT), entry("f", data=b"new", mode=0o600)), str(target))
    assert (target / "f").read_text() == "new" and not (target / "f").is_symlink()
    assert (target.parent / "outside" / "secret").read_text() == "untouched"


def test_a_directory_can_become_a_file_and_back(target: Path) -> None:
    first = [entry("d/", tarfile.DIRTYPE), entry("d/x", data=b"1"), entry("d", data=b"file")]
    unpack(layer(*first), str(target))
    assert (target / "d").read_text() == "file"
    unpack(layer(entry("d/", tarfile.DIRTYPE, mode=0o755), entry("d/y", data=b"2")), str(target))
    assert (target / "d" / "y").read_text() == "2"


def test_whiteouts_become_overlayfs_own(target: Path) -> None:
    unpack(
        layer(entry("etc/.wh.gone"), entry("var/.wh..wh..opq"), entry("var/new", data=b"x"), entry(".wh..wh.plnk")), str(target)
    )
    gone = (target / "etc" / "gone").lstat()
    assert stat.S_ISCHR(gone.st_mode) and gone.st_rdev == 0
    assert os.getxattr(target / "var", "trusted.overlay.opaque") == b"y"
    assert sorted(path.name for path in target.iterdir()) == ["etc", "var"]


def test_attributes_survive(target: Path) -> None:
    headers = {"SCHILY.xattr.user.mime": "text/plain", "SCHILY.xattr.trusted.overlay.opaque": "y"}
    capability = b"\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    headers["SCHILY.xattr.security.capability"] = capability.decode("utf-8", "surrogateescape")
    unpack(
        layer(
            entry("./", tarfile.DIRTYPE, mode=0o750, uid=7),
            entry("bin/", tarfile.DIRTYPE, mode=0o1777, mtime=1_000_000_000),
            entry("bin/su", data=b"#!", mode=0o4755, uid=5, gid=6, mtime=1_234_567_890, pax_headers=headers),
            entry("bin/su2", tarfile.LNKTYPE, linkname="bin/su"),
            entry("pipe", tarfile.FIFOTYPE, mode=0o600),
            entry("null", tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666),
        ),
        str(target),
    )
    assert (stat.S_IMODE(target.stat().st_mode), target.stat().st_uid) == (0o750, 7)
    found = (target / "bin" / "su").stat()
    assert (found.st_mode, found.st_uid, found.st_gid, found.st_mtime) == (0o104755, 5, 6, 1_234_567_890)
    assert found.st_ino == (target / "bin" / "su2").stat().st_ino
    directory = (target / "bin").stat()
    assert (stat.S_IMODE(directory.st_mode), directory.st_mtime) == (0o1777, 1_000_000_000)
    names = os.listxattr(target / "bin" / "su")
    assert "trusted.overlay.opaque" not in names
    assert os.getxattr(target / "bin" / "su", "security.capability") == capability
    assert stat.S_ISFIFO((target / "pipe").stat().st_mode)
    assert (target / "null").stat().st_rdev == os.makedev(1, 3)
