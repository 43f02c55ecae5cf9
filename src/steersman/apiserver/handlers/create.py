"""create: decode, admit, name, prepare, validate, store."""

from __future__ import annotations

import copy

from steersman.api.validation import objectmeta
from steersman.apiserver import respond
from steersman.apiserver.contracts import Call
from steersman.apiserver.handlers import ownership
from steersman.apiserver.handlers.context import Api
from steersman.apiserver.handlers.options import write_options
from steersman.apiserver.handlers.write import Write, decode_body, match_url, read_body
from steersman.apiserver.http import Response
from steersman.apiserver.registry import Served
from steersman.apiserver.storage import Stored
from steersman.machinery import names
from steersman.machinery.errors import AlreadyExists, Conflict, Forbidden, MethodNotAllowed, StatusError
from steersman.machinery.fielderrors import FieldError
from steersman.machinery.meta import Obj, is_deleting, metadata, name_of, new_uid

GENERATE_TRIES = 8
HOOK_TRIES = 10
_WIPED = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink")


async def create(api: Api, call: Call, served: Served) -> Response:
    if "create" not in served.spec.verbs or call.info.name or (served.resource.namespaced and not call.info.namespace):
        raise MethodNotAllowed
    write = Write(api, call, served, write_options(call.request, "CreateOptions"))
    obj = decode_body(write, await read_body(call))
    match_url(obj, served, call.info.namespace, "")
    if served.spec.terminating:
        text = "create not allowed while custom resource definition is terminating"
        raise Forbidden.of(served.resource.group, served.resource.plural, name_of(obj), text)
    stored = await insert(write, obj)
    return respond.of_stored(call.request, served, stored, api.clock.now(), 201, write.warnings)


async def insert(write: Write, obj: Obj, *, follow: bool = True) -> Stored:
    """Store a decoded new object. Raises AlreadyExists, Invalid, and whatever admission raises.

    follow: who creates it owns what is in it (else the caller has said who owns what).
    """
    api, served = write.api, write.served
    meta = metadata(obj)
    if meta.get("resourceVersion"):
        raise StatusError("resourceVersion should not be set on objects to be created")
    for key in _WIPED:
        meta.pop(key, None)
    if follow:
        ownership.follow_create(write, obj)
    meta["uid"] = new_uid()
    meta["creationTimestamp"] = api.timestamp()
    request = write.admission("CREATE", str(meta.get("name") or ""), obj, None)
    await api.admission.admit(request)
    base = "" if meta.get("name") else str(meta.get("generateName") or "")
    for _ in range(GENERATE_TRIES if base else 1):
        if base:
            meta["name"] = names.generate_name(base, api.rng)
        stored = await _attempt(write, obj)
        if stored is not None:
            return stored
    resource, name = served.resource, name_of(obj)
    if base:
        taken = AlreadyExists.of(resource.group, resource.plural, name).message
        raise AlreadyExists(
            f"{taken}, the server was not able to generate a unique name for the object",
            details={"name": name, "group": resource.group, "kind": resource.plural},
            retry_after_s=1,
        )
    existing = await api.current(served, str(meta.get("namespace") or ""), name)
    deleting = existing is not None and is_deleting(existing.peek())
    raise AlreadyExists.of(resource.group, resource.plural, name, deleting=deleting)


async def _attempt(write: Write, obj: Obj) -> Stored | None:
    """Prepare, validate and commit; None if the name is taken. Hooks get fresh copies, as they change what they see."""
    served, strategy = write.served, write.served.spec.strategy

    def faults(new: Obj) -> list[FieldError]:
        return objectmeta.validate(new, served.spec) + strategy.validate_create(new)

    for _ in range(HOOK_TRIES):
        new = copy.deepcopy(obj) if served.hooks else obj
        strategy.prepare_create(new)
        extra = await write.hooks(new, None)
        name = name_of(new)
        await write.judge(new, None, faults)
        request = write.admission("CREATE", name, new, None)
        await write.api.admission.validate(request)
        key = served.key(str(new["metadata"].get("namespace") or ""), name)
        value = write.encoded(new)
        if write.options.dry_run:
            if await write.api.current(served, str(new["metadata"].get("namespace") or ""), name) is not None:
                return None
            await write.afford(request)
            return Stored(served.form, key, value[len(served.form.head) :], 0)
        commit = await write.commit(key, value, 0, extra, request)
        if commit.ok:
            return write.committed(key, value, commit.revision)
        if commit.current.get(key) is not None:
            return None
    raise Conflict.of(served.resource.group, served.resource.plural, name_of(obj))
