"""scheduling.k8s.io/v1: priority classes."""

from __future__ import annotations

from steersman.api import resources as r
from steersman.api.defaults import small as defaults
from steersman.api.kinds import KindSpec
from steersman.api.strategies import small

PRIORITY_CLASSES = KindSpec(
    resource=r.PRIORITY_CLASSES,
    short_names=("pc",),
    schema="io.k8s.api.scheduling.v1.PriorityClass",
    default=defaults.priority_class,
    strategy=small.PRIORITY_CLASS,
)

KINDS: tuple[KindSpec, ...] = (PRIORITY_CLASSES,)
