"""What a joining machine must know of the cluster beside its address and CA: names and ranges, in one ConfigMap.

kubeadm's kubeadm-config in small: kube-system/steersman-config, readable by holders of a node token. It is written at `up`
(bootstrapping.py) and read at `join`.
"""

from __future__ import annotations

import dataclasses

from steersman.api.resources import CONFIG_MAPS
from steersman.cluster.settings import ClusterSettings, SettingsError
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

NAMESPACE, NAME = "kube-system", "steersman-config"
_FIELDS = {
    "clusterDomain": "cluster_domain",
    "podSubnet": "cluster_cidr",
    "serviceSubnet": "service_cidr",
    "clusterDNS": "dns_address",
}


def config_map(settings: ClusterSettings) -> tuple[Resource, Obj]:
    data = {key: getattr(settings, field) for key, field in _FIELDS.items()}
    return CONFIG_MAPS, {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "data": data,
    }


def adopt(settings: ClusterSettings, found: Obj) -> ClusterSettings:
    """The settings with the cluster's values. Raises SettingsError."""
    data = found.get("data") or {}
    missing = [key for key in _FIELDS if not data.get(key)]
    if missing:
        raise SettingsError(f"the ConfigMap {NAMESPACE}/{NAME} of the cluster lacks {', '.join(missing)}")
    changes: Obj = {field: str(data[key]) for key, field in _FIELDS.items()}
    return dataclasses.replace(settings, **changes)
