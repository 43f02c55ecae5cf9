"""kubeconfig files: which server, whose credentials, which namespace; and writing them.

Source: client-go clientcmd. Not here: credential plugins (`exec`, `auth-provider`).
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from steersman.machinery import plainyaml
from steersman.machinery.meta import Obj

if TYPE_CHECKING:
    from steersman.client.http import HttpTransport, Pem

SERVICE_ACCOUNT_DIR = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_SECTIONS = {"clusters": "cluster", "users": "user", "contexts": "context"}
"""Lists of named things, and where in each the thing is."""


class KubeconfigError(ValueError):
    """The file can't be used; the message is one sentence for a person."""


class UnreadableError(KubeconfigError):
    """The file is no YAML, for a reason."""

    def __init__(self, path: Path, reason: ValueError) -> None:
        super().__init__(f"{path} is no valid kubeconfig: {reason}")
        self.path, self.reason = path, reason


@dataclass(frozen=True, slots=True)
class Connection:
    """What a context stands for."""

    server: str
    namespace: str = "default"
    ca: Pem | None = None
    cert: Pem | None = None
    key: Pem | None = None
    token: str = ""
    token_file: Path | None = None
    tls_server_name: str = ""
    insecure: bool = False
    context: str = ""

    def ca_pem(self) -> str:
        """The CA that the server's certificate is checked with; empty if none is named."""
        return self.ca.read_text() if isinstance(self.ca, Path) else (self.ca or b"").decode()

    def transport(self) -> HttpTransport:
        # Here, not above: reading a kubeconfig must not cost a command line the import of an HTTP client.
        from steersman.client.http import HttpTransport

        return HttpTransport(
            self.server,
            ca=self.ca,
            cert=self.cert,
            key=self.key,
            token=self.token,
            token_file=self.token_file,
            tls_server_name=self.tls_server_name,
            insecure=self.insecure,
        )


def default_paths(environ: Mapping[str, str] = os.environ) -> list[Path]:
    """$KUBECONFIG (a colon-separated list), else ~/.kube/config."""
    if listed := environ.get("KUBECONFIG"):
        return [Path(part) for part in listed.split(":") if part]
    return [Path(environ.get("HOME") or "/root") / ".kube" / "config"]


def read(*paths: Path) -> Obj:
    """The files as one configuration; what comes first wins. Missing files are skipped. File references become absolute."""
    merged: Obj = empty()
    for path in paths:
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            continue
        try:
            found = _parsed(text)
        except ValueError as error:
            raise UnreadableError(path, error) from error
        if found is None:
            continue
        if not isinstance(found, dict):
            raise KubeconfigError(f"{path} is no valid kubeconfig: it is no mapping")
        for section, inner in _SECTIONS.items():
            if not _is_section(found.get(section), inner):
                raise KubeconfigError(f"{path} is no valid kubeconfig: {section} are not as they should be")
        _make_absolute(found, path.parent)
        merged = merge(found, merged)
    return merged


def _is_section(value: object, inner: str) -> bool:
    """Whether it is a list of named things, or nothing."""
    if value is None:
        return True
    return isinstance(value, list) and all(isinstance(each, dict) and isinstance(each.get(inner) or {}, dict) for each in value)


def _parsed(text: bytes) -> object:
    """Most kubeconfigs are plain enough to be read without a YAML library, which a command line can't afford to load."""
    try:
        return plainyaml.load(text.decode())
    except ValueError:
        from steersman.machinery import yamlio

        return yamlio.load(text)


def empty() -> Obj:
    return {"apiVersion": "v1", "kind": "Config", "clusters": [], "users": [], "contexts": [], "current-context": ""}


def merge(into: Obj, first: Obj) -> Obj:
    """A new configuration with the entries of both; those of `first` win."""
    result = {**into, **{key: value for key, value in first.items() if value}}
    for section in _SECTIONS:
        mine = first.get(section) or []
        names = {entry.get("name") for entry in mine}
        result[section] = [*mine, *(entry for entry in into.get(section) or [] if entry.get("name") not in names)]
    return result


