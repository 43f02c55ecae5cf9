"""update, and the guaranteed update that patch, subresources and deletion build on.

`modify` reads the object as it is now, lets the caller make the new state from it, takes it through admission, strategy and
validation, and commits it if nobody was faster; else it starts again from what is there then.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import NamedTuple

import orjson

from steersman.api.validation import objectmeta
from steersman.apiserver import respond
from steersman.apiserver.contracts import Call, Verdict
from steersman.apiserver.handlers import life, ownership
from steersman.apiserver.handlers.context import Api
from steersman.apiserver.handlers.create import insert
from steersman.apiserver.handlers.options import write_options
from steersman.apiserver.handlers.write import Extra, Write, decode_body, match_url, read_body
from steersman.apiserver.http import Response
from steersman.apiserver.registry import Served
from steersman.apiserver.storage import Stored
from steersman.machinery import fielderrors, gonumbers
from steersman.machinery.errors import Conflict, Forbidden, MethodNotAllowed, NotFound
from steersman.machinery.fielderrors import FieldError
from steersman.machinery.meta import Obj, metadata, name_of
from steersman.store.interface import Commit

TRIES = 30
_KEPT = ("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink")
_TIMED = ("resourceVersion", "managedFields")

Change = Callable[[Obj], Awaitable[Obj]]
"""From the object as it is (the caller's own copy, in the served version) to the wanted one."""


class Steps(NamedTuple):
    """What a subresource does in place of the strategy's update: prepare(new, old) in place, validate(new, old) -> errors."""

    prepare: Callable[[Obj, Obj], None]
    validate: Callable[[Obj, Obj], list[FieldError]]


def _as_is(_new: Obj, _old: Obj) -> None:
    return None


def _no_errors(_new: Obj, _old: Obj) -> list[FieldError]:
    return []


AS_IS = Steps(_as_is, _no_errors)
"""For subresources whose change is already all that may happen."""


async def update(api: Api, call: Call, served: Served) -> Response:
    """PUT on an object, its status or another part of it."""
    info = call.info
    check_updatable(served, info.subresource, "update")
    write = Write(api, call, served, write_options(call.request, "UpdateOptions"), info.subresource)
    body = await read_body(call)
    first = decode_body(write, body)
    match_url(first, served, info.namespace, info.name)
    if not info.subresource and served.spec.strategy.create_on_update:
        created = await _create_instead(write, first)
        if created is not None:
            return respond.of_stored(call.request, served, created, api.clock.now(), 201, write.warnings)
    pristine = orjson.dumps(first)
    asked = await check_version(write, first)

    async def wanted(_: Obj) -> Obj:
        fresh: Obj = orjson.loads(pristine)
        return fresh

    stored = await modify(write, info.namespace, info.name, wanted, asked=asked)
    return respond.of_stored(call.request, served, stored, api.clock.now(), 200, write.warnings)


def check_updatable(served: Served, subresource: str, verb: str) -> None:
    """Raises MethodNotAllowed for subresources that are no part of the object, and for kinds without the verb."""
    known = subresource == "status" or subresource in served.spec.strategy.parts if subresource else verb in served.spec.verbs
    if not known:
        raise MethodNotAllowed


async def check_version(write: Write, obj: Obj) -> int:
    """The resourceVersion that the update insists on; 0 if it does not. Raises Invalid, or NotFound if nothing is there."""
    text = str(metadata(obj).get("resourceVersion") or "")
    try:
        number = gonumbers.parse_uint(text) if text else 0
    except ValueError:
        await _refuse_version(write, name_of(obj), text, "must be a valid resource version")
        return 0
    if not number and not write.served.spec.strategy.unconditional_update:
        await _refuse_version(write, name_of(obj), 0, "must be specified for an update")
    return number


async def _refuse_version(write: Write, name: str, value: object, why: str) -> None:
    api, info, served = write.api, write.call.info, write.served
    if await api.current(served, info.namespace, info.name) is None:
        raise NotFound.of(served.resource.group, served.resource.plural, info.name)
    write.refuse(name, [fielderrors.invalid("metadata.resourceVersion", value, why)])


async def _create_instead(write: Write, obj: Obj) -> Stored | None:
    """For kinds that PUT may create: the new object, or None if there is one already."""
    api, info, served = write.api, write.call.info, write.served
    if await api.current(served, info.namespace, info.name) is not None:
        return None
    verdict, _ = await api.authorizer.authorize(write.call.user, replace(info, verb="create"))
    if verdict is not Verdict.ALLOW:
        raise Forbidden.of(served.resource.group, served.resource.plural, info.name, "creation on update needs the verb create")
    metadata(obj).pop("resourceVersion", None)
    return await insert(write, obj)


async def modify(
    write: Write,
    namespace: str,
    name: str,
    change: Change,
    *,
    asked: int = 0,
    steps: Steps | None = None,
    skip_admission: bool = False,
    follow: bool = True,
) -> Stored:
    """Guaranteed update. asked: a resourceVersion that must still be the current one (else Conflict).

    steps: in place of the strategy's. follow: who writes owns what is changed (else `change` has said who owns what); what skips
    admission is the server's own doing, and owned by nobody. Raises NotFound, Conflict, Invalid, and whatever admission and
    `change` raise.
    """
    api, served = write.api, write.served
    key = served.key(namespace, name)
    current = await api.current(served, namespace, name)
    for _ in range(TRIES):
        if current is None:
            raise NotFound.of(served.resource.group, served.resource.plural, name)
        if asked and asked != current.revision:
            raise Conflict.of(served.resource.group, served.resource.plural, name)
        old = served.decode(current)
        new = await change(served.decode(current))
        insisted = str(metadata(new).get("resourceVersion") or "")
        if insisted and insisted != "0" and insisted != str(current.revision):
            raise Conflict.of(served.resource.group, served.resource.plural, name)
        if follow and not skip_admission:
            ownership.follow_update(write, new, old)
        extra = await prepare(write, new, old, name, steps or _steps(write), skip_admission=skip_admission)
        request = None if skip_admission else write.admission("UPDATE", name, new, old)
        if write.options.dry_run:
            if request is not None:
                await write.afford(request)
            return write.stored(key, write.encoded(new), current.revision)
        if life.finished(new):
            commit = await api.commit(served, key, None, current.revision, await write.hooks(None, old))
            if commit.ok:
                return write.stored(key, write.encoded(new), commit.revision or current.revision)
        else:
            value = write.encoded(new)
            if _unchanged(new, old) and not await api.stale(key):
                return current
            if request is None:
                commit = await api.commit(served, key, value, current.revision, extra)
            else:
                commit = await write.commit(key, value, current.revision, extra, request)
            if commit.ok:
                return write.committed(key, value, commit.revision)
        current = from_commit(served, key, commit)
    raise Conflict.of(served.resource.group, served.resource.plural, name)


def from_commit(served: Served, key: str, commit: Commit) -> Stored | None:
    """The object as a refused commit found it."""
    entry = commit.current.get(key)
    return served.form.stored(key, entry.value, entry.mod_revision) if entry is not None else None


def _steps(write: Write) -> Steps:
    strategy = write.served.spec.strategy
    if write.subresource == "status":
        return Steps(strategy.prepare_status_update, strategy.validate_status_update)
    if write.subresource in strategy.parts:
        return Steps(*strategy.parts[write.subresource])
    return Steps(strategy.prepare_update, strategy.validate_update)


async def prepare(write: Write, new: Obj, old: Obj, name: str, steps: Steps, *, skip_admission: bool = False) -> Extra:
    """Take a new state through admission, hooks, strategy and validation. `new` is changed in place."""
    api = write.api
    meta, old_meta = metadata(new), metadata(old)
    if (uid := meta.get("uid")) and uid != old_meta.get("uid"):
        text = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old_meta.get('uid')}"
        raise Conflict.of(write.served.resource.group, write.served.resource.plural, name, text)
    meta["uid"] = old_meta.get("uid")
    for key in _KEPT:
        if key in old_meta:
            meta[key] = old_meta[key]
        else:
            meta.pop(key, None)
    if not skip_admission:
        await api.admission.admit(write.admission("UPDATE", name, new, old))
    # Hooks come after the strategy: a status update has the old spec only from then on, and addresses follow the spec.
    steps.prepare(new, old)
    extra = await write.hooks(new, old)
    for key in ("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"):
        if key in old_meta:
            meta[key] = old_meta[key]
    custom = not write.served.spec.schema
    await write.judge(new, old, lambda new: objectmeta.validate_update(new, old, custom=custom) + steps.validate(new, old))
    if not skip_admission:
        await api.admission.validate(write.admission("UPDATE", name, new, old))
    return extra


def _unchanged(new: Obj, old: Obj) -> bool:
    """Whether a write would change nothing but times in managedFields, which would change with every write.

    Python's == takes True for 1, so equal objects are compared as bytes again.
    """
    if new.keys() != old.keys() or any(value != old[key] for key, value in new.items() if key != "metadata"):
        return False
    bare = [
        {**obj, "metadata": {key: obj["metadata"][key] for key in obj["metadata"] if key not in _TIMED}} for obj in (new, old)
    ]
    if bare[0] != bare[1] or not ownership.same_but_times(new, old):
        return False
    return orjson.dumps(bare[0], option=orjson.OPT_SORT_KEYS) == orjson.dumps(bare[1], option=orjson.OPT_SORT_KEYS)
