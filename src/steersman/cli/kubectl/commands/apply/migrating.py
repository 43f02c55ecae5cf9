"""From client-side to server-side apply: the server gets to know that what was managed the one way is managed the other way now.

Without this, a field that client-side apply once set would stay for ever: its old manager would never give it up.
Source: upstream kubectl apply.go (migrateToSSAIfNecessary), client-go util/csaupgrade.
"""

from __future__ import annotations

from typing import Any

import orjson

from steersman.cli.kubectl.context import FIELD_MANAGER, Context
from steersman.cli.kubectl.lastapplied import ANNOTATION
from steersman.cli.kubectl.resources import Info
from steersman.cli.kubectl.writing import Writer
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Obj, annotations_of, name_of, namespace_of, resource_version_of

_CLIENT_SIDE = "kubectl-client-side-apply"
_KEEPER = "kubectl-last-applied"
"""Manages the annotation, so that one may go back to client-side apply."""
_REFUSED = (
    "server rejected managed fields migration to Server-Side Apply. This is non-fatal and will be retried next time you apply. "
    "Error: {error}"
)


async def migrate(ctx: Context, writer: Writer, info: Info, sent: Obj, manager: str) -> bool:
    """After `sent` was applied: whether fields have changed hands, so that it must be applied again to drop what it lacks."""
    try:
        if manager == FIELD_MANAGER:
            await _keep_annotation(writer, info, sent)
        fields = taken_over(info.object["metadata"].get("managedFields") or [], manager)
        if fields is None:
            return False
        patch = [
            {"op": "replace", "path": "/metadata/managedFields", "value": fields},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": str(resource_version_of(info.object))},
        ]
        info.refresh(await writer.patch(info, patch, "json"))
    except StatusError as error:
        ctx.warn(_REFUSED.format(error=error.message))
        return False
    return True


async def _keep_annotation(writer: Writer, info: Info, sent: Obj) -> None:
    """Where there is the annotation of client-side apply, somebody must own it when client-side apply does no longer."""
    entries = info.object["metadata"].get("managedFields") or []
    owned = any(entry.get("operation") == "Apply" and _has_annotation(entry) for entry in entries)
    if owned or ANNOTATION not in annotations_of(info.object):
        return
    text = orjson.dumps(sent, option=orjson.OPT_SORT_KEYS).decode() + "\n"
    meta: Obj = {"name": name_of(sent), "annotations": {ANNOTATION: text}}
    if namespace := namespace_of(sent):
        meta["namespace"] = namespace
    patch = {"apiVersion": sent["apiVersion"], "kind": sent["kind"], "metadata": meta}
    info.refresh(await writer.patch(info, patch, "apply", manager=_KEEPER))


def taken_over(entries: list[Obj], manager: str) -> list[Obj] | None:
    """managedFields in which `manager` has what client-side appliers had; None if there are none of those."""
    old = [entry for entry in entries if _is_client_side(entry)]
    if not old:
        return None
    kept = [dict(entry) for entry in entries if not _is_client_side(entry)]
    for entry in kept:
        if entry.get("manager") == manager and entry.get("operation") == "Apply" and not entry.get("subresource"):
            for before in old:
                entry["fieldsV1"] = _union(entry.get("fieldsV1") or {}, before.get("fieldsV1") or {})
            return kept
    return None


def _is_client_side(entry: Obj) -> bool:
    if entry.get("operation") != "Update" or entry.get("subresource"):
        return False
    return entry.get("manager") == _CLIENT_SIDE or _has_annotation(entry)


def _has_annotation(entry: Obj) -> bool:
    return f"f:{ANNOTATION}" in (((entry.get("fieldsV1") or {}).get("f:metadata") or {}).get("f:annotations") or {})


def _union(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    """Of two sets of fields, which are trees."""
    both = {key: _union(left[key], right[key]) for key in left.keys() & right.keys()}
    return {**left, **right, **both}
