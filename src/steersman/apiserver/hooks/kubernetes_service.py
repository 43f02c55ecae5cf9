"""Service default/kubernetes: the API servers inside the cluster, with Endpoints and EndpointSlice.

Which servers there are, presence.py knows. Source: upstream controlplane/controller/kubernetesservice and reconcilers.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from steersman.api.resources import ENDPOINT_SLICES, ENDPOINTS, SERVICES
from steersman.apiserver.config import ServerConfig
from steersman.apiserver.hooks.ensure import ensure as ensure_objects
from steersman.client.interface import Client
from steersman.machinery.errors import Invalid
from steersman.machinery.meta import Obj

_NAME, _NAMESPACE = "kubernetes", "default"
_PORT = 443


async def ensure(client: Client, config: ServerConfig) -> None:
    try:
        await ensure_objects(client, SERVICES, [_service(config)], merge=_merge_service)
    except* Invalid:
        # Another API server that starts at the same time took the address for this very Service: now it can be seen.
        await ensure_objects(client, SERVICES, [_service(config)], merge=_merge_service)


async def publish(client: Client, config: ServerConfig, addresses: Sequence[str]) -> None:
    """Let the Service lead to these. All servers have the same port, as upstream's must."""
    endpoints = [_endpoints(config, addresses)]
    await ensure_objects(client, ENDPOINTS, endpoints, merge=lambda found, wanted: _take(found, wanted, "subsets"))
    await ensure_objects(client, ENDPOINT_SLICES, [_slice(config, addresses)], merge=_merge_slice)


def _service(config: ServerConfig) -> Obj:
    first = ipaddress.ip_network(config.service_cidr)[1]
    port = {"name": "https", "port": _PORT, "protocol": "TCP", "targetPort": config.secure_port}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata({"component": "apiserver", "provider": "kubernetes"}),
        "spec": {"type": "ClusterIP", "clusterIP": str(first), "clusterIPs": [str(first)], "ports": [port]},
    }


def _endpoints(config: ServerConfig, addresses: Sequence[str]) -> Obj:
    subset = {
        "addresses": [{"ip": address} for address in addresses],
        "ports": [{"name": "https", "port": config.secure_port, "protocol": "TCP"}],
    }
    labels = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": _metadata(labels), "subsets": [subset]}


def _slice(config: ServerConfig, addresses: Sequence[str]) -> Obj:
    return {
        "apiVersion": ENDPOINT_SLICES.api_version,
        "kind": "EndpointSlice",
        "metadata": _metadata({"kubernetes.io/service-name": _NAME}),
        "addressType": f"IPv{ipaddress.ip_address(config.advertise_address).version}",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
        "ports": [{"name": "https", "port": config.secure_port, "protocol": "TCP"}],
    }


def _metadata(labels: Obj) -> Obj:
    return {"name": _NAME, "namespace": _NAMESPACE, "labels": labels}


def _merge_service(found: Obj, wanted: Obj) -> bool:
    return _take(found["spec"], wanted["spec"], "ports")


def _merge_slice(found: Obj, wanted: Obj) -> bool:
    return _take(found, wanted, "endpoints") | _take(found, wanted, "ports")


def _take(found: Obj, wanted: Obj, key: str) -> bool:
    changed: bool = found.get(key) != wanted[key]
    found[key] = wanted[key]
    return changed
