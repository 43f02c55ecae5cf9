"""ConfigMap kube-system/extension-apiserver-authentication: how aggregated API servers verify their callers.

Several API servers may have several authorities: what others wrote stays beside this one's, so that all are believed.
Source: upstream controlplane/controller/clusterauthenticationtrust. The request-header part comes with a proxy CA.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from steersman.api.resources import CONFIG_MAPS
from steersman.apiserver.access import RequestHeaderSettings
from steersman.apiserver.config import ServerConfig
from steersman.client.interface import Client
from steersman.machinery.clock import Clock
from steersman.machinery.errors import AlreadyExists, Conflict, NotFound
from steersman.machinery.meta import Obj

_NAME, _NAMESPACE = "extension-apiserver-authentication", "kube-system"
_CLIENT_CA, _PROXY_CA = "client-ca-file", "requestheader-client-ca-file"
_AUTHORITIES = (_CLIENT_CA, _PROXY_CA)


async def ensure(client: Client, config: ServerConfig, clock: Clock) -> None:
    own = {_CLIENT_CA: config.client_ca.read_text()} | _headers(config.authentication.request_header)
    while True:
        try:
            return await _write(client, own, clock.now())
        except (AlreadyExists, Conflict, NotFound):
            continue  # another API server that starts at the same time was faster


async def _write(client: Client, own: dict[str, str], now: datetime) -> None:
    try:
        found = await client.get(CONFIG_MAPS, _NAME, _NAMESPACE)
    except NotFound:
        made: Obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": _NAME, "namespace": _NAMESPACE}, "data": own}
        await client.create(CONFIG_MAPS, made)
        return
    data = joined(found.get("data") or {}, own, now)
    if data != found.get("data"):
        await client.update(CONFIG_MAPS, {**found, "data": data})


def _headers(proxy: RequestHeaderSettings | None) -> dict[str, str]:
    if proxy is None:
        return {}
    return {
        "requestheader-username-headers": _listed(proxy.username_headers),
        "requestheader-uid-headers": _listed(proxy.uid_headers),
        "requestheader-group-headers": _listed(proxy.group_headers),
        "requestheader-extra-headers-prefix": _listed(proxy.extra_headers_prefix),
        _PROXY_CA: proxy.client_ca_file.read_text(),
        "requestheader-allowed-names": _listed(proxy.allowed_names),
    }


def joined(before: dict[str, str], own: dict[str, str], now: datetime) -> dict[str, str]:
    """What the ConfigMap has to say when a server with `own` comes to those before. What nobody can read is replaced."""
    data = {**before, **own}
    for key in before.keys() & own.keys():
        if before[key] == own[key]:
            continue
        try:
            data[key] = _bundles(before[key], own[key], now) if key in _AUTHORITIES else _lists(before[key], own[key])
        except ValueError:
            continue
    return data


def _bundles(before: str, own: str, now: datetime) -> str:
    """Without what has expired."""
    found = dict.fromkeys((*_certificates(before), *_certificates(own)))
    return "".join(item.public_bytes(Encoding.PEM).decode() for item in found if item.not_valid_after_utc > now)


def _lists(before: str, own: str) -> str:
    names = json.loads(before)
    if not isinstance(names, list):
        raise ValueError("no list")
    return _listed(dict.fromkeys((*map(str, names), *json.loads(own))))


def _certificates(bundle: str) -> list[x509.Certificate]:
    """Raises ValueError."""
    return x509.load_pem_x509_certificates(bundle.encode())


def _listed(names: Iterable[str]) -> str:
    return json.dumps(list(names), separators=(",", ":"))
