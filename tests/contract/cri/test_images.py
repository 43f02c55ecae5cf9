"""The contract of interface.ImageService against Debian's docker-registry on loopback; archives of both kinds."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import IO

import pytest
from tests.contract.cri.bench import Bench, shell
from tests.fakes import dockerregistry

from steersman.cri.interface import RuntimeFault
from steersman.cri.native import build
from steersman.cri.native.images import NativeImages
from steersman.cri.native.registries import Registries
from steersman.machinery.clock import RealClock

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, busybox: Path) -> Iterator[str]:
    """host:port of a registry that holds lib/busybox:1 (gzip) and lib/busybox:zstd."""
    with dockerregistry.serving(tmp_path_factory.mktemp("registry")) as address:
        repository = f"docker://{address}/lib/busybox"
        _skopeo("copy", f"oci-archive:{busybox}", f"{repository}:1")
        _skopeo("copy", "--dest-compress-format", "zstd", "--format", "oci", f"oci-archive:{busybox}", f"{repository}:zstd")
        yield address


def _skopeo(command: str, *arguments: str) -> str:
    tls = ["--dest-tls-verify=false", "--src-tls-verify=false"] if command == "copy" else ["--tls-verify=false"]
    done = subprocess.run(["skopeo", command, *tls, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _digest(image: str) -> str:
    return f"sha256:{hashlib.sha256(_skopeo('inspect', '--raw', f'docker://{image}').encode()).hexdigest()}"


def _tree(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


@pytest.mark.parametrize("tag", ["1", "zstd"])
def test_a_pulled_image_is_known_by_tag_digest_and_id(registry: str, tmp_path: Path, tag: str) -> None:
    async def scenario() -> None:
        images = NativeImages(str(tmp_path), RealClock())
        name = f"{registry}/lib/busybox"
        identity = await images.pull_image(f"{name}:{tag}")
        digest = _digest(f"{name}:{tag}")
        for reference in (f"{name}:{tag}", f"{name}@{digest}", identity, identity.removeprefix("sha256:")):
            image = await images.image_status(reference)
            assert image is not None
            assert (image.id, image.repo_tags, image.repo_digests) == (identity, (f"{name}:{tag}",), (f"{name}@{digest}",))
        assert await images.image_status(f"{name}:other") is None
        (layer,) = [path for path in (tmp_path / "layers").iterdir() if path.is_dir()]
        assert (layer / "bin" / "sh").is_symlink()
        assert _tree(tmp_path / "downloads") == []
        again = NativeImages(str(tmp_path), RealClock())
        assert await again.list_images() == await images.list_images()
        _, used, inodes = await again.image_fs()
        assert used > 1_000_000 and inodes > 100

    asyncio.run(scenario())


def test_a_pull_by_digest_needs_no_tag(registry: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        images = NativeImages(str(tmp_path), RealClock())
        name = f"{registry}/lib/busybox@{_digest(f'{registry}/lib/busybox:1')}"
        await images.pull_image(name)
        (image,) = await images.list_images()
        assert (image.repo_tags, image.repo_digests) == ((), (name,))

    asyncio.run(scenario())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for half of the image."""
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "steersman-test", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_fails_the_pull_leaves_no_half_image_and_room_mends_it(registry: str, small_disk: Path) -> None:
    async def scenario() -> None:
        images = NativeImages(str(small_disk), RealClock())
        for tag in ("1", "zstd"):
            with pytest.raises(RuntimeFault, match="failed to unpack image .*No space left on device") as caught:
                await images.pull_image(f"{registry}/lib/busybox:{tag}")
            assert caught.value.reason == "ErrImagePull"
            assert _tree(small_disk / "downloads") == [] and await images.list_images() == []
        subprocess.run(["mount", "-o", "remount,size=32m", str(small_disk)], check=True)
        await images.pull_image(f"{registry}/lib/busybox:1")
        (image,) = await images.list_images()
        assert image.repo_tags == (f"{registry}/lib/busybox:1",)

    asyncio.run(scenario())


