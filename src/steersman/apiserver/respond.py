"""Objects, lists and errors as Responses, in the form the client asked for: JSON (bytes as kept, pretty), YAML, protobuf, Table,
metadata only."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson

from steersman.api.protobuf import objects
from steersman.apiserver import tables
from steersman.apiserver.contracts import Dropped
from steersman.apiserver.http import Request, Response
from steersman.apiserver.negotiate import JSON, PLAIN, PROTOBUF, YAML, Format, accepted, wants_pretty
from steersman.apiserver.registry import Served
from steersman.apiserver.storage import Stored
from steersman.machinery.errors import NotAcceptable, StatusError
from steersman.machinery.meta import Obj


def of_obj(request: Request, obj: Obj, status: int = 200, warnings: list[str] | None = None) -> Response:
    """Any API object that is not stored (Status, Scale, discovery documents)."""
    return of_bytes(request, orjson.dumps(obj), status, warnings)


def of_bytes(request: Request, body: bytes, status: int = 200, warnings: list[str] | None = None) -> Response:
    form = accepted(request)
    content_type = JSON
    if form.media_type == YAML:
        body, content_type = _yaml(orjson.loads(body)), YAML
    elif form.media_type == PROTOBUF:
        body, content_type = _protobuf(orjson.loads(body)), PROTOBUF
    elif wants_pretty(request):
        body = orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2) + b"\n"
    return Response(status, body, content_type, warnings=warnings or [])


def of_stored(
    request: Request, served: Served, stored: Stored, now: datetime, status: int = 200, warnings: list[str] | None = None
) -> Response:
    """One stored object."""
    form = accepted(request)
    if not form.transform:
        if form is PLAIN and not wants_pretty(request):
            return Response(status, served.body(stored), warnings=warnings or [])
        return of_bytes(request, served.body(stored), status, warnings)
    body = transformed(form, request, served, [stored], {"resourceVersion": str(stored.revision)}, now, single=True)
    return of_bytes(request, orjson.dumps(body), status, warnings)


def of_error(request: Request, error: StatusError) -> Response:
    """The one place where errors get their wire form."""
    body = error.status()
    response = Response(body.get("code") or 500, orjson.dumps(body))
    try:
        response = of_bytes(request, response.body, response.status)
    except StatusError:
        pass
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def of_dropped(dropped: Dropped) -> Response:
    """Too busy. As upstream plain text, no Status."""
    headers = {**dropped.headers, "Retry-After": str(dropped.retry_after_s), "X-Content-Type-Options": "nosniff"}
    return Response(429, f"{dropped}\n".encode(), "text/plain; charset=utf-8", headers)


def transformed(
    form: Format, request: Request, served: Served, items: list[Stored], list_meta: Obj, now: datetime, *, single: bool = False
) -> Obj:
    """Table or PartialObjectMetadata(List) of stored objects."""
    if form.transform == "Table":
        include = tables.include_object(request.query("includeObject") if request.raw_query else "")
        return tables.table(served, items, list_meta, form.version, include, now)
    if single:
        return tables.partial(served, items[0], form.version)
    return tables.partial_list(served, items, list_meta, form.version)


def _yaml(obj: Any) -> bytes:
    from steersman.machinery import yamlio  # PyYAML is loaded only by those who ask for YAML

    return yamlio.dump(obj).encode()


def _protobuf(obj: Any) -> bytes:
    packed = objects.pack(obj)
    if packed is None:
        raise NotAcceptable(f"only the following media types are accepted: {JSON}, {YAML}")
    return packed
