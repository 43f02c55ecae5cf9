"""registries.yaml, in k3s's format: where images really come from, and how to get in. Pure but for reading the file.

mirrors:
  docker.io: {endpoint: ["https://mirror:5000"], rewrite: {"^library/(.*)": "cache/$1"}}
  "*": {endpoint: [...]}
configs:
  "mirror:5000": {auth: {username, password}, tls: {ca_file, cert_file, key_file, insecure_skip_verify}}

An auth may also be {auth: <base64 of user:password>} or {identity_token}.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from steersman.cri.interface import RuntimeFault
from steersman.cri.messages import RegistryAuth
from steersman.cri.native.reference import Reference
from steersman.machinery import yamlio
from steersman.machinery.meta import Obj

_DOCKER_HOST = "registry-1.docker.io"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One place to ask for a repository. `base`: URL up to the repository's path, without a slash at the end."""

    base: str
    host: str
    path: str
    mirror_of: str = ""
    """The registry it stands in for; asked with ?ns= as containerd does."""


@dataclass(frozen=True, slots=True)
class Registries:
    """The configuration; empty means: every registry is its own, loopback ones over plain HTTP."""

    mirrors: Mapping[str, Obj] = field(default_factory=dict)
    configs: Mapping[str, Obj] = field(default_factory=dict)

    def endpoints(self, reference: Reference) -> list[Endpoint]:
        """Where to ask, in order: the mirrors, then the registry itself."""
        mirror = self.mirrors.get(reference.domain) or self.mirrors.get("*") or {}
        path = reference.path
        for pattern, replacement in (mirror.get("rewrite") or {}).items():
            if re.search(pattern, path):
                path = re.sub(pattern, re.sub(r"\$(\d+)", r"\\\1", replacement), path)
                break
        found = []
        for url in mirror.get("endpoint") or ():
            parts = urlsplit(url if "://" in url else f"https://{url}")
            prefix = parts.path.rstrip("/") or "/v2"
            found.append(Endpoint(f"{parts.scheme}://{parts.netloc}{prefix}", parts.netloc, path, reference.domain))
        host = _DOCKER_HOST if reference.domain == "docker.io" else reference.domain
        scheme = "http" if is_loopback(host) else "https"
        found.append(Endpoint(f"{scheme}://{host}/v2", host, reference.path))
        return found

    def _config(self, host: str) -> Obj:
        names = [host, "docker.io"] if host == _DOCKER_HOST else [host]
        return next((self.configs[name] for name in names if name in self.configs), {})

    def auth(self, host: str) -> RegistryAuth:
        """What is configured for a host; empty if nothing is."""
        auth = self._config(host).get("auth") or {}
        username, password = str(auth.get("username") or ""), str(auth.get("password") or "")
        if auth.get("auth"):
            try:
                username, _, password = base64.b64decode(auth["auth"]).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError) as error:
                raise RuntimeFault(f"registries: auth of {host} is not base64 of user:password") from error
        return RegistryAuth(username, password, str(auth.get("identity_token") or ""))

    def tls(self, host: str) -> ssl.SSLContext:
        """How to trust a host. Raises RuntimeFault for files that cannot be read."""
        tls = self._config(host).get("tls") or {}
        try:
            context = ssl.create_default_context(cafile=tls.get("ca_file") or None)
            if tls.get("cert_file"):
                context.load_cert_chain(tls["cert_file"], tls.get("key_file"))
        except OSError as error:
            raise RuntimeFault(f"registries: tls of {host}: {error}") from error
        if tls.get("insecure_skip_verify"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def load(path: str) -> Registries:
    """The configuration of a file; a missing file is an empty one. Raises RuntimeFault for one that cannot be understood."""
    try:
        with open(path, "rb") as file:
            document = yamlio.load(file.read()) or {}
    except FileNotFoundError:
        return Registries()
    except ValueError as error:
        raise RuntimeFault(f"registries: {path}: {error}") from error
    if not isinstance(document, dict):
        raise RuntimeFault(f"registries: {path}: not a mapping")
    return Registries(document.get("mirrors") or {}, document.get("configs") or {})


def is_loopback(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
