"""The namespaces every cluster has (upstream controlplane/controller/systemnamespaces)."""

from __future__ import annotations

from steersman.api.resources import NAMESPACES
from steersman.apiserver.hooks.ensure import ensure as ensure_objects
from steersman.client.interface import Client

NAMES = ("kube-system", "kube-public", "kube-node-lease", "default")


async def ensure(client: Client) -> None:
    wanted = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in NAMES]
    await ensure_objects(client, NAMESPACES, wanted)
