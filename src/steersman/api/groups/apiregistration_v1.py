"""apiregistration.k8s.io/v1: who serves a group-version. What it does to requests: apiserver/aggregation/."""

from __future__ import annotations

from steersman.api.kinds import STATUS, KindSpec, Strategy
from steersman.api.resources import API_SERVICES
from steersman.api.strategies.common import only_bare_status, reset_status, update_status_kind
from steersman.api.strategies.later import Later
from steersman.machinery.meta import Obj, metadata

_PORT = 443


def _default(obj: Obj) -> None:
    service = (obj.get("spec") or {}).get("service")
    if service is not None and service.get("port") is None:
        service["port"] = _PORT


def _prepare_create(obj: Obj) -> None:
    """What this server serves itself is available from the first moment."""
    reset_status(obj)
    if (obj.get("spec") or {}).get("service") is None:
        since = metadata(obj).get("creationTimestamp")
        obj["status"] = {"conditions": [{**LOCAL, **({"lastTransitionTime": since} if since else {})}]}


LOCAL: Obj = {
    "type": "Available",
    "status": "True",
    "reason": "Local",
    "message": "Local APIServices are always available",
}
"""The condition of those without a service."""

KINDS: tuple[KindSpec, ...] = (
    KindSpec(
        resource=API_SERVICES,
        schema="io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService",
        categories=("api-extensions",),
        default=_default,
        strategy=Strategy(
            prepare_create=_prepare_create,
            prepare_update=update_status_kind,
            prepare_status_update=only_bare_status,
            validate_create=Later("apiregistration", "validate_create"),
            validate_update=Later("apiregistration", "validate_update"),
            validate_status_update=Later("apiregistration", "validate_status"),
            validate_name=Later("apiregistration", "validate_name"),
            unconditional_update=False,
        ),
        subresources=(STATUS,),
    ),
)
