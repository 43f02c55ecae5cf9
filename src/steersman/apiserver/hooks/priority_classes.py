"""The two system priority classes (upstream registry/scheduling/rest, KEP-268)."""

from __future__ import annotations

from steersman.api.resources import PRIORITY_CLASSES
from steersman.apiserver.hooks.ensure import ensure as ensure_objects
from steersman.client.interface import Client
from steersman.machinery.meta import Obj

_CLASSES = {
    "system-node-critical": (
        2000001000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
    "system-cluster-critical": (
        2000000000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
}


async def ensure(client: Client) -> None:
    await ensure_objects(client, PRIORITY_CLASSES, [_class(name, *what) for name, what in _CLASSES.items()])


def _class(name: str, value: int, description: str) -> Obj:
    return {
        "apiVersion": PRIORITY_CLASSES.api_version,
        "kind": PRIORITY_CLASSES.kind,
        "metadata": {"name": name},
        "value": value,
        "description": description,
    }
