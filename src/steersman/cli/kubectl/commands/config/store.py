"""The kubeconfig files behind `kubectl config`: read as one, each change written to the file that its entry came from.

Paths in them are kept as written. Source: client-go clientcmd (loader.go, config.go). Not here: connecting (client.kubeconfig).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError
from steersman.machinery import yamlio
from steersman.machinery.meta import Obj

SECTIONS = {"clusters": "cluster", "contexts": "context", "users": "user"}
"""Lists of named entries, and what an entry's content is called."""
_PATHS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
_ORDER = (
    "name", "cluster", "context", "user", "server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority",
    "certificate-authority-data", "proxy-url", "disable-compression", "client-certificate", "client-certificate-data",
    "client-key", "client-key-data", "token", "tokenFile", "as", "as-uid", "as-groups", "username", "password",
    "auth-provider", "exec", "namespace",
)  # fmt: skip


@dataclass(slots=True)
class Kubeconfig:
    """Sections by name, in the order of their names when written. `entries[section][name]`."""

    entries: dict[str, dict[str, Obj]] = field(default_factory=lambda: {section: {} for section in SECTIONS})
    current: str = ""
    preferences: Obj = field(default_factory=dict)

    def document(self) -> Obj:
        """As YAML has it. Sections without entries are null, as upstream writes them."""
        return {"kind": "Config", "apiVersion": "v1", "preferences": self.preferences} | {
            section: [{"name": name, SECTIONS[section]: _ordered(section, found[name])} for name in sorted(found)] or None
            for section in ("clusters", "users", "contexts")
            for found in [self.entries[section]]
        } | {"current-context": self.current}  # fmt: skip


class Store:
    """The files of --kubeconfig, $KUBECONFIG or ~/.kube/config."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = list(paths)
        self._files = {path: _read(path) for path in self._paths if path.exists()}

    @property
    def default(self) -> Path:
        """Where new entries go: the first file that exists, else the last that is named."""
        return next(iter(self._files), self._paths[-1])

    def folder_of(self, section: str, name: str) -> Path:
        """What paths of an entry are relative to."""
        return self._origin(section, name).parent

    def merged(self) -> Kubeconfig:
        """All files as one; what comes first wins."""
        made = Kubeconfig()
        for found in self._files.values():
            for section in SECTIONS:
                made.entries[section] = {**found.entries[section], **made.entries[section]}
            made.current = made.current or found.current
            made.preferences = {**found.preferences, **made.preferences}
        return made

    def put(self, section: str, name: str, content: Obj) -> None:
        path = self._origin(section, name)
        content = {key: _relative(value, path.parent) if key in _PATHS else value for key, value in content.items()}
        self._write(path, lambda found: found.entries[section].__setitem__(name, content))

    def remove(self, section: str, name: str) -> None:
        self._write(self._origin(section, name), lambda found: found.entries[section].pop(name, None))

    def set_current(self, name: str) -> None:
        path = next((path for path, found in self._files.items() if found.current), self.default)
        self._write(path, lambda found: setattr(found, "current", name))

    def set_preferences(self, preferences: Obj) -> None:
        self._write(self.default, lambda found: setattr(found, "preferences", preferences))

    def _origin(self, section: str, name: str) -> Path:
        return next((path for path, found in self._files.items() if name in found.entries[section]), self.default)

    def _write(self, path: Path, change: Any) -> None:
        from steersman.client import kubeconfig

        found = self._files.setdefault(path, Kubeconfig())
        change(found)
        kubeconfig.write(path, found.document())


def open_store(ctx: Context) -> Store:
    return Store(ctx.kubeconfig_paths)


def without_empty(content: Mapping[str, Any], kept: Sequence[str] = ()) -> Obj:
    """Fields that say nothing are left out."""
    return {key: value for key, value in content.items() if key in kept or value not in ("", None, False, [], {})}


def _ordered(section: str, content: Obj) -> Obj:
    kept = {"clusters": ("server",), "contexts": ("cluster", "user"), "users": ()}[section]
    made = without_empty({**dict.fromkeys(kept, ""), **content}, kept)
    if "exec" in made:
        plugin = without_empty({"command": "", **made["exec"]}, ("command", "env", "provideClusterInfo"))
        plugin.setdefault("env", None)
        plugin.setdefault("provideClusterInfo", False)
        order = ("command", "args", "env", "apiVersion", "installHint", "provideClusterInfo", "interactiveMode")
        made["exec"] = {key: plugin[key] for key in order if key in plugin}
    if made.get("auth-provider"):
        made["auth-provider"] = {"name": "", **made["auth-provider"]}
    return {key: made[key] for key in sorted(made, key=lambda key: (_place(key), key))}


def _relative(path: str, folder: Path) -> str:
    """Paths below the file's own folder are written from there, so that the folder can be moved."""
    if not path:
        return path
    below = os.path.relpath(path, folder.absolute()) if os.path.isabs(path) else path
    return path if below == ".." or below.startswith("../") else below


def _place(key: str) -> int:
    return _ORDER.index(key) if key in _ORDER else len(_ORDER)


def _read(path: Path) -> Kubeconfig:
    try:
        found = yamlio.load(path.read_bytes())
    except (ValueError, OSError) as error:
        why = os.strerror(error.errno or 0).lower() if isinstance(error, OSError) else str(error)
        raise KubectlError(f'error loading config file "{path}": {why}') from None
    made = Kubeconfig()
    if not isinstance(found, dict):
        return made
    for section, inner in SECTIONS.items():
        for entry in found.get(section) or ():
            made.entries[section].setdefault(str(entry.get("name") or ""), entry.get(inner) or {})
    made.current = str(found.get("current-context") or "")
    made.preferences = found.get("preferences") or {}
    return made
