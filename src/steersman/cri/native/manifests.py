"""Reading image manifests, indexes and configs: OCI image-spec v1 and Docker's schema 2. Pure."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from steersman.cri.interface import RuntimeFault
from steersman.cri.native.spec import ImageDefaults
from steersman.machinery.meta import Obj

INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
IMAGE_CONFIGS = ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")
_TITLE = "org.opencontainers.image.title"
_ARCHITECTURES = {"x86_64": ("amd64", ""), "aarch64": ("arm64", "v8"), "armv7l": ("arm", "v7")}


@dataclass(frozen=True, slots=True)
class Descriptor:
    digest: str
    size: int
    media_type: str


@dataclass(frozen=True, slots=True)
class Config:
    """An image's config: how to run it, and its layers by diff id, bottom first."""

    defaults: ImageDefaults
    diff_ids: tuple[str, ...]


def document(data: bytes, what: str) -> Obj:
    """A JSON object. Raises RuntimeFault."""
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise RuntimeFault(f"{what} is not JSON", reason="ErrImagePull") from error
    if not isinstance(found, dict):
        raise RuntimeFault(f"{what} is not an object", reason="ErrImagePull")
    return found


def descriptor(entry: Obj) -> Descriptor:
    """A descriptor of a manifest. Raises RuntimeFault; a digest must be SHA-256 in full."""
    digest = str(entry.get("digest", ""))
    algorithm, _, value = digest.partition(":")
    if algorithm != "sha256" or len(value) != 64 or set(value) - set("0123456789abcdef"):
        raise RuntimeFault(f"unsupported digest {digest!r}", reason="ErrImagePull")
    return Descriptor(digest, int(entry.get("size", 0)), str(entry.get("mediaType", "")))


def is_index(manifest: Obj) -> bool:
    return manifest.get("mediaType") in INDEXES or ("manifests" in manifest and "layers" not in manifest)


def choose_platform(index: Obj, machine: str = "") -> Descriptor:
    """The manifest of an index for this machine; among several the one whose variant fits. Raises RuntimeFault."""
    architecture, variant = _ARCHITECTURES.get(machine or platform.machine(), (machine or platform.machine(), ""))
    entries = [entry for entry in index.get("manifests") or () if entry.get("mediaType", MANIFESTS[0]) in MANIFESTS + INDEXES]
    fitting = []
    for entry in entries:
        wanted = entry.get("platform") or {}
        if wanted.get("os", "linux") == "linux" and wanted.get("architecture", architecture) == architecture:
            fitting.append((wanted.get("variant", variant) != variant, entry))
    if not fitting:
        raise RuntimeFault(f"no match for platform linux/{architecture} in manifest", reason="ErrImagePull")
    return descriptor(min(fitting, key=lambda pair: pair[0])[1])


def layers_of(manifest: Obj) -> list[Descriptor]:
    """The layers of an image manifest, bottom first. Raises RuntimeFault for what is not a runnable image."""
    if manifest.get("schemaVersion") != 2 or "config" not in manifest:
        raise RuntimeFault("unsupported manifest: only schema 2 and OCI images can be run", reason="ErrImagePull")
    return [descriptor(entry) for entry in manifest.get("layers") or ()]


def is_artifact(manifest: Obj) -> bool:
    """Files that are no image, and that cannot be run: its config is of a type of their own."""
    kind = (manifest.get("config") or {}).get("mediaType")
    return bool(kind) and kind not in IMAGE_CONFIGS


def file_names(manifest: Obj) -> list[str]:
    """Where the blobs of an artifact lie in it, in order: by their titles. Raises RuntimeFault."""
    names = []
    for entry in manifest.get("layers") or ():
        name = str((entry.get("annotations") or {}).get(_TITLE) or descriptor(entry).digest.removeprefix("sha256:"))
        if any(part in ("", ".", "..") for part in name.split("/")):
            raise RuntimeFault(
                f"a file of the artifact has the title {name!r}, which is no path inside it", reason="ErrImagePull"
            )
        names.append(name)
    return names


def parse_config(data: bytes) -> Config:
    """An image config. Raises RuntimeFault."""
    config = document(data, "image config")
    run: Mapping[str, object] = config.get("config") or {}
    diff_ids = (config.get("rootfs") or {}).get("diff_ids") or ()
    for diff_id in diff_ids:
        descriptor({"digest": diff_id})
    return Config(
        ImageDefaults(
            entrypoint=_words(run.get("Entrypoint")),
            command=_words(run.get("Cmd")),
            env=_words(run.get("Env")),
            working_dir=str(run.get("WorkingDir") or ""),
            user=str(run.get("User") or ""),
            stop_signal=str(run.get("StopSignal") or ""),
        ),
        tuple(diff_ids),
    )


def _words(value: object) -> tuple[str, ...]:
    return tuple(str(word) for word in value) if isinstance(value, Sequence) and not isinstance(value, str) else ()
