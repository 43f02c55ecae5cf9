"""Which zone each of a service's endpoints shall serve, when the service asks for that to be worked out (topology-mode Auto).

Every zone gets endpoints in proportion to its CPUs, so that nobody is overloaded by more than a fifth when traffic stays in its
zone. Endpoints serve their own zone as long as that leaves enough for the others. Source: KEP-2433.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from steersman.machinery import quantity
from steersman.machinery.meta import Obj, dig, is_condition_true, labels_of

ZONE = "topology.kubernetes.io/zone"
_OVERLOAD = 0.2
_CONTROL_PLANE = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")


class NoHints(Exception):
    """Traffic goes to all zones; the text says why."""


def zone_cpus(nodes: Iterable[Obj]) -> dict[str, int]:
    """zone -> allocatable CPUs in thousandths, of nodes that are ready and no control plane. Raises NoHints."""
    found: Counter[str] = Counter()
    for node in nodes:
        if not is_condition_true(node, "Ready") or any(label in labels_of(node) for label in _CONTROL_PLANE):
            continue
        zone, cpu = labels_of(node).get(ZONE, ""), quantity.milli(dig(node, "status", "allocatable", "cpu", default="0"))
        if not zone or not cpu:
            raise NoHints("Insufficient Node information: allocatable CPU or zone not specified on one or more nodes")
        found[zone] += cpu
    if len(found) < 2:
        raise NoHints("Nodes only ready in one zone")
    return dict(found)


def assigned(own: Sequence[str], cpus: Mapping[str, int]) -> list[str]:
    """The zone each endpoint serves; `own`: the zones they are in, '' if that is not known. Raises NoHints."""
    if len(own) < len(cpus):
        raise NoHints(f"Insufficient number of endpoints ({len(own)} endpoints, {len(cpus)} zones)")
    if not all(zone in cpus for zone in own):
        raise NoHints("One or more endpoints do not have a zone specified")
    total = sum(cpus.values())
    fair = {zone: len(own) * cpu / total for zone, cpu in cpus.items()}
    least = {zone: math.ceil(share / (1 + _OVERLOAD)) for zone, share in fair.items()}
    if sum(least.values()) > len(own):
        text = "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold"
        raise NoHints(f"{text} ({len(own)} endpoints, {len(cpus)} zones)")
    serves = list(own)
    held = Counter(own)
    for needy in sorted(cpus):
        while held[needy] < least[needy]:
            # Enough for all there is, so that some zone has more than it needs: who has most beyond its share gives.
            giver = max((zone for zone in sorted(cpus) if held[zone] > least[zone]), key=lambda zone: held[zone] - fair[zone])
            serves[max(index for index, zone in enumerate(serves) if zone == giver)] = needy
            held[giver] -= 1
            held[needy] += 1
    return serves
