"""patch: JSON patch, merge patch and strategic merge patch, each applied to the object as it is when the write succeeds.

Not here: server-side apply (apply.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import orjson

from steersman.api.decode import typecheck
from steersman.api.kinds import KindSpec
from steersman.api.schema import unstructured
from steersman.api.schema.loader import patch_meta
from steersman.apiserver import respond
from steersman.apiserver.contracts import Call
from steersman.apiserver.handlers.apply import apply_patch, is_apply
from steersman.apiserver.handlers.context import Api
from steersman.apiserver.handlers.options import write_options
from steersman.apiserver.handlers.update import check_updatable, modify
from steersman.apiserver.handlers.write import Write, match_url, read_body
from steersman.apiserver.http import Response
from steersman.apiserver.registry import Served
from steersman.machinery import bulk, depth, fielderrors
from steersman.machinery.errors import BadRequest, Invalid, UnsupportedMediaType
from steersman.machinery.meta import Obj
from steersman.machinery.patch import json_patch, merge, strategic
from steersman.machinery.patch.errors import go_print

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"


@dataclass(frozen=True, slots=True)
class Patch:
    """A request's patch. `apply` gives the patched object; `strategic` is the patch itself if it is of that type.

    whole: it may say something of managedFields; any other is spared them.
    """

    apply: Callable[[Obj], Obj]
    strategic: Obj | None = None
    whole: bool = True


async def patch(api: Api, call: Call, served: Served) -> Response:
    """PATCH on an object, its status or another part of it."""
    info = call.info
    check_updatable(served, info.subresource, "patch")
    if is_apply(call):
        return await apply_patch(api, call, served)
    asked = patch_of(call, served.spec.schema if served.bare_items else "", await read_body(call))
    write = Write(api, call, served, write_options(call.request, "PatchOptions"), info.subresource)

    async def change(current: Obj) -> Obj:
        patched = checked(write, asked, current)
        match_url(patched, served, info.namespace, info.name)
        return patched

    stored = await modify(write, info.namespace, info.name, change)
    return respond.of_stored(call.request, served, stored, api.clock.now(), 200, write.warnings)


def patch_of(call: Call, schema: str, body: bytes) -> Patch:
    """The request's patch. schema is empty for kinds without strategic merge.

    Raises BadRequest, UnsupportedMediaType, RequestEntityTooLarge.
    """
    media_type = call.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == JSON_PATCH:
        ops = json_patch.decode(body)
        return Patch(lambda obj: _an_object(json_patch.apply(obj, ops)))
    whole = b"managedFields" in body or b"\\u" in body
    if media_type == MERGE_PATCH:
        merging = merge.decode(body)
        return Patch(lambda obj: _an_object(merge.apply(obj, merging)), whole=whole)
    if media_type == STRATEGIC_PATCH and schema:
        strategic_patch, meta = strategic.decode(body), patch_meta(schema)
        return Patch(lambda obj: strategic.apply(obj, strategic_patch, meta), strategic_patch, whole)
    raise UnsupportedMediaType("415: Unsupported Media Type", details={})


def _an_object(value: object) -> Obj:
    if not isinstance(value, dict):
        raise BadRequest("the patched object is no JSON object")
    return value


def checked(write: Write, asked: Patch, current: Obj) -> Obj:
    """The patched object, owned, type-checked and defaulted. Raises Invalid."""
    spec, mode = write.served.spec, write.options.field_validation
    obj, unknown = decoded(spec, asked, current, strict=mode == "Strict")
    if mode == "Warn":
        write.warnings += [text for text in unknown if text not in write.warnings]
    obj["kind"], obj["apiVersion"] = spec.kind, spec.resource.api_version
    spec.default(obj)
    return obj


def decoded(spec: KindSpec, asked: Patch, current: Obj, *, strict: bool = False) -> tuple[Obj, list[str]]:
    """The patched object, owned and type-checked, and what is told of its unknown fields. Raises Invalid."""
    if not asked.whole:
        current["metadata"].pop("managedFields", None)
    patched = asked.apply(current)
    # Results of patches may share parts with each other and with the patch itself: what follows changes objects in place.
    try:
        obj: Obj = depth.loads(orjson.dumps(patched), bulk.MOST_STORED)
    except (TypeError, depth.TooDeep) as fault:
        raise depth.error() from fault
    found = typecheck(obj, spec)
    if found.errors:
        why = unstructured.fault(patched, spec.schema) if asked.strategic is not None else None
        raise _undecodable(asked, patched, why or found.errors[0])
    if strict and found.strict:
        raise _undecodable(asked, patched, f"strict decoding error: {', '.join(found.strict)}")
    return obj, found.strict


def _undecodable(asked: Patch, patched: Obj, why: str) -> Invalid:
    shown = orjson.dumps(patched).decode() if asked.strategic is None else go_print(asked.strategic)
    return Invalid.of("", "", "", [fielderrors.invalid("patch", shown, why)])
