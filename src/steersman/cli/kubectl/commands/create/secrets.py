"""`kubectl create secret`: generic, tls, docker-registry. Nothing here prints what a secret holds but `-o`."""

from __future__ import annotations

import base64
from pathlib import Path

import orjson

from steersman.cli.kubectl.command import Command
from steersman.cli.kubectl.commands.create import sources
from steersman.cli.kubectl.commands.create.generate import Wanted, generator, meta
from steersman.cli.kubectl.errors import KubectlError
from steersman.cli.kubectl.flags import Flag
from steersman.machinery.meta import Obj

_HERE = "steersman.cli.kubectl.commands.create.secrets:"
_FAILING = "failed to create secret "


def _secret(wanted: Wanted, kind: str, data: dict[str, bytes]) -> Obj:
    obj: Obj = {"apiVersion": "v1", "kind": "Secret", "metadata": meta(wanted.name)}
    if data:
        obj["data"] = {key: base64.b64encode(value).decode() for key, value in data.items()}
    if kind:
        obj["type"] = kind
    if wanted.flags.on("append-hash"):
        facts = {"kind": "Secret", "name": wanted.name, "data": obj.get("data"), "type": kind}
        obj["metadata"]["name"] = sources.hashed_name(obj, facts)
    return obj


def generic(wanted: Wanted) -> Obj:
    return _secret(wanted, wanted.flags.text("type"), sources.read(wanted.flags, "Secret", wanted.name))


def tls(wanted: Wanted) -> Obj:
    cert, key = wanted.flags.text("cert"), wanted.flags.text("key")
    if not cert or not key:
        raise KubectlError("key and cert must be specified")
    return _secret(wanted, "kubernetes.io/tls", {"tls.crt": _read(cert), "tls.key": _read(key)})


def docker_registry(wanted: Wanted) -> Obj:
    """The way `docker login` keeps credentials."""
    flags = wanted.flags
    kind = "kubernetes.io/dockerconfigjson"
    if flags.texts("from-file"):
        return _secret(wanted, kind, dict(_from_file(source) for source in flags.texts("from-file")))
    user, password, server = flags.text("docker-username"), flags.text("docker-password"), flags.text("docker-server")
    if not user or not password or not server:
        raise KubectlError(
            "either --from-file or the combination of --docker-username, --docker-password and --docker-server is required"
        )
    entry = {"username": user, "password": password}
    if email := flags.text("docker-email"):
        entry["email"] = email
    entry["auth"] = base64.b64encode(f"{user}:{password}".encode()).decode()
    return _secret(wanted, kind, {".dockerconfigjson": orjson.dumps({"auths": {server: entry}})})


def _from_file(source: str) -> tuple[str, bytes]:
    key, equals, path = source.partition("=")
    return (key, _read(path)) if equals else (".dockerconfigjson", _read(source))


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise KubectlError(f"Cannot read file {path}, open {path}: {(error.strerror or '').lower()}") from None


_APPEND_HASH = sources.FLAGS[0]

GENERIC = generator(
    "Create a secret based on a file, directory, or specified literal value.",
    "create secret generic NAME [--type=string] [--from-file=[key=]source] [--from-literal=key1=value1] [options]",
    generic,
    (*sources.FLAGS, Flag("type", help="The type of secret to create")),
    failing=_FAILING,
)
TLS = generator(
    "Create a TLS secret from the given public/private key pair.",
    "create secret tls NAME --cert=path/to/cert/file --key=path/to/key/file [options]",
    tls,
    (_APPEND_HASH, Flag("cert", help="Path to PEM encoded public key certificate."), Flag("key", help="Path to private key.")),
    failing=_FAILING,
)
DOCKER_REGISTRY = generator(
    "Create a new secret for use with Docker registries.",
    "create secret docker-registry NAME --docker-username=user --docker-password=password --docker-email=email [options]",
    docker_registry,
    (
        _APPEND_HASH,
        Flag("docker-email", help="Email for Docker registry"),
        Flag("docker-password", help="Password for Docker registry authentication"),
        Flag("docker-server", help="Server location for Docker registry", default="https://index.docker.io/v1/"),
        Flag("docker-username", help="Username for Docker registry authentication"),
        Flag("from-file", "strings", "A file with the credentials, in the form of ~/.docker/config.json."),
    ),
    failing=_FAILING,
)
SECRET = Command(
    "Create a secret with specified type.",
    "create secret (docker-registry | generic | tls) [options]",
    subcommands={"docker-registry": _HERE + "DOCKER_REGISTRY", "generic": _HERE + "GENERIC", "tls": _HERE + "TLS"},
)
