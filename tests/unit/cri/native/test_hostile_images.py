"""Images made to do harm: each is refused with one clear sentence, and nothing of it is left on the disk or outside."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import os
import tarfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from tests.fakes.registry import HERE, INDEX, MANIFEST, FakeRegistry, described, sha256

from steersman.cri.interface import RuntimeFault
from steersman.cri.native import build, files, layers, untar
from steersman.cri.native.images import NativeImages
from steersman.kubelet.images import ImageManager
from steersman.machinery.clock import RealClock
from steersman.machinery.meta import Obj

pytestmark = pytest.mark.root

Entry = tuple[tarfile.TarInfo, bytes]


def entry(name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"", **fields: Any) -> Entry:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.mode = kind, len(data), 0o755
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def link(name: str, target: str) -> Entry:
    return entry(name, tarfile.SYMTYPE, linkname=target)


def hard(name: str, target: str) -> Entry:
    return entry(name, tarfile.LNKTYPE, linkname=target)


def tar(*entries: Entry, form: Literal[0, 1, 2] = tarfile.PAX_FORMAT) -> bytes:
    """As they are told, whatever they say."""
    buffer = io.BytesIO()
    for info, data in entries:
        buffer.write(info.tobuf(form, errors="surrogateescape"))
        buffer.write(data + bytes(-len(data) % 512))
    return buffer.getvalue() + bytes(1024)


GOOD = build.layer_tar(build.Contents(text={"etc/hello": "x" * 100_000}))
LONG = tarfile.GNUTYPE_LONGNAME
SPARSE = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "s", "GNU.sparse.realsize": "1099511627776"}

LAYERS: dict[str, tuple[bytes, str]] = {
    "a path with dots": (tar(entry("../outside", data=b"x")), "path '../outside' leads outside"),
    "dots further in": (tar(entry("a/b/../../../outside", data=b"x")), "leads outside"),
    "an absolute path with dots": (tar(entry("/../../outside", data=b"x")), "leads outside"),
    "a directory of dots": (tar(entry("a/..", tarfile.DIRTYPE)), "leads outside"),
    "a hard link out": (tar(hard("a", "../outside")), "leads outside"),
    "a hard link to the host": (tar(hard("a", "/etc/passwd")), "which is not in this layer"),
    "a hard link through a link": (tar(link("l", "/etc"), hard("a", "l/passwd")), "l' is not a directory|is a dangling link"),
    "a hard link to a directory": (tar(entry("d", tarfile.DIRTYPE), hard("a", "d")), "which is a directory"),
    "a hard link to itself": (tar(hard("a", "a")), "which is not in this layer"),
    "a hard link to nothing": (tar(hard("a", "/")), "to nothing"),
    "a file through a link that dangles": (tar(link("l", "/nowhere"), entry("l/x", data=b"x")), "is a dangling link"),
    "a link to itself": (tar(link("l", "l"), entry("l/x", data=b"x")), "is not a directory"),
    "a link into /proc": (tar(link("l", "/proc/self/root"), entry("l/x", data=b"x")), "is a dangling link"),
    "a whiteout of the parent": (tar(entry("a/.wh...")), "whiteout"),
    "a whiteout of itself": (tar(entry("a/.wh..")), "whiteout"),
    "a device that hides": (tar(entry("a", tarfile.CHRTYPE, devmajor=0, devminor=0)), "which would hide a file"),
    "a device beyond numbers": (
        tar(entry("a", tarfile.BLKTYPE, devmajor=1 << 40, devminor=-1), form=tarfile.GNU_FORMAT), "which cannot be",
    ),
    "a negative size": (tar(entry("a", size=-512), form=tarfile.GNU_FORMAT), "negative|cannot be unpacked"),
    "an owner beyond numbers": (tar(entry("a", uid=1 << 40), form=tarfile.GNU_FORMAT), "belongs to 1099511627776:0"),
    "a negative owner": (tar(entry("a", gid=-1), form=tarfile.GNU_FORMAT), "belongs to 0:-1"),
    "a time that is none": (tar(entry("a", pax_headers={"mtime": "nan"})), "a header makes no sense"),
    "a time without end": (tar(entry("a", pax_headers={"mtime": "inf"})), "a header makes no sense"),
    "a path with a NUL": (tar(entry("a", pax_headers={"path": "a\0b"})), "leads outside"),
    "a link to a NUL": (tar(entry("a", tarfile.SYMTYPE, pax_headers={"linkpath": "a\0b"})), "a header makes no sense"),
    "a name that is too long": (tar(entry("a" * 300, data=b"x")), "File name too long"),
    "a path that is too deep": (tar(entry("a/" * 201 + "f", data=b"x")), "more than 200 names"),
    "a sparse file of a terabyte": (tar(entry("s", data=b"1\n0\n1\n" + bytes(506), pax_headers=SPARSE)), "holes of more than"),
    "headers that only announce others": (tar(*[entry("././@LongLink", LONG)] * 3000), "headers that only announce others"),
    "a header without end": (tar(entry("././@LongLink", LONG, bytes(30 << 20))), "headers of more than 8 MiB"),
    "a PAX header without end": (tar(entry("x", tarfile.XHDTYPE, bytes(30 << 20))), "headers of more than 8 MiB"),
    "an unknown kind": (tar(entry("a", b"Z", data=b"x")), "is of unknown type"),
    "half a layer": (GOOD[: len(GOOD) // 2], "cannot be unpacked: "),
    "no layer at all": (os.urandom(4096), "cannot be unpacked: "),
}  # fmt: skip


Scenario = Callable[[FakeRegistry, NativeImages], Awaitable[None]]


def play(tmp_path: Path, scenario: Scenario) -> None:
    async def whole() -> None:
        (tmp_path / "outside").write_text("untouched")
        async with FakeRegistry().serving() as registry:
            await scenario(registry, NativeImages(str(tmp_path / "state"), RealClock()))
        assert (tmp_path / "outside").read_text() == "untouched"

    asyncio.run(whole())


async def refused(registry: FakeRegistry, images: NativeImages, root: Path, text: str) -> None:
    """In one line, for a reason that the kubelet knows, and without leaving anything."""
    with pytest.raises(RuntimeFault, match=text) as caught:
        await images.pull_image(registry.image)
    said = str(caught.value)
    assert said.startswith("failed to ") and registry.image in said and "\n" not in said and len(said) < 700
    assert caught.value.reason == "ErrImagePull"
    assert await images.list_images() == []
    left = [path for place in ("layers", "downloads", "blobs/sha256") for path in (root / "state" / place).iterdir()]
    assert left == []


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_that_does_harm_is_refused(name: str, tmp_path: Path) -> None:
    layer, text = LAYERS[name]

    async def scenario(registry: FakeRegistry, images: NativeImages) -> None:
        registry.push([GOOD, layer])
        await refused(registry, images, tmp_path, text)

    play(tmp_path, scenario)


def test_links_that_lead_out_lead_nowhere_also_through_later_layers(tmp_path: Path) -> None:
    out = str(tmp_path)
    first = tar(
        link("abs", out), link("rel", "../" * 40 + out.lstrip("/")), link("state", f"{out}/state"), link("file", f"{out}/outside")
    )
    harm = [
        tar(entry("abs", tarfile.DIRTYPE), entry("abs/outside", data=b"changed")),
        tar(entry("rel", tarfile.DIRTYPE), entry("rel/.wh.outside"), entry("rel/.wh..wh..opq")),
        tar(link("abs", "."), entry("abs/.wh.outside"), entry("abs/.wh..wh..opq"), entry("abs/file", data=b"changed")),
        tar(entry(out.lstrip("/"), tarfile.DIRTYPE), link("l", out), hard("h", "l/outside2"), form=tarfile.GNU_FORMAT),
        tar(link("file", f"{out}/outside"), entry("file", data=b"changed")),
        tar(link("d", out), entry("d", tarfile.DIRTYPE, mode=0o7777, uid=7)),
    ]

    async def scenario(registry: FakeRegistry, images: NativeImages) -> None:
        before = tmp_path.stat()
        for layer in harm:
            registry.push([first, layer])
            try:
                await images.pull_image(registry.image)
            except RuntimeFault as fault:
                assert fault.reason == "ErrImagePull"
        after = tmp_path.stat()
        assert (before.st_mode, before.st_uid) == (after.st_mode, after.st_uid)
        assert "trusted.overlay.opaque" not in os.listxattr(tmp_path)

    play(tmp_path, scenario)


def test_setuid_and_devices_stay_and_nobody_but_root_gets_there(tmp_path: Path) -> None:
    async def scenario(registry: FakeRegistry, images: NativeImages) -> None:
        registry.push([tar(entry("su", data=b"#!", mode=0o6755), entry("disk", tarfile.BLKTYPE, devmajor=8, devminor=0))])
        await images.pull_image(registry.image)
        (layer,) = [path for path in (tmp_path / "state" / "layers").iterdir() if path.is_dir()]
        assert (layer / "su").stat().st_mode & 0o7777 == 0o6755
        assert (layer / "disk").stat().st_rdev == os.makedev(8, 0)
        for private in ("layers", "snapshots", "downloads"):
            assert (tmp_path / "state" / private).stat().st_mode & 0o777 == 0o700

    play(tmp_path, scenario)


def test_a_layer_that_unpacks_to_far_more_than_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "_UNSUSPICIOUS", 1 << 20)
    bombs = {
        "content": tar(entry("zeros", data=bytes(8 << 20))),
        "after the end": GOOD + bytes(8 << 20),
    }

    async def scenario(registry: FakeRegistry, images: NativeImages) -> None:
        for bomb in bombs.values():
            registry.push([bomb], packed=[gzip.compress(bomb)])
            await refused(registry, images, tmp_path, "it unpacks to more than 200 times its size")
        registry.push([bombs["content"]])
        await images.pull_image(registry.image)  # the same, not compressed, is what it says

    play(tmp_path, scenario)


def test_a_layer_of_too_many_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(untar, "MOST_ENTRIES", 20)

    async def scenario(registry: FakeRegistry, images: NativeImages) -> None:
        registry.push([tar(*[entry(f"f{number}") for number in range(21)])])
        await refused(registry, images, tmp_path, "more than 20 entries")

    play(tmp_path, scenario)


def _manifest(**changes: Any) -> Callable[[FakeRegistry], None]:
    return lambda registry: registry.push([GOOD], **changes)


def _raw(data: bytes) -> Callable[[FakeRegistry], None]:
    return lambda registry: registry.tag(data)


def _index(*entries: Any, **changes: Any) -> Callable[[FakeRegistry], None]:
    return _raw(json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": list(entries), **changes}).encode())


def _nested(depth: int) -> Callable[[FakeRegistry], None]:
    def push(registry: FakeRegistry) -> None:
        registry.push([GOOD])
        for _ in range(depth):
            inner = described(registry.contents["latest"], mediaType=INDEX, platform={"architecture": HERE, "os": "linux"})
            _index(inner)(registry)

    return push


SMALL = b"{}"
NOTHING = {"digest": sha256(b"nothing"), "size": 7}
DOCUMENTS: dict[str, tuple[Callable[[FakeRegistry], None], str]] = {
    "no JSON": (_raw(b"<html>"), "manifest is not JSON"),
    "a list": (_raw(b"[]"), "manifest is not an object"),
    "brackets": (_raw(b"[" * 100_000), "manifest is not JSON"),
    "an empty object": (_raw(SMALL), "unsupported manifest"),
    "schema 1": (_raw(json.dumps({"schemaVersion": 1, "fsLayers": []}).encode()), "unsupported manifest"),
    "more than 4 MiB": (_raw(b" " * (5 << 20)), "manifest latest is too large: more than 4 MiB"),
    "another media type": (_manifest(mediaType="text/plain"), "unsupported manifest: media type 'text/plain'"),
    "an index that is an image": (_index(layers=[]), "ambiguous manifest: an index with layers"),
    "an image that is an index": (_manifest(manifests=[]), "ambiguous manifest: an image manifest with manifests"),
    "layers that are no list": (_manifest(layers={"a": 1}), "layers of a manifest are not a list of objects"),
    "layers that are texts": (_manifest(layers=["a"]), "layers of a manifest are not a list of objects"),
    "a config that is a text": (_raw(json.dumps({"schemaVersion": 2, "config": "x"}).encode()), "unsupported manifest"),
    "a negative size": (_manifest(layers=[described(GOOD, size=-1)]), "a layer has the size '-1'"),
    "a size that is a text": (_manifest(layers=[described(GOOD, size="big")]), "a layer has the size 'big'"),
    "a size beyond the disk": (_manifest(layers=[described(GOOD, size=1 << 60)]), "No space left on device"),
    "a size that is too small": (_manifest(layers=[described(GOOD, size=7)]), "is longer than its manifest says"),
    "a size that is too large": (_manifest(layers=[described(GOOD, size=len(GOOD) + 1)]), "is shorter than its manifest says"),
    "a digest of another kind": (_manifest(layers=[described(GOOD, digest="md5:" + "0" * 32)]), "unsupported digest"),
    "a digest that is a path": (_manifest(layers=[described(GOOD, digest="sha256:../../x")]), "unsupported digest"),
    "a layer nobody has": (_manifest(layers=[NOTHING]), "not found"),
    "a config nobody has": (_raw(json.dumps({"schemaVersion": 2, "config": NOTHING}).encode()), "not found"),
    "more layers than diff ids": (_manifest(layers=[described(GOOD)] * 2), "do not fit together"),
    "more layers than can be mounted": (_manifest(layers=[described(GOOD)] * 200), "200 layers, which is more than 127"),
    "another diff id": (_manifest(config={"rootfs": {"diff_ids": [sha256(b"x")]}}), "layer has digest .*, expected"),
    "a config that is a list": (_manifest(config=[1]), "image config is not an object"),
    "a config in the config that is a list": (_manifest(config={"config": [1]}), "image config: config is not an object"),
    "diff ids that are numbers": (_manifest(config={"rootfs": {"diff_ids": [7]}}), "diff_ids is not a list of strings"),
    "diff ids that are paths": (_manifest(config={"rootfs": {"diff_ids": ["../x"]}}), "unsupported digest"),
    "an entrypoint that is a text": (_manifest(config={"config": {"Entrypoint": "sh"}}), "Entrypoint is not a list of strings"),
    "an environment of numbers": (_manifest(config={"config": {"Env": [7]}}), "Env is not a list of strings"),
    "a NUL in the environment": (_manifest(config={"config": {"Env": ["A=\0"]}}), "Env is not a list of strings"),
    "a user that is an object": (_manifest(config={"config": {"User": {}}}), "User is not a string"),
    "an index of texts": (_index("x"), "manifests of an index are not a list of objects"),
    "an empty index": (_index(), f"no match for platform linux/{HERE} in manifest"),
    "an index of other machines": (
        _index({**NOTHING, "mediaType": MANIFEST, "platform": {"os": "linux", "architecture": "sparc"}}),
        f"no match for platform linux/{HERE} in manifest",
    ),
    "a platform that is a text": (_index({**NOTHING, "platform": "x"}), "no match for platform"),
    "an index to nothing": (_index(NOTHING), "not found"),
    "indexes in indexes": (_nested(9), "indexes lie in each other more than 4 deep"),
}  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_manifest_or_config_that_makes_no_sense_is_refused(name: str, tmp_path: Path) -> None:
    push, text = DOCUMENTS[name]

    async def scenario(registry: FakeRegistry, images: NativeImages) -> None:
        push(registry)
        await refused(registry, images, tmp_path, text)

    play(tmp_path, scenario)


def test_an_index_in_an_index_is_followed_and_a_layer_may_come_twice(tmp_path: Path) -> None:
    async def scenario(registry: FakeRegistry, images: NativeImages) -> None:
        _nested(2)(registry)
        await images.pull_image(registry.image)
        other = build.layer_tar(build.Contents(text={"b": "b"}))
        registry.push([GOOD, other, GOOD])
        await images.pull_image(registry.image)
        found = images.find(registry.image)
        assert found is not None
        # Once: overlayfs refuses to have a directory twice below it.
        assert found.layer_dirs == tuple(sha256(layer).removeprefix("sha256:")[:24] for layer in (other, GOOD))

    play(tmp_path, scenario)


def test_the_pods_event_says_it_in_one_line(tmp_path: Path) -> None:
    events: list[tuple[str, str]] = []

    class Recorder:
        def event(self, about: Obj, type: str, reason: str, message: str, *, field_path: str = "") -> None:
            events.append((reason, message))

    async def scenario(registry: FakeRegistry, images: NativeImages) -> None:
        registry.push([tar(entry("../x", data=b"x"))])
        manager = ImageManager(images, Recorder(), RealClock())
        pod = {"metadata": {"uid": "u"}, "spec": {"containers": [{"name": "c"}]}}
        with pytest.raises(RuntimeFault) as caught:
            await manager.ensure(pod, {"name": "c", "image": registry.image}, [])
        assert caught.value.reason == "ErrImagePull"
        layer = sha256(tar(entry("../x", data=b"x")))
        why = f"failed to pull and unpack image '{registry.image}': layer {layer} cannot be unpacked: path '../x' leads outside"
        assert events[-1] == ("Failed", f'Failed to pull image "{registry.image}": {why}')

    play(tmp_path, scenario)


def test_a_tree_of_any_depth_can_be_removed(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    fd = os.open(top, os.O_RDONLY)
    for number in range(1200):
        os.mkdir("d", dir_fd=fd)
        if number % 500 == 0:
            os.symlink("/", "l", dir_fd=fd)
            os.mknod("f", dir_fd=fd)
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    files.remove_tree(str(top))
    assert not top.exists()
    files.remove_tree(str(top))
