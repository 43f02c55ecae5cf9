"""Rows of certificates.k8s.io."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from steersman.api.kinds import TableSpec
from steersman.api.printers.cells import AGE, NAME, age, col, label_map, spec, text
from steersman.machinery import duration
from steersman.machinery.meta import Obj, dig, name_of


def _condition(csr: Obj) -> str:
    kinds = {item.get("type") for item in dig(csr, "status", "conditions", default=())}
    shown = "Denied" if "Denied" in kinds else "Approved" if "Approved" in kinds else "Pending"
    if "Failed" in kinds:
        shown += ",Failed"
    if dig(csr, "status", "certificate"):
        shown += ",Issued"
    return shown


def _request(obj: Obj, now: datetime) -> list[Any]:
    wanted = obj.get("spec") or {}
    seconds = wanted.get("expirationSeconds")
    return [
        name_of(obj),
        age(obj, now),
        text(wanted.get("signerName")),
        str(wanted.get("username") or ""),
        "<none>" if seconds is None else duration.human(seconds),
        _condition(obj),
    ]


def _trust_bundle(obj: Obj, _now: datetime) -> list[Any]:
    return [name_of(obj), text(dig(obj, "spec", "signerName"))]


def _pod_request(obj: Obj, _now: datetime) -> list[Any]:
    wanted = obj.get("spec") or {}
    state = "Pending"
    for item in dig(obj, "status", "conditions", default=()):
        if item.get("type") in ("Issued", "Denied", "Failed"):
            state = item["type"]
    return [
        name_of(obj),
        str(wanted.get("podName") or ""),
        str(wanted.get("serviceAccountName") or ""),
        str(wanted.get("nodeName") or ""),
        str(wanted.get("signerName") or ""),
        state,
        label_map(wanted.get("unverifiedUserAnnotations")),
    ]


TABLES: dict[str, TableSpec] = {
    "CertificateSigningRequest": spec(
        _request, NAME, AGE, col("SignerName"), col("Requestor"), col("RequestedDuration"), col("Condition")
    ),
    "ClusterTrustBundle": spec(_trust_bundle, NAME, col("SignerName")),
    "PodCertificateRequest": spec(
        _pod_request,
        NAME,
        col("PodName"),
        col("ServiceAccountName"),
        col("NodeName"),
        col("SignerName"),
        col("State"),
        col("UnverifiedUserAnnotations"),
    ),
}
