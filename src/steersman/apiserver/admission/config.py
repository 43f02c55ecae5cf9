"""AdmissionConfiguration: the file of --admission-control-config-file, with a configuration for each plugin that takes one.

Source: upstream apiserver/pkg/admission/config.go. What a plugin's part means is the plugin's matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from steersman.apiserver.config import ConfigError
from steersman.apiserver.configfile import known_fields, objects, read_kind, read_object
from steersman.machinery.meta import Obj

_VERSIONS = ("apiserver.config.k8s.io/v1", "apiserver.k8s.io/v1alpha1")


def load(path: Path | None) -> Mapping[str, Obj]:
    """Plugin's name -> its configuration. Raises ConfigError, OSError."""
    if path is None:
        return {}
    document = known_fields(read_kind(path, "AdmissionConfiguration", _VERSIONS), "", ("apiVersion", "kind", "plugins"))
    found: dict[str, Obj] = {}
    for index, plugin in enumerate(objects(document.get("plugins"), "plugins")):
        known_fields(plugin, f"plugins[{index}]", ("name", "path", "configuration"))
        name, inline, file = plugin.get("name") or "", plugin.get("configuration"), plugin.get("path") or ""
        if not name:
            raise ConfigError(f"{path}: a plugin without a name")
        if inline is not None:
            found[name] = inline
        elif file:
            found[name] = read_object(path.parent / file)
    return found
