"""Reading image manifests, indexes and configs: OCI image-spec v1 and Docker's schema 2. Pure."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from steersman.cri.interface import RuntimeFault
from steersman.cri.native.spec import ImageDefaults
from steersman.machinery.meta import Obj

INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
IMAGE_CONFIGS = ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")
MOST_LAYERS = 127
"""Their names must fit into the one page of options that mount(2) takes."""
_DEEPEST = 100
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


def bad(text: str) -> RuntimeFault:
    """What is wrong with an image, as the pod's event tells it."""
    return RuntimeFault(text, reason="ErrImagePull")


def document(data: bytes, what: str) -> Obj:
    """A JSON object. Raises RuntimeFault."""
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise bad(f"{what} is not JSON") from error
    if not isinstance(found, dict):
        raise bad(f"{what} is not an object")
    return found


def descriptor(entry: object, what: str = "a descriptor") -> Descriptor:
    """A descriptor of a manifest. Raises RuntimeFault; a digest must be SHA-256 in full."""
    if not isinstance(entry, dict):
        raise bad(f"{what} is not an object")
    digest, size = str(entry.get("digest", "")), entry.get("size", 0)
    algorithm, _, value = digest.partition(":")
    if algorithm != "sha256" or len(value) != 64 or set(value) - set("0123456789abcdef"):
        raise bad(f"unsupported digest {digest[:100]!r}")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise bad(f"{what} has the size {str(size)[:30]!r}")
    return Descriptor(digest, size, str(entry.get("mediaType", "")))


def is_index(manifest: Obj) -> bool:
    """Raises RuntimeFault for what could be read as either (CVE-2021-41190)."""
    index = manifest.get("mediaType") in INDEXES or ("manifests" in manifest and "layers" not in manifest)
    other = "layers" if index else "manifests"
    if other in manifest:
        raise bad(f"ambiguous manifest: {'an index' if index else 'an image manifest'} with {other}")
    return index


def choose_platform(index: Obj, machine: str = "") -> Descriptor:
    """The manifest of an index for this machine; among several the one whose variant fits. Raises RuntimeFault."""
    architecture, variant = _ARCHITECTURES.get(machine or platform.machine(), (machine or platform.machine(), ""))
    fitting = []
    for entry in _objects(index.get("manifests"), "manifests of an index"):
        wanted = entry.get("platform") or {}
        if entry.get("mediaType", MANIFESTS[0]) not in MANIFESTS + INDEXES or not isinstance(wanted, dict):
            continue
        if wanted.get("os", "linux") == "linux" and wanted.get("architecture", architecture) == architecture:
            fitting.append((wanted.get("variant", variant) != variant, entry))
    if not fitting:
        raise bad(f"no match for platform linux/{architecture} in manifest")
    return descriptor(min(fitting, key=lambda pair: pair[0])[1])


def layers_of(manifest: Obj) -> list[Descriptor]:
    """The layers of an image manifest, bottom first. Raises RuntimeFault for what is not a runnable image."""
    if manifest.get("schemaVersion") != 2 or not isinstance(manifest.get("config"), dict):
        raise bad("unsupported manifest: only schema 2 and OCI images can be run")
    kind = manifest.get("mediaType")
    if kind is not None and kind not in MANIFESTS:
        raise bad(f"unsupported manifest: media type {str(kind)[:100]!r}")
    layers = [descriptor(entry, "a layer") for entry in _objects(manifest.get("layers"), "layers of a manifest")]
    if len(layers) > MOST_LAYERS:
        raise bad(f"the image has {len(layers)} layers, which is more than {MOST_LAYERS}")
    return layers


def _objects(value: object, what: str) -> list[Obj]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise bad(f"{what} are not a list of objects")
    return value


def is_artifact(manifest: Obj) -> bool:
    """Files that are no image, and that cannot be run: its config is of a type of their own."""
    kind = (manifest.get("config") or {}).get("mediaType")
    return bool(kind) and kind not in IMAGE_CONFIGS


def file_names(manifest: Obj) -> list[str]:
    """Where the blobs of an artifact lie in it, in order: by their titles. Raises RuntimeFault."""
    names = []
    for entry in manifest.get("layers") or ():
        annotations = entry.get("annotations")
        title = annotations.get(_TITLE) if isinstance(annotations, dict) else None
        name = str(title or descriptor(entry).digest.removeprefix("sha256:"))
        parts = name.split("/")
        if any(part in ("", ".", "..") or len(part.encode()) > 255 for part in parts) or "\0" in name or len(parts) > _DEEPEST:
            raise bad(f"a file of the artifact has the title {name[:100]!r}, which is no path inside it")
        names.append(name)
    return names


def parse_config(data: bytes) -> Config:
    """An image config. Raises RuntimeFault."""
    config = document(data, "image config")
    run, root = (_mapping(config, key) for key in ("config", "rootfs"))
    diff_ids = _words(root, "diff_ids")
    for diff_id in diff_ids:
        descriptor({"digest": diff_id})
    return Config(
        ImageDefaults(
            entrypoint=_words(run, "Entrypoint"),
            command=_words(run, "Cmd"),
            env=_words(run, "Env"),
            working_dir=_word(run, "WorkingDir"),
            user=_word(run, "User"),
            stop_signal=_word(run, "StopSignal"),
        ),
        diff_ids,
    )


def _mapping(config: Obj, key: str) -> Mapping[str, object]:
    found = config.get(key)
    if found is not None and not isinstance(found, dict):
        raise bad(f"image config: {key} is not an object")
    return found or {}


def _words(values: Mapping[str, object], key: str) -> tuple[str, ...]:
    found = values.get(key)
    if found is not None and not isinstance(found, list):
        raise bad(f"image config: {key} is not a list of strings")
    for each in found or ():
        if not isinstance(each, str) or "\0" in each:
            raise bad(f"image config: {key} is not a list of strings")
    return tuple(found or ())


def _word(values: Mapping[str, object], key: str) -> str:
    found = values.get(key)
    if found is not None and (not isinstance(found, str) or "\0" in found):
        raise bad(f"image config: {key} is not a string")
    return found or ""
