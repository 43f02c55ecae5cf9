"""Which server and whose credentials: a kubeconfig with what the command line says instead. Source: clientcmd overrides."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from steersman.cli.kubectl.errors import PlainError, file_problem
from steersman.cli.kubectl.flags import Flags
from steersman.client import kubeconfig
from steersman.client.kubeconfig import Connection
from steersman.machinery.meta import Obj

if TYPE_CHECKING:
    from typing import Any

    from steersman.client.http import HttpTransport

FALLBACK_SERVER = "http://localhost:8080"
"""Where kubectl looks when nothing says where the server is."""


class Target(NamedTuple):
    """Where requests go: `context` and `user` are the kubeconfig's names for it."""

    at: Connection
    user: str = ""

    @property
    def server(self) -> str:
        return self.at.server

    @property
    def namespace(self) -> str:
        return self.at.namespace

    def transport(self) -> HttpTransport:
        return self.at.transport()


def target(config: Obj, flags: Flags) -> Target:
    """Raises PlainError with clientcmd's words."""
    context_name = flags.text("context") or str(config.get("current-context") or "")
    context = _named(config, "contexts", "context", context_name)
    if context is None and flags.text("context"):
        raise PlainError(f"Error in configuration: context was not found for specified context: {context_name}")
    cluster_name = flags.text("cluster") or str((context or {}).get("cluster") or "")
    user_name = flags.text("user") or str((context or {}).get("user") or "")
    cluster = _entry(config, "clusters", "cluster", cluster_name, flags.text("cluster"))
    user = _entry(config, "users", "user", user_name, flags.text("user"))
    nothing = not (cluster or flags.text("server"))
    if nothing and os.environ.get("KUBERNETES_SERVICE_HOST") and kubeconfig.SERVICE_ACCOUNT_DIR.exists():
        return Target(kubeconfig.in_cluster())
    cluster, user = _overridden_cluster(cluster, flags), _overridden_user(user, flags)
    _check_files(cluster, cluster_name, ("certificate-authority",))
    _check_files(user, user_name, ("client-certificate", "client-key"))
    made = {
        "clusters": [{"name": "used", "cluster": cluster}],
        "users": [{"name": "used", "user": user}],
        "contexts": [{"name": "used", "context": {**(context or {}), "cluster": "used", "user": "used"}}],
    }
    try:
        return Target(replace(kubeconfig.resolve(made, "used"), context=context_name), user_name)
    except kubeconfig.KubeconfigError as error:
        raise PlainError(f"error: {error}") from None


def _check_files(entry: dict[str, Any], name: str, fields: tuple[str, ...]) -> None:
    """PlainError for a file that is named and can't be read."""
    for field in fields:
        path = entry.get(field)
        if path and not entry.get(f"{field}-data"):
            try:
                open(path, "rb").close()
            except OSError as error:
                what = field.replace("certificate", "cert") if field.startswith("client") else field
                raise PlainError(f"error: unable to read {what} {path} for {name} due to {file_problem(error)}") from None


def _overridden_cluster(cluster: dict[str, Any], flags: Flags) -> dict[str, Any]:
    made = dict(cluster)
    if server := flags.text("server"):
        made["server"] = server if "://" in server else f"http://{server}"
    made["server"] = made.get("server") or FALLBACK_SERVER
    if ca := flags.text("certificate-authority"):
        made.pop("certificate-authority-data", None)
        made["certificate-authority"] = str(Path(ca).absolute())
    if flags.changed("insecure-skip-tls-verify"):
        made["insecure-skip-tls-verify"] = flags.on("insecure-skip-tls-verify")
    if made.get("insecure-skip-tls-verify"):
        made.pop("certificate-authority", None)
        made.pop("certificate-authority-data", None)
    if name := flags.text("tls-server-name"):
        made["tls-server-name"] = name
    return made


def _overridden_user(user: dict[str, Any], flags: Flags) -> dict[str, Any]:
    made = dict(user)
    if token := flags.text("token"):
        made.pop("tokenFile", None)
        made["token"] = token
    for name in ("client-certificate", "client-key"):
        if path := flags.text(name):
            made.pop(f"{name}-data", None)
            made[name] = str(Path(path).absolute())
    return made


def _entry(config: Obj, section: str, inner: str, name: str, asked: str) -> dict[str, Any]:
    found = _named(config, section, inner, name)
    if found is None and asked:
        what = f'no server found for cluster "{asked}"' if inner == "cluster" else f'auth info "{asked}" does not exist'
        raise PlainError(f"error: {what}")
    return found or {}


def _named(config: Obj, section: str, inner: str, name: str) -> dict[str, Any] | None:
    for entry in config.get(section) or []:
        if entry.get("name") == name:
            found: dict[str, Any] = entry.get(inner) or {}
            return found
    return None
