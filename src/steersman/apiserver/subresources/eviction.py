"""pods/eviction: a deletion by request of policy/v1, if the pod's disruption budget allows it."""

from __future__ import annotations

from dataclasses import replace

from steersman.api.decode import decode
from steersman.api.groups.bodies import EVICTION
from steersman.apiserver import respond
from steersman.apiserver.contracts import Call
from steersman.apiserver.handlers.context import Api
from steersman.apiserver.handlers.delete import check_preconditions, remove
from steersman.apiserver.handlers.options import WriteOptions, parse_delete_options, write_options
from steersman.apiserver.handlers.update import AS_IS, modify
from steersman.apiserver.handlers.write import Write, read_body
from steersman.apiserver.http import Response
from steersman.apiserver.negotiate import body_media_type
from steersman.apiserver.registry import Served
from steersman.apiserver.subresources import budgets
from steersman.apiserver.subresources.binding import SUCCESS
from steersman.machinery.errors import BadRequest, NotFound
from steersman.machinery.meta import Obj, dig, is_deleting, name_of, set_condition

_UNGUARDED = ("Pending", "Succeeded", "Failed")
"""Pods that serve nobody: no budget is asked about them."""


async def evict(api: Api, call: Call, served: Served) -> Response:
    options = write_options(call.request, "CreateOptions")
    eviction, warnings = decode(await read_body(call), body_media_type(call.request), EVICTION)
    if name_of(eviction) not in ("", call.info.name):
        raise BadRequest("name in URL does not match name in Eviction object")
    deletion = parse_delete_options(eviction.get("deleteOptions") or {})
    deletion = replace(deletion, dry_run=deletion.dry_run or options.dry_run)
    namespace, name = call.info.namespace, call.info.name
    found = await api.current(served, namespace, name)
    if found is None:
        raise NotFound.of("", "pods", name)
    pod = served.decode(found)
    check_preconditions(served, name, pod, deletion)
    write = Write(api, call, served, WriteOptions(deletion.dry_run), "eviction", warnings, deletion)
    await api.admission.connect(write.admission("CREATE", name, eviction, None))
    if not is_deleting(pod):
        if dig(pod, "status", "phase") not in _UNGUARDED:
            await budgets.spend(api, call, pod, dry_run=deletion.dry_run)
        if not deletion.dry_run:
            await _mark(Write(api, call, served, WriteOptions(), "status"), namespace, name)
            # The mark is a new version; what was asked for was checked above.
            deletion = replace(deletion, resource_version="")
    await remove(write, namespace, name, deletion)
    return respond.of_obj(call.request, SUCCESS, 201, write.warnings)


async def _mark(write: Write, namespace: str, name: str) -> None:
    """Say in the pod's status why it goes, for whoever counts failures (KEP-3329)."""

    async def change(pod: Obj) -> Obj:
        conditions = pod.setdefault("status", {}).setdefault("conditions", [])
        reason, message = "EvictionByEvictionAPI", "Eviction API: evicting"
        set_condition(conditions, "DisruptionTarget", "True", write.api.clock.now(), reason=reason, message=message)
        return pod

    await modify(write, namespace, name, change, steps=AS_IS, skip_admission=True)