def test_what_is_not_there_says_so(registry: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        images = NativeImages(str(tmp_path), RealClock())
        cases = {
            f"{registry}/lib/busybox:none": ("ErrImagePull", f"{registry}/lib/busybox:none: not found"),
            f"{registry}/nothing:1": ("ErrImagePull", "not found"),
            "127.0.0.1:1/x": ("RegistryUnavailable", "127.0.0.1:1"),
            "lib/UPPER": ("InvalidImageName", "lowercase"),
        }
        for name, (reason, text) in cases.items():
            with pytest.raises(RuntimeFault, match=text) as caught:
                await images.pull_image(name)
            assert caught.value.reason == reason, name
        assert await images.list_images() == []

    asyncio.run(scenario())


def test_a_mirror_answers_for_docker_hub(registry: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        mirrors = {
            "docker.io": {"endpoint": ["http://127.0.0.1:1", f"http://{registry}"], "rewrite": {"^library/(.*)": "lib/$1"}}
        }
        images = NativeImages(str(tmp_path), RealClock(), Registries(mirrors))
        await images.pull_image("busybox:1")
        image = await images.image_status("docker.io/library/busybox:1")
        assert image is not None and image.repo_tags == ("docker.io/library/busybox:1",)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "kind", ["application/vnd.oci.empty.v1+json", "application/vnd.cncf.helm.config.v1+json"], ids=["no config", "a chart"]
)
def test_an_artifact_is_pulled_as_its_files(registry: str, tmp_path: Path, kind: str) -> None:
    name = f"{registry}/lib/artifact:1"
    _push_artifact(name, kind, {"model.bin": b"weights", "conf/a.json": b"{}", "": b"nameless"})
    nameless = hashlib.sha256(b"nameless").hexdigest()

    async def scenario() -> None:
        images = NativeImages(str(tmp_path), RealClock())
        identity = await images.pull_image(name)
        assert identity == _digest(name)
        image = await images.image_status(name)
        assert image is not None and (image.id, image.size_bytes) == (identity, len(b"weights{}nameless"))
        layers = [path for path in (tmp_path / "layers").iterdir() if path.is_dir()]
        files = {
            str(path.relative_to(layer)): path.read_bytes() for layer in layers for path in layer.rglob("*") if path.is_file()
        }
        assert files == {"model.bin": b"weights", "conf/a.json": b"{}", nameless: b"nameless"}
        assert _tree(tmp_path / "downloads") == []
        assert await images.pull_image(name) == identity
        await images.remove_image(name)
        assert _tree(tmp_path / "layers") == _tree(tmp_path / "blobs" / "sha256") == []

    asyncio.run(scenario())


@pytest.mark.parametrize("title", ["../out", "/etc/passwd", "a//b", "."])
def test_a_file_of_an_artifact_stays_inside_it(registry: str, tmp_path: Path, title: str) -> None:
    name = f"{registry}/lib/evil:1"
    _push_artifact(name, "application/vnd.oci.empty.v1+json", {title: b"x"})

    async def scenario() -> None:
        with pytest.raises(RuntimeFault, match="which is no path inside it") as caught:
            await NativeImages(str(tmp_path), RealClock()).pull_image(name)
        assert caught.value.reason == "ErrImagePull"
        assert _tree(tmp_path / "layers") == []

    asyncio.run(scenario())


def _push_artifact(name: str, kind: str, files: Mapping[str, bytes]) -> None:
    """As `oras push` does; a file without a name has no title."""
    base, _, tag = name.rpartition(":")
    host, _, repository = base.partition("/")
    url = f"http://{host}/v2/{repository}"

    def blob(data: bytes, media_type: str, title: str = "") -> dict[str, object]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        with urllib.request.urlopen(urllib.request.Request(f"{url}/blobs/uploads/", method="POST", data=b"")) as answer:
            place = answer.headers["Location"]
        _put(f"{place}&digest={digest}", data, "application/octet-stream")
        annotations = {"annotations": {"org.opencontainers.image.title": title}} if title else {}
        return {"mediaType": media_type, "digest": digest, "size": len(data), **annotations}

    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(b"{}", kind),
        "layers": [blob(data, "application/octet-stream", title) for title, data in files.items()],
    }
    _put(f"{url}/manifests/{tag}", json.dumps(manifest).encode(), str(manifest["mediaType"]))


