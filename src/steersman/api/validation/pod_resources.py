"""Resources of a whole pod: their validation, and the sums over containers that they are compared with and defaulted from."""

from __future__ import annotations

from collections.abc import Iterable

from steersman.api.validation import resources
from steersman.api.validation.common import Errors
from steersman.machinery import quantity
from steersman.machinery.fielderrors import forbidden, invalid, not_supported
from steersman.machinery.meta import Obj
from steersman.machinery.quantity import Quantity

SUPPORTED = ("cpu", "hugepages-", "memory")


def aggregate(spec: Obj, kind: str) -> dict[str, Quantity]:
    """`requests` or `limits` of all containers together: containers and sidecars at once, plain init containers one by one."""
    total: dict[str, Quantity] = {}
    for container in spec.get("containers") or ():
        _add(total, (container.get("resources") or {}).get(kind))
    sidecars: dict[str, Quantity] = {}
    peak: dict[str, Quantity] = {}
    for container in spec.get("initContainers") or ():
        own = (container.get("resources") or {}).get(kind)
        if container.get("restartPolicy") == "Always":
            _add(total, own)
            _add(sidecars, own)
            _raise_to(peak, sidecars)
        else:
            step = dict(sidecars)
            _add(step, own)
            _raise_to(peak, step)
    _raise_to(total, peak)
    return total


def _add(total: dict[str, Quantity], more: Obj | None) -> None:
    for name, value in (more or {}).items():
        parsed = quantity.parse(value)
        total[name] = total[name] + parsed if name in total else parsed


def _raise_to(total: dict[str, Quantity], least: dict[str, Quantity]) -> None:
    for name, value in least.items():
        if name not in total or total[name] < value:
            total[name] = value


def pod_resources(errors: Errors, path: str, spec: Obj) -> None:
    """spec.resources: only cpu, memory and hugepages, and enough for the containers."""
    value = spec["resources"]
    if (spec.get("os") or {}).get("name") == "windows":
        errors.append(forbidden(path, "may not be set for a windows pod"))
    if value.get("claims"):
        errors.append(forbidden(f"{path}.claims", "claims may not be set for Resources at pod-level"))
    for kind in ("limits", "requests"):
        for name in value.get(kind) or {}:
            if name not in ("cpu", "memory") and not resources.is_hugepages(name):
                errors.append(not_supported(f"{path}.{kind}[{name}]", name, SUPPORTED))
    resources.requirements(errors, path, {key: item for key, item in value.items() if key != "claims"})
    requests, limits = value.get("requests") or {}, value.get("limits") or {}
    sums = aggregate(spec, "requests")
    for name, asked in requests.items():
        if name in sums and quantity.parse(asked) < sums[name]:
            text = f"must be greater than or equal to aggregate container requests of {sums[name]}"
            errors.append(invalid(f"{path}.requests[{name}]", asked, text))
    _limits(errors, path, spec, limits)


def _limits(errors: Errors, path: str, spec: Obj, limits: Obj) -> None:
    sums = aggregate(spec, "limits")
    for name, most in limits.items():
        if resources.is_hugepages(name) and name in sums and quantity.parse(most) < sums[name]:
            text = f"must be greater than or equal to aggregate container limits of {sums[name]}"
            errors.append(invalid(f"{path}.limits[{name}]", most, text))
    for index, name, own in _container_limits(spec.get("containers") or ()):
        most = limits.get(name)
        if most is not None and quantity.parse(most) < quantity.parse(own):
            text = f"must be less than or equal to pod limits of {most}"
            errors.append(invalid(f"{path}.containers[{index}][{name}].limits", own, text))


def _container_limits(items: Iterable[Obj]) -> Iterable[tuple[int, str, str]]:
    for index, container in enumerate(items):
        for name, value in ((container.get("resources") or {}).get("limits") or {}).items():
            yield index, name, value
