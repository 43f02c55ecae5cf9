"""Defaults of resource.k8s.io/v1."""

from __future__ import annotations

from steersman.machinery.meta import Obj


def resource_claim(obj: Obj) -> None:
    _claim(obj.get("spec") or {})
    for result in ((obj.get("status") or {}).get("allocation") or {}).get("devices", {}).get("results") or ():
        _tolerations(result)


def resource_claim_template(obj: Obj) -> None:
    _claim((obj.get("spec") or {}).get("spec") or {})


def _claim(spec: Obj) -> None:
    for request in (spec.get("devices") or {}).get("requests") or ():
        wanted = [request["exactly"]] if request.get("exactly") is not None else []
        for item in [*wanted, *(request.get("firstAvailable") or ())]:
            if not item.get("allocationMode"):
                item["allocationMode"] = "ExactCount"
            if item["allocationMode"] == "ExactCount" and not item.get("count"):
                item["count"] = 1
            _tolerations(item)


def _tolerations(obj: Obj) -> None:
    for toleration in obj.get("tolerations") or ():
        if not toleration.get("operator"):
            toleration["operator"] = "Equal"
