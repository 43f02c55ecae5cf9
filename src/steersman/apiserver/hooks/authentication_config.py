"""ConfigMap kube-system/extension-apiserver-authentication: how aggregated API servers verify their callers.

Source: upstream controlplane/controller/clusterauthenticationtrust. The request-header part comes with a proxy CA.
"""

from __future__ import annotations

from steersman.api.resources import CONFIG_MAPS
from steersman.apiserver.config import ServerConfig
from steersman.apiserver.hooks.ensure import ensure as ensure_objects
from steersman.client.interface import Client
from steersman.machinery.meta import Obj

_NAME = "extension-apiserver-authentication"


async def ensure(client: Client, config: ServerConfig) -> None:
    wanted: Obj = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": _NAME, "namespace": "kube-system"},
        "data": {"client-ca-file": config.client_ca.read_text()},
    }
    await ensure_objects(client, CONFIG_MAPS, [wanted], merge=_merge)


def _merge(found: Obj, wanted: Obj) -> bool:
    data = {**(found.get("data") or {}), **wanted["data"]}
    if data == found.get("data"):
        return False
    found["data"] = data
    return True
