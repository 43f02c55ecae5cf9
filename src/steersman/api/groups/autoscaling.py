"""autoscaling/v2 and v1: HorizontalPodAutoscalers, stored as v2. Scale, the body of scale subresources, is in bodies.py."""

from __future__ import annotations

from steersman.api import resources as r
from steersman.api.defaults import autoscaling as defaults
from steersman.api.hpa_conversion import from_v2, to_v2
from steersman.api.kinds import STATUS, Conversion, KindSpec
from steersman.api.strategies import autoscaling
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj


def _stored(obj: Obj) -> Obj:
    """v1 to v2, with the defaults of what only v2 has."""
    new = to_v2(obj)
    defaults.autoscaler(new)
    return new


AUTOSCALERS = KindSpec(
    resource=r.HORIZONTAL_POD_AUTOSCALERS,
    short_names=("hpa",),
    categories=("all",),
    schema="io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
    default=defaults.autoscaler,
    strategy=autoscaling.AUTOSCALER,
    subresources=(STATUS,),
)

AUTOSCALERS_V1 = KindSpec(
    resource=Resource("autoscaling", "v1", "horizontalpodautoscalers", kind="HorizontalPodAutoscaler"),
    short_names=("hpa",),
    categories=("all",),
    schema="io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler",
    default=defaults.autoscaler_v1,
    strategy=autoscaling.AUTOSCALER_V1,
    subresources=(STATUS,),
    conversion=Conversion(storage=r.HORIZONTAL_POD_AUTOSCALERS, to_storage=_stored, from_storage=from_v2),
)

KINDS: tuple[KindSpec, ...] = (AUTOSCALERS, AUTOSCALERS_V1)
