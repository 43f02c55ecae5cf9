"""Whether the server of an APIService can be asked: pure. Reasons and texts are upstream's (available_controller.go)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from steersman.machinery.meta import Obj


class Condition(NamedTuple):
    """Of type Available."""

    status: str
    reason: str
    message: str


PASSED = Condition("True", "Passed", "all checks passed")


def undiscovered(url: str, why: str) -> Condition:
    """There is a service, and its server does not say what it serves."""
    return Condition("False", "FailedDiscoveryCheck", f"failing or missing response from {url}: {why}")


def unreachable(reference: Obj, service: Obj | None, slices: Iterable[Obj]) -> Condition | None:
    """What keeps the service of an APIService (spec.service) from being asked. `slices`: its EndpointSlices."""
    name, namespace, number = reference["name"], reference["namespace"], reference["port"]
    shown = f'service/{name} in "{namespace}"'
    if service is None:
        return Condition("False", "ServiceNotFound", f"{shown} is not present")
    spec = service["spec"]
    if spec.get("type", "ClusterIP") != "ClusterIP":
        return None
    port = next((item for item in spec.get("ports") or () if item.get("port") == number), None)
    if port is None:
        return Condition("False", "ServicePortError", f"{shown} is not listening on port {number}")
    found = list(slices)
    if not found:
        return Condition("False", "EndpointsNotFound", f"cannot find endpointslices for {shown}")
    port_name = port.get("name") or ""
    if not any(_answers(item, port_name) for item in found):
        text = f'endpoints for {shown} have no addresses with port name "{port_name}"'
        return Condition("False", "MissingEndpoints", text)
    return None


def _answers(item: Obj, port_name: str) -> bool:
    named = any((port.get("name") or "") == port_name for port in item.get("ports") or ())
    return named and any(
        endpoint.get("addresses") and (endpoint.get("conditions") or {}).get("ready") is not False
        for endpoint in item.get("endpoints") or ()
    )


def written(obj: Obj, wanted: Condition, now: str) -> Obj | None:
    """The condition as it has to be on an APIService; None if it is so already. `now` is metav1.Time."""
    conditions: list[Obj] = (obj.get("status") or {}).get("conditions") or []
    found = next((item for item in conditions if item.get("type") == "Available"), {})
    if (found.get("status"), found.get("reason"), found.get("message")) == tuple(wanted):
        return None
    since = now if found.get("status") != wanted.status else found.get("lastTransitionTime") or now
    return {"type": "Available", **wanted._asdict(), "lastTransitionTime": since}
