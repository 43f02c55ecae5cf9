"""What pods ask for and may use: the sums a node's description shows.

Requests of a pod: its containers' (or what was allocated to them, where that is more), or what starting it needs at its height
if that is more, and the overhead. Sidecars (init containers that restart) count for both. KEP-753.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from steersman.machinery import quantity
from steersman.machinery.meta import Obj
from steersman.machinery.quantity import Quantity

Amounts = dict[str, Quantity]


def requests_and_limits(pod: Obj) -> tuple[Amounts, Amounts]:
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    allocated = {item.get("name"): _amounts(item.get("allocatedResources")) for item in status.get("containerStatuses") or ()}
    infeasible = status.get("resize") == "Infeasible"

    def requested(container: Obj) -> Amounts:
        wanted = _of(container, "requests")
        given = allocated.get(container.get("name"))
        if given is None:
            return wanted
        return given if infeasible else _most(wanted, given)

    overhead = _amounts(spec.get("overhead"))
    requests = _sum((_pod(spec, "requests", requested), overhead))
    limits = _pod(spec, "limits", lambda container: _of(container, "limits"))
    # Overhead raises a limit only where there is one.
    limits = {name: amount + overhead[name] if name in overhead else amount for name, amount in limits.items()}
    return requests, limits


def total(pods: Iterable[Obj]) -> tuple[Amounts, Amounts]:
    """The sums over all pods."""
    both = [requests_and_limits(pod) for pod in pods]
    return _sum(requests for requests, _ in both), _sum(limits for _, limits in both)


def _pod(spec: Obj, section: str, of_container: Callable[[Obj], Amounts]) -> Amounts:
    running = _sum(of_container(container) for container in spec.get("containers") or ())
    sidecars: Amounts = {}
    height: Amounts = {}
    for container in spec.get("initContainers") or ():
        own = _of(container, section)
        if container.get("restartPolicy") == "Always":
            running, sidecars = _sum((running, own)), _sum((sidecars, own))
            height = _most(height, sidecars)
        else:
            height = _most(height, _sum((own, sidecars)))
    return _most(running, height)


def _of(container: Obj, section: str) -> Amounts:
    return _amounts((container.get("resources") or {}).get(section))


def _amounts(given: Obj | None) -> Amounts:
    return {name: quantity.parse(amount) for name, amount in (given or {}).items()}


def _sum(lists: Iterable[Amounts]) -> Amounts:
    found: Amounts = {}
    for amounts in lists:
        for name, amount in amounts.items():
            found[name] = found[name] + amount if name in found else amount
    return found


def _most(first: Amounts, second: Amounts) -> Amounts:
    found = dict(first)
    for name, amount in second.items():
        if name not in found or amount > found[name]:
            found[name] = amount
    return found
