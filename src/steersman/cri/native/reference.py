"""Image references: `busybox`, `localhost:5000/app:v1`, `ghcr.io/x/y@sha256:...`, with Docker's defaults filled in.

Source: distribution/reference (grammar, familiar names).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from steersman.cri.interface import RuntimeFault

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_DOMAIN = re.compile(r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_DOCKER = "docker.io"


@dataclass(frozen=True, slots=True)
class Reference:
    """A full reference. With a digest the tag says nothing about content and is left out of `str`."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def repository(self) -> str:
        return f"{self.domain}/{self.path}"

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.tag}"


def parse(text: str) -> Reference:
    """The reference; `latest` when neither tag nor digest is given. Raises RuntimeFault(reason='InvalidImageName')."""
    rest, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise _invalid(text, "invalid digest")
    name, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        name, tag = rest, ""
    elif not _TAG.fullmatch(tag):
        raise _invalid(text, "invalid tag")
    first, slash, path = name.partition("/")
    if not slash or not (set(first) & set(".:[") or first == "localhost" or first != first.lower()):
        first, path = _DOCKER, name
    if first in ("index.docker.io", _DOCKER):
        first = _DOCKER
        path = path if "/" in path else f"library/{path}"
    if not _DOMAIN.fullmatch(first) or not _PATH.fullmatch(path):
        raise _invalid(text, "repository name must be lowercase" if path != path.lower() else "invalid reference format")
    if not path or len(path) > 255:
        raise _invalid(text, "repository name must not be empty or longer than 255 characters")
    return Reference(first, path, tag if tag or digest else "latest", digest)


def _invalid(text: str, why: str) -> RuntimeFault:
    return RuntimeFault(f"couldn't parse image name {text!r}: {why}", reason="InvalidImageName")
