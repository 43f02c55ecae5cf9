"""discovery.k8s.io/v1: endpoint slices."""

from __future__ import annotations

from steersman.api import resources as r
from steersman.api.defaults import small as defaults
from steersman.api.kinds import KindSpec
from steersman.api.strategies import small

ENDPOINT_SLICES = KindSpec(
    resource=r.ENDPOINT_SLICES,
    schema="io.k8s.api.discovery.v1.EndpointSlice",
    default=defaults.endpoint_slice,
    strategy=small.ENDPOINT_SLICE,
)

KINDS: tuple[KindSpec, ...] = (ENDPOINT_SLICES,)
