"""ConfigMap kube-system/extension-apiserver-authentication: how aggregated API servers verify their callers.

Source: upstream controlplane/controller/clusterauthenticationtrust. The request-header part comes with a proxy CA.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from steersman.api.resources import CONFIG_MAPS
from steersman.apiserver.access import RequestHeaderSettings
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
        "data": {"client-ca-file": config.client_ca.read_text()} | _headers(config.authentication.request_header),
    }
    await ensure_objects(client, CONFIG_MAPS, [wanted], merge=_merge)


def _headers(proxy: RequestHeaderSettings | None) -> Obj:
    if proxy is None:
        return {}
    return {
        "requestheader-username-headers": _listed(proxy.username_headers),
        "requestheader-uid-headers": _listed(proxy.uid_headers),
        "requestheader-group-headers": _listed(proxy.group_headers),
        "requestheader-extra-headers-prefix": _listed(proxy.extra_headers_prefix),
        "requestheader-client-ca-file": proxy.client_ca_file.read_text(),
        "requestheader-allowed-names": _listed(proxy.allowed_names),
    }


def _listed(names: Sequence[str]) -> str:
    return json.dumps(list(names), separators=(",", ":"))


def _merge(found: Obj, wanted: Obj) -> bool:
    data = {**(found.get("data") or {}), **wanted["data"]}
    if data == found.get("data"):
        return False
    found["data"] = data
    return True