def write(path: Path, config: Obj) -> None:
    """Replace the file atomically; readable by its owner alone, since it holds keys."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as file:
        from steersman.machinery import yamlio

        file.write(yamlio.dump(config))
    os.replace(draft, path)


def merge_into(path: Path, config: Obj) -> None:
    """Add a configuration's entries to a file, replacing those of the same names; its current context becomes the file's."""
    write(path, merge(read(path), config))


def make(
    name: str,
    server: str,
    *,
    ca: bytes,
    cert: bytes = b"",
    key: bytes = b"",
    token: str = "",
    namespace: str = "",
    user: str = "",
) -> Obj:
    """A configuration of one cluster, one user and one context, all named `name` (the user `user`, if given)."""
    user = user or name
    credentials: Obj = {"token": token} if token else {}
    if cert:
        credentials["client-certificate-data"] = base64.b64encode(cert).decode()
        credentials["client-key-data"] = base64.b64encode(key).decode()
    context: Obj = {"cluster": name, "user": user}
    if namespace:
        context["namespace"] = namespace
    return {
        **empty(),
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": base64.b64encode(ca).decode()}}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": name, "context": context}],
        "current-context": name,
    }


def resolve(config: Obj, context: str = "") -> Connection:
    """The connection of a context, by default the current one."""
    context = context or str(config.get("current-context") or "")
    if not context:
        raise KubeconfigError("the kubeconfig has no current context")
    found = _entry(config, "contexts", "context", context)
    cluster = _entry(config, "clusters", "cluster", str(found.get("cluster") or ""))
    user = _entry(config, "users", "user", str(found["user"])) if found.get("user") else {}
    server = str(cluster.get("server") or "")
    if not server:
        raise KubeconfigError(f"the cluster of context {context!r} has no server")
    return Connection(
        server=server,
        namespace=str(found.get("namespace") or "default"),
        ca=_pem(cluster, "certificate-authority"),
        cert=_pem(user, "client-certificate"),
        key=_pem(user, "client-key"),
        token=str(user.get("token") or ""),
        token_file=Path(user["tokenFile"]) if user.get("tokenFile") else None,
        tls_server_name=str(cluster.get("tls-server-name") or ""),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        context=context,
    )


def in_cluster(environ: Mapping[str, str] = os.environ, directory: Path = SERVICE_ACCOUNT_DIR) -> Connection:
    """The connection a pod has by its service account. KubeconfigError outside of a pod."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise KubeconfigError("not in a cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set")
    netloc = f"[{host}]" if ":" in host else host
    namespace = directory / "namespace"
    return Connection(
        server=f"https://{netloc}:{port}",
        namespace=namespace.read_text().strip() if namespace.exists() else "default",
        ca=directory / "ca.crt",
        token_file=directory / "token",
    )


def load(path: Path | str, context: str = "") -> HttpTransport:
    """A transport for a file's context. KubeconfigError, or FileNotFoundError if there is no such file."""
    return connection(path, context).transport()


def connection(path: Path | str, context: str = "") -> Connection:
    """What a file's context stands for. KubeconfigError, or FileNotFoundError if there is no such file."""
    if not Path(path).exists():
        raise FileNotFoundError(f"there is no kubeconfig at {path}")
    return resolve(read(Path(path)), context)


def _entry(config: Obj, section: str, inner: str, name: str) -> Obj:
    for entry in config.get(section) or []:
        if entry.get("name") == name:
            found: Obj = entry.get(inner) or {}
            return found
    raise KubeconfigError(f"the kubeconfig has no {inner} {name!r}")


def _pem(section: Obj, field: str) -> Pem | None:
    """Inline data wins over a file, as in client-go."""
    if data := section.get(f"{field}-data"):
        try:
            return base64.b64decode(data, validate=True)
        except binascii.Error as error:
            raise KubeconfigError(f"{field}-data is not valid base64") from error
    return Path(section[field]) if section.get(field) else None


def _make_absolute(config: Obj, base: Path) -> None:
    """Paths in a kubeconfig are relative to the file, not to the working directory."""
    for section, inner, fields in (
        ("clusters", "cluster", ("certificate-authority",)),
        ("users", "user", ("client-certificate", "client-key", "tokenFile")),
    ):
        for entry in config.get(section) or []:
            for field in fields:
                if value := (entry.get(inner) or {}).get(field):
                    entry[inner][field] = str(base.absolute() / value)
