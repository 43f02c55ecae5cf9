"""`kubectl create configmap`."""

from __future__ import annotations

import base64

from steersman.cli.kubectl.commands.create import sources
from steersman.cli.kubectl.commands.create.generate import Wanted, generator, meta
from steersman.machinery.meta import Obj


def config_map(wanted: Wanted) -> Obj:
    """What is no UTF-8 goes into binaryData."""
    obj: Obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta(wanted.name)}
    for key, value in sources.read(wanted.flags, "ConfigMap", wanted.name).items():
        try:
            obj.setdefault("data", {})[key] = value.decode()
        except UnicodeDecodeError:
            obj.setdefault("binaryData", {})[key] = base64.b64encode(value).decode()
    if not obj.get("data"):
        obj.pop("data", None)
    if wanted.flags.on("append-hash"):
        facts = {"kind": "ConfigMap", "name": wanted.name, "data": obj.get("data", {})}
        if "binaryData" in obj:
            facts["binaryData"] = obj["binaryData"]
        obj["metadata"]["name"] = sources.hashed_name(obj, facts)
    return obj


CONFIG_MAP = generator(
    "Create a config map based on a file, directory, or specified literal value.",
    "create configmap NAME [--from-file=[key=]source] [--from-literal=key1=value1] [--dry-run=server|client|none] [options]",
    config_map,
    sources.FLAGS,
    failing="failed to create configmap: ",
)
