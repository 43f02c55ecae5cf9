"""The pods that are in a namespace when it becomes stricter: they stay, and who changed the labels is told which would not do."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from steersman.api.resources import PODS
from steersman.apiserver.admission.podsecurity import evaluator
from steersman.apiserver.admission.podsecurity.levels import LevelVersion
from steersman.apiserver.lookup import Lookup
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj, dig, name_of

_AT_MOST = 3000
_FOR_S = 1.0
_AT_ONCE = 100
"""So many are looked at before others get their turn."""


async def warnings(
    lookup: Lookup, clock: Clock, namespace: str, enforce: LevelVersion, exempt_classes: Collection[str]
) -> list[str]:
    """Texts for Warning headers: pods with the same faults are told by the first of them and how many there are."""
    lister = lookup.listers(PODS)
    await lister.settle()
    pods = _first_of_each(
        [pod for pod in lister.list(namespace) if (pod["spec"].get("runtimeClassName") or "") not in exempt_classes]
    )
    until_s = clock.monotonic() + _FOR_S
    faults: dict[str, list[str]] = {}
    checked = 0
    for pod in pods[:_AT_MOST]:
        found = evaluator.evaluate(enforce, pod.get("metadata") or {}, pod["spec"])
        if found:
            faults.setdefault(evaluator.reasons(found), []).append(name_of(pod))
        checked += 1
        if checked % _AT_ONCE == 0:
            await clock.sleep(0)
        if clock.monotonic() > until_s:
            break
    told = []
    if checked < len(pods):
        told.append(f"new PodSecurity enforce level only checked against the first {checked} of {len(pods)} existing pods")
    if faults:
        told.append(f'existing pods in namespace "{namespace}" violate the new PodSecurity enforce level "{enforce}"')
    return told + sorted(f"{_who(names)}: {reason}" for reason, names in faults.items())


def _first_of_each(pods: Sequence[Obj]) -> list[Obj]:
    """One pod of every controller first: the others are most likely like it."""
    seen: set[str] = set()
    first: list[Obj] = []
    more: list[Obj] = []
    for pod in pods:
        owners = dig(pod, "metadata", "ownerReferences", default=())
        owner = next((str(ref.get("uid")) for ref in owners if ref.get("controller")), "")
        (more if owner in seen else first).append(pod)
        if owner:
            seen.add(owner)
    return first + more


def _who(names: Sequence[str]) -> str:
    others = len(names) - 1
    if not others:
        return names[0]
    return f"{min(names)} (and {others} other {'pod' if others == 1 else 'pods'})"
