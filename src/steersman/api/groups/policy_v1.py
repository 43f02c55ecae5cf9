"""policy/v1: pod disruption budgets. Eviction, the body of pods/eviction, is in bodies.py."""

from __future__ import annotations

from steersman.api import resources as r
from steersman.api.kinds import STATUS, KindSpec
from steersman.api.strategies import small

POD_DISRUPTION_BUDGETS = KindSpec(
    resource=r.POD_DISRUPTION_BUDGETS,
    short_names=("pdb",),
    schema="io.k8s.api.policy.v1.PodDisruptionBudget",
    strategy=small.POD_DISRUPTION_BUDGET,
    subresources=(STATUS,),
)

KINDS: tuple[KindSpec, ...] = (POD_DISRUPTION_BUDGETS,)
