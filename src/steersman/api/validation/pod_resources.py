"""Resources of a whole pod: their validation, and the sums over containers that they are compared with and defaulted from."""

from __future__ import annotations

from collections.abc import Iterable

from steersman.api.podresources import containers_total
from steersman.api.validation import resources
from steersman.api.validation.common import Errors
from steersman.machinery import quantity
from steersman.machinery.fielderrors import forbidden, invalid, not_supported
from steersman.machinery.meta import Obj

SUPPORTED = ("cpu", "hugepages-", "memory")


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
    sums = containers_total(spec, "requests")
    for name, asked in requests.items():
        if name in sums and quantity.parse(asked) < sums[name]:
            text = f"must be greater than or equal to aggregate container requests of {sums[name]}"
            errors.append(invalid(f"{path}.requests[{name}]", asked, text))
    _limits(errors, path, spec, limits)


def _limits(errors: Errors, path: str, spec: Obj, limits: Obj) -> None:
    sums = containers_total(spec, "limits")
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
