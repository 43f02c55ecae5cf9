"""Answers of kinds that are never stored but made up at each request (metrics, component statuses), in the form asked for."""

from __future__ import annotations

from datetime import datetime

import orjson

from steersman.apiserver import respond, tables
from steersman.apiserver.http import Request, Response
from steersman.apiserver.negotiate import accepted
from steersman.apiserver.registry import Served
from steersman.machinery.meta import Obj


def answer(request: Request, served: Served, items: list[Obj], now: datetime, *, single: bool = False) -> Response:
    """One object (`single`) or a list, given without kind and apiVersion, as JSON, Table or PartialObjectMetadata."""
    form, version = accepted(request), served.resource.api_version
    if form.transform == "Table":
        include = tables.include_object(request.query("includeObject"))
        body = tables.of_objs(tables.spec_of(served), items, {}, form.version, include, now)
    elif form.transform:
        parts = [tables.partial_of(item, form.version) for item in items]
        meta = f"meta.k8s.io/{form.version}"
        whole: Obj = {"kind": "PartialObjectMetadataList", "apiVersion": meta, "metadata": {}, "items": parts}
        body = parts[0] if single else whole
    elif single:
        body = {"kind": served.resource.kind, "apiVersion": version, **items[0]}
    else:
        body = {"kind": served.spec.list_kind_name, "apiVersion": version, "metadata": {}, "items": items}
    return respond.of_bytes(request, orjson.dumps(body))
