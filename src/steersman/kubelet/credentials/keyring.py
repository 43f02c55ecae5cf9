"""Credentials by the places they are for, and which of them fit an image. Pure.

A place is what stands before an entry of a Docker configuration, or what a credential provider is for: `host[:port][/path]`,
where parts of the host may be patterns (`*.dkr.ecr.*.amazonaws.com`). Source: upstream pkg/credentialprovider/keyring.go.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from steersman.cri.messages import RegistryAuth
from steersman.machinery.meta import Obj

log = logging.getLogger(__name__)

_HUB = "docker.io"
_HUB_NAMES = (_HUB, "index.docker.io", "registry-1.docker.io")


def repository(image: str) -> str:
    """The image's name in full, without tag and digest: `docker.io/library/busybox` of `busybox:1`."""
    name = image.partition("@")[0]
    head, colon, tag = name.rpartition(":")
    if colon and "/" not in tag:
        name = head
    host, slash, path = name.partition("/")
    if not slash or not (set(host) & set(".:") or host == "localhost"):
        host, path = _HUB, name
    if host in _HUB_NAMES[:2]:
        host, path = _HUB, path if "/" in path else f"library/{path}"
    return f"{host}/{path}"


def split(place: str) -> tuple[list[str], str, str]:
    """(parts of the host, port, path). Raises ValueError for what is no place."""
    host, slash, path = place.partition("/")
    if not host or any(letter in place for letter in " \t\n\\?#"):
        raise ValueError(f'"{place}" is not HOST[:PORT][/PATH]')
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        name, port = host, ""
    if colon and not host.endswith("]") and not port.isdecimal():
        raise ValueError(f'"{place}" has the port "{port}", which is no number')
    return name.split("."), port, f"{slash}{path}"


def matches(place: str, image: str) -> bool:
    """Whether the image's repository lies there: as many parts in the host, each fitting its pattern; the same port; below the
    path."""
    try:
        (parts, port, path), (found, found_port, found_path) = split(place), split(image)
    except ValueError:
        return False
    return (
        len(parts) == len(found)
        and port == found_port
        and found_path.startswith(path)
        and all(fnmatchcase(part, pattern.replace("[^", "[!")) for pattern, part in zip(parts, found))
    )


class Keyring:
    """Credentials by place."""

    def __init__(self) -> None:
        self._by_place: dict[str, list[RegistryAuth]] = {}

    def add(self, place: str, auth: RegistryAuth) -> None:
        place = place.partition("://")[2] or place
        host, slash, path = place.partition("/")
        for version in ("v1/", "v2/"):  # as Docker writes its own registry
            if f"{path}/".startswith(version):
                path = path.removeprefix(version.rstrip("/")).lstrip("/")
        self._by_place.setdefault(f"{host}{slash}{path}".rstrip("/"), []).append(auth)

    def lookup(self, image: str) -> list[RegistryAuth]:
        """Those for the image, of the most particular place first."""
        wanted = repository(image)
        fitting = [place for place in sorted(self._by_place, reverse=True) if matches(place, wanted)]
        if not fitting and wanted.startswith(f"{_HUB}/"):
            fitting = [place for place in self._by_place if place in _HUB_NAMES]
        return [auth for place in fitting for auth in self._by_place[place]]


def of_entry(entry: Obj) -> RegistryAuth:
    """An entry of a Docker configuration. Raises ValueError."""
    user, password = entry.get("username") or "", entry.get("password") or ""
    if entry.get("auth"):
        user, colon, password = base64.b64decode("".join(entry["auth"].split()), validate=True).decode().partition(":")
        if not colon:
            raise ValueError("auth is not user:password")
    return RegistryAuth(user, password, entry.get("identitytoken") or "", entry.get("registrytoken") or "")


def of_secrets(secrets: Iterable[Obj]) -> Keyring:
    """What is in pull secrets. One that is malformed is passed over."""
    keyring = Keyring()
    for secret in secrets:
        try:
            for place, entry in _auths(secret.get("data") or {}).items():
                keyring.add(place, of_entry(entry))
        except (ValueError, AttributeError, TypeError) as error:
            log.warning("image pull secret is malformed error=%s", type(error).__name__)
    return keyring


def _auths(data: Obj) -> Mapping[str, Obj]:
    if ".dockerconfigjson" in data:
        return json.loads(base64.b64decode(data[".dockerconfigjson"])).get("auths") or {}
    return json.loads(base64.b64decode(data[".dockercfg"])) if ".dockercfg" in data else {}