def _put(url: str, data: bytes, media_type: str) -> None:
    request = urllib.request.Request(url, method="PUT", data=data, headers={"Content-Type": media_type})
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 201


def test_pulls_at_once_share_their_layers(registry: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        images = NativeImages(str(tmp_path), RealClock())
        names = [f"{registry}/lib/busybox:1", f"{registry}/lib/busybox:zstd"] * 3
        identities = await asyncio.gather(*(images.pull_image(name) for name in names))
        # The same config, whichever way its layers are packed.
        assert len(set(identities)) == 1
        (image,) = await images.list_images()
        assert len(image.repo_tags) == 2
        assert len([name for name in _tree(tmp_path / "layers") if not name.endswith(".size")]) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive"])
def test_archives_of_both_kinds_can_be_loaded(busybox: Path, tmp_path: Path, kind: str) -> None:
    if not shutil.which("skopeo"):
        pytest.skip("needs skopeo")
    _skopeo("copy", f"oci-archive:{busybox}", f"{kind}:{tmp_path / 'image.tar'}:docker.io/library/other:v1")

    async def scenario() -> None:
        images = NativeImages(str(tmp_path / "state"), RealClock())
        assert await images.load(str(tmp_path / "image.tar")) == ["docker.io/library/other:v1"]
        image = await images.image_status("other:v1")
        assert image is not None and image.size_bytes > 1_000_000

    asyncio.run(scenario())


def test_an_archive_with_a_changed_layer_is_refused(busybox: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.tar"
    with tarfile.open(busybox) as source, tarfile.open(broken, "w") as target:
        biggest = max(member.size for member in source.getmembers())
        for member in source.getmembers():
            file: IO[bytes] | None = source.extractfile(member)
            if member.size == biggest:
                layer = build.layer_tar(build.Contents(text={"etc/evil": "x"}))
                member.size = len(layer)
                file = io.BytesIO(layer)
            target.addfile(member, file)

    async def scenario() -> None:
        images = NativeImages(str(tmp_path / "state"), RealClock())
        with pytest.raises(RuntimeFault, match="has digest"):
            await images.load(str(broken))
        with pytest.raises(RuntimeFault, match=r"cannot read image archive .*: it is no tar archive$"):
            await images.load(__file__)
        assert await images.list_images() == []
        assert _tree(tmp_path / "state" / "layers") == []

    asyncio.run(scenario())


def test_removing_an_image_spares_what_containers_stand_on(
    run_native: Callable[[Callable[[Bench], Awaitable[None]]], None],
) -> None:
    async def scenario(bench: Bench) -> None:
        state = bench.root / "state"
        async with bench.runtime() as runtime:
            sandbox, container = await bench.started(runtime, shell("sleep 100"))
            images = NativeImages(str(state), bench.clock)
            await images.remove_image("busybox")
            assert await images.list_images() == []
            assert json.loads((state / "index.json").read_text()) == {}
            result = await runtime.exec_sync(container, ["cat", "/etc/group"], 60)
            assert b"root" in result.stdout
            assert os.listdir(state / "blobs" / "sha256") == []
            await runtime.remove_pod_sandbox(sandbox)
            await images.sweep()
            assert os.listdir(state / "layers") == []
            await images.remove_image("busybox")

    run_native(scenario)
