"""coordination.k8s.io/v1: leases."""

from __future__ import annotations

from steersman.api import resources as r
from steersman.api.kinds import KindSpec
from steersman.api.strategies import small

LEASES = KindSpec(resource=r.LEASES, schema="io.k8s.api.coordination.v1.Lease", strategy=small.LEASE)

KINDS: tuple[KindSpec, ...] = (LEASES,)
