"""namespaces/finalize: takes spec.finalizers; with the last one gone, a terminating namespace is removed."""

from __future__ import annotations

from steersman.apiserver import respond
from steersman.apiserver.contracts import Call
from steersman.apiserver.handlers.context import Api
from steersman.apiserver.handlers.options import write_options
from steersman.apiserver.handlers.update import AS_IS, check_version, modify
from steersman.apiserver.handlers.write import Write, decode_body, match_url, read_body
from steersman.apiserver.http import Response
from steersman.apiserver.registry import Served
from steersman.machinery.meta import Obj


async def finalize(api: Api, call: Call, served: Served) -> Response:
    write = Write(api, call, served, write_options(call.request, "UpdateOptions"), "finalize")
    sent = decode_body(write, await read_body(call))
    match_url(sent, served, "", call.info.name)
    asked = await check_version(write, sent)
    finalizers = (sent.get("spec") or {}).get("finalizers") or []

    async def change(current: Obj) -> Obj:
        spec = {key: value for key, value in (current.get("spec") or {}).items() if key != "finalizers"}
        current["spec"] = {**spec, "finalizers": finalizers} if finalizers else spec
        return current

    stored = await modify(write, "", call.info.name, change, asked=asked, steps=AS_IS)
    return respond.of_stored(call.request, served, stored, api.clock.now(), 200, write.warnings)
