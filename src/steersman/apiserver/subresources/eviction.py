"""pods/eviction: a deletion by request of policy/v1. Disruption budgets are not counted yet: no kind has them."""

from __future__ import annotations

from dataclasses import replace

from steersman.api.decode import decode
from steersman.api.groups.bodies import EVICTION
from steersman.apiserver import respond
from steersman.apiserver.contracts import Call
from steersman.apiserver.handlers.context import Api
from steersman.apiserver.handlers.delete import remove
from steersman.apiserver.handlers.options import WriteOptions, parse_delete_options, write_options
from steersman.apiserver.handlers.write import Write, read_body
from steersman.apiserver.http import Response
from steersman.apiserver.negotiate import body_media_type
from steersman.apiserver.registry import Served
from steersman.apiserver.subresources.binding import SUCCESS
from steersman.machinery.errors import BadRequest
from steersman.machinery.meta import name_of


async def evict(api: Api, call: Call, served: Served) -> Response:
    options = write_options(call.request, "CreateOptions")
    eviction, warnings = decode(await read_body(call), body_media_type(call.request), EVICTION)
    if name_of(eviction) not in ("", call.info.name):
        raise BadRequest("name in URL does not match name in Eviction object")
    deletion = parse_delete_options(eviction.get("deleteOptions") or {})
    deletion = replace(deletion, dry_run=deletion.dry_run or options.dry_run)
    write = Write(api, call, served, WriteOptions(deletion.dry_run), "eviction", warnings)
    await remove(write, call.info.namespace, call.info.name, deletion)
    return respond.of_obj(call.request, SUCCESS, 201, write.warnings)
