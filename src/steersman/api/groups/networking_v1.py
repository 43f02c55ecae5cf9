"""networking.k8s.io/v1: ingresses, network policies, and the addresses of services."""

from __future__ import annotations

from steersman.api import resources as r
from steersman.api.defaults import networking as defaults
from steersman.api.kinds import STATUS, KindSpec
from steersman.api.strategies import networking
from steersman.machinery.gvk import Resource

GROUP = "networking.k8s.io"
SCHEMA = "io.k8s.api.networking.v1."

INGRESSES = KindSpec(
    resource=r.INGRESSES,
    short_names=("ing",),
    schema=SCHEMA + "Ingress",
    strategy=networking.INGRESS,
    subresources=(STATUS,),
)

INGRESS_CLASSES = KindSpec(
    resource=r.INGRESS_CLASSES,
    schema=SCHEMA + "IngressClass",
    default=defaults.ingress_class,
    strategy=networking.INGRESS_CLASS,
)

NETWORK_POLICIES = KindSpec(
    resource=Resource(GROUP, "v1", "networkpolicies", kind="NetworkPolicy"),
    short_names=("netpol",),
    schema=SCHEMA + "NetworkPolicy",
    default=defaults.network_policy,
    strategy=networking.NETWORK_POLICY,
)

IP_ADDRESSES = KindSpec(
    resource=Resource(GROUP, "v1", "ipaddresses", False, "IPAddress"),
    short_names=("ip",),
    schema=SCHEMA + "IPAddress",
    strategy=networking.IP_ADDRESS,
)

SERVICE_CIDRS = KindSpec(
    resource=r.SERVICE_CIDRS,
    schema=SCHEMA + "ServiceCIDR",
    strategy=networking.SERVICE_CIDR,
    subresources=(STATUS,),
)

KINDS: tuple[KindSpec, ...] = (INGRESS_CLASSES, INGRESSES, IP_ADDRESSES, NETWORK_POLICIES, SERVICE_CIDRS)
