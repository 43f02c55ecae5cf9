"""pods/ephemeralcontainers and pods/resize: updates that take only their own part of the spec."""

from __future__ import annotations

import copy
from collections.abc import Callable

from steersman.api.validation.pod_resize import validate_resize
from steersman.api.validation.pod_update import validate_ephemeral_update
from steersman.apiserver import respond
from steersman.apiserver.contracts import Call
from steersman.apiserver.handlers import read
from steersman.apiserver.handlers.apply import apply_patch, is_apply
from steersman.apiserver.handlers.context import Api
from steersman.apiserver.handlers.options import write_options
from steersman.apiserver.handlers.patch import checked, patch_of
from steersman.apiserver.handlers.update import Steps, check_version, modify
from steersman.apiserver.handlers.write import Write, decode_body, match_url, read_body
from steersman.apiserver.http import Response
from steersman.apiserver.registry import Served
from steersman.machinery.meta import Obj, metadata

get = read.get


async def update(api: Api, call: Call, served: Served) -> Response:
    write = Write(api, call, served, write_options(call.request, "UpdateOptions"), call.info.subresource)
    sent = decode_body(write, await read_body(call))
    match_url(sent, served, call.info.namespace, call.info.name)

    async def change(_: Obj) -> Obj:
        return copy.deepcopy(sent)

    stored = await modify(
        write, call.info.namespace, call.info.name, change, asked=await check_version(write, sent), steps=STEPS[write.subresource]
    )
    return respond.of_stored(call.request, served, stored, api.clock.now(), 200, write.warnings)


async def patch(api: Api, call: Call, served: Served) -> Response:
    if is_apply(call):
        return await apply_patch(api, call, served, STEPS[call.info.subresource])
    asked = patch_of(call, served.spec.schema, await read_body(call))
    write = Write(api, call, served, write_options(call.request, "PatchOptions"), call.info.subresource)

    async def change(current: Obj) -> Obj:
        patched = checked(write, asked, current)
        match_url(patched, served, call.info.namespace, call.info.name)
        return patched

    stored = await modify(write, call.info.namespace, call.info.name, change, steps=STEPS[write.subresource])
    return respond.of_stored(call.request, served, stored, api.clock.now(), 200, write.warnings)


def _taking(take: Callable[[Obj, Obj], None]) -> Callable[[Obj, Obj], None]:
    """prepare: everything as stored but what `take(spec, new spec)` brings over; generation counts a change."""

    def prepare(new: Obj, old: Obj) -> None:
        sent = new.get("spec") or {}
        spec = copy.deepcopy(old["spec"])
        take(spec, sent)
        meta = copy.deepcopy(old["metadata"])
        meta["resourceVersion"] = metadata(new).get("resourceVersion") or meta.get("resourceVersion")
        meta["managedFields"] = metadata(new).get("managedFields")
        if spec != old["spec"]:
            meta["generation"] = (meta.get("generation") or 0) + 1
        kept = {key: value for key, value in old.items() if key not in ("metadata", "spec")}
        new.clear()
        new.update(kept, metadata=meta, spec=spec)

    return prepare


def _take_ephemeral(spec: Obj, sent: Obj) -> None:
    if sent.get("ephemeralContainers"):
        spec["ephemeralContainers"] = sent["ephemeralContainers"]
    else:
        spec.pop("ephemeralContainers", None)


def _take_resources(spec: Obj, sent: Obj) -> None:
    for key in ("containers", "initContainers"):
        stored, wanted = spec.get(key) or [], sent.get(key) or []
        if [item.get("name") for item in stored] != [item.get("name") for item in wanted]:
            # Brought over as it is, for validation to refuse it by its place.
            spec[key] = wanted
            continue
        for item, other in zip(stored, wanted):
            for part in ("resources", "resizePolicy"):
                if part in other:
                    item[part] = other[part]
                elif part == "resources":
                    item.pop(part, None)
    if sent.get("resources"):
        spec["resources"] = sent["resources"]


STEPS = {
    "ephemeralcontainers": Steps(_taking(_take_ephemeral), validate_ephemeral_update),
    "resize": Steps(_taking(_take_resources), validate_resize),
}
