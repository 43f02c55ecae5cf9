"""Defaults of CustomResourceDefinitions (upstream pkg/apis/apiextensions/v1/defaults.go)."""

from __future__ import annotations

from steersman.machinery.meta import Obj

_ALWAYS: Obj = {"name": "", "served": False, "storage": False}


def custom_resource_definition(obj: Obj) -> None:
    """With what Go always writes: what is required here is there from now on, if empty."""
    spec = obj.setdefault("spec", {})
    for key in ("group", "scope"):
        spec.setdefault(key, "")
    names = spec.setdefault("names", {})
    for key in ("kind", "plural"):
        names.setdefault(key, "")
    for version in spec.setdefault("versions", []):
        for key, zero in _ALWAYS.items():
            version.setdefault(key, zero)
        for column in version.get("additionalPrinterColumns") or ():
            for key in ("jsonPath", "name", "type"):
                column.setdefault(key, "")
    if not names.get("singular") and names["kind"]:
        names["singular"] = names["kind"].lower()
    if not names.get("listKind") and names["kind"]:
        names["listKind"] = f"{names['kind']}List"
    conversion = spec.setdefault("conversion", {})
    if not conversion.get("strategy"):
        conversion["strategy"] = "None"
    service = ((conversion.get("webhook") or {}).get("clientConfig") or {}).get("service")
    if service is not None and service.get("port") is None:
        service["port"] = 443
    status = obj.get("status")
    if status is not None and not status.get("storedVersions"):
        status["storedVersions"] = [item["name"] for item in spec.get("versions") or () if item.get("storage")]
