"""How admission refuses: 403 with the object's name as the request knows it."""

from __future__ import annotations

from collections.abc import Sequence

from steersman.apiserver.contracts import AdmissionRequest
from steersman.machinery.errors import Forbidden
from steersman.machinery.meta import Obj


def refused(request: AdmissionRequest, why: str, *, causes: Sequence[Obj] = ()) -> Forbidden:
    """`<R> "<n>" is forbidden: <why>`; n is the name, else generateName, else `Unknown`."""
    metadata = (request.obj or request.old or {}).get("metadata") or {}
    name = request.name or metadata.get("name") or metadata.get("generateName") or "Unknown"
    return Forbidden.of(request.resource.group, request.resource.plural, name, why, causes=causes)
