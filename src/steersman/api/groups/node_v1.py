"""node.k8s.io/v1: runtime classes."""

from __future__ import annotations

from steersman.api import resources as r
from steersman.api.kinds import KindSpec
from steersman.api.strategies import small

RUNTIME_CLASSES = KindSpec(resource=r.RUNTIME_CLASSES, schema="io.k8s.api.node.v1.RuntimeClass", strategy=small.RUNTIME_CLASS)

KINDS: tuple[KindSpec, ...] = (RUNTIME_CLASSES,)
