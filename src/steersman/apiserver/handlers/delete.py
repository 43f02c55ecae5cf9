"""delete and deletecollection: mark, wait for grace and finalizers, or remove at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from steersman.apiserver import respond
from steersman.apiserver.contracts import Call
from steersman.apiserver.handlers import life
from steersman.apiserver.handlers.context import Api
from steersman.apiserver.handlers.options import DeleteOptions, WriteOptions, delete_options, list_options
from steersman.apiserver.handlers.read import Page, find, list_response
from steersman.apiserver.handlers.update import TRIES, from_commit
from steersman.apiserver.handlers.write import Write, read_body
from steersman.apiserver.http import Response
from steersman.apiserver.registry import Served
from steersman.apiserver.storage import Stored
from steersman.machinery.errors import Conflict, MethodNotAllowed, NotFound
from steersman.machinery.meta import Obj, is_deleting, metadata, uid_of

_AT_ONCE = 64
"""Objects of a collection deleted beside each other: they share the store's commits."""


@dataclass(slots=True)
class Removal:
    """The object as the deletion left it. removed: it is gone."""

    stored: Stored
    removed: bool


async def delete(api: Api, call: Call, served: Served) -> Response:
    if "delete" not in served.spec.verbs:
        raise MethodNotAllowed
    options = delete_options(call.request, await read_body(call))
    write = _write(api, call, served, options)
    removal = await remove(write, call.info.namespace, call.info.name, options)
    if removal.removed and not served.spec.delete_returns_object:
        return respond.of_obj(call.request, success(served, removal.stored), 200, write.warnings)
    status = 202 if options.said_no_orphans and not removal.removed else 200
    return respond.of_stored(call.request, served, removal.stored, api.clock.now(), status, write.warnings)


def _write(api: Api, call: Call, served: Served, options: DeleteOptions) -> Write:
    warning = served.spec.strategy.delete_warning
    warnings = [] if options.propagation or not warning else [warning]
    return Write(api, call, served, WriteOptions(options.dry_run), warnings=warnings, deletion=options)


def success(served: Served, stored: Stored) -> Obj:
    """The Status that answers a deletion."""
    details = {
        "name": stored.name,
        "group": served.resource.group,
        "kind": served.resource.plural,
        "uid": uid_of(stored.peek()),
    }
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {key: value for key, value in details.items() if value},
    }


async def remove(write: Write, namespace: str, name: str, options: DeleteOptions) -> Removal:
    """Delete one object as far as grace and finalizers allow now. Raises NotFound, Conflict, and what admission raises."""
    api, served = write.api, write.served
    key = served.key(namespace, name)
    current = await api.current(served, namespace, name)
    admitted = False
    for _ in range(TRIES):
        if current is None:
            raise NotFound.of(served.resource.group, served.resource.plural, name)
        old = served.decode(current)
        check_preconditions(served, name, old, options)
        if not admitted:
            request = write.admission("DELETE", name, None, old)
            await api.admission.admit(request)
            await api.admission.validate(request)
            admitted = True
        new = served.decode(current)
        if not is_deleting(new):
            served.spec.strategy.prepare_delete(new, api.clock.now())
        life.set_propagation(new, served.spec.strategy, options.propagation)
        life.mark(new, served.spec.strategy, options.grace_period_s, api.clock.now())
        removed = life.finished(new)
        if options.dry_run:
            return Removal(write.stored(key, write.encoded(new, bounded=False), current.revision), removed)
        if not removed and new == old:
            return Removal(current, False)
        value = write.encoded(new, bounded=False)
        extra = await write.hooks(None, old) if removed else ((), ())
        commit = await api.commit(served, key, None if removed else value, current.revision, extra)
        if commit.ok:
            return Removal(write.committed(key, value, commit.revision), removed)
        current = from_commit(served, key, commit)
    raise Conflict.of(served.resource.group, served.resource.plural, name)


def check_preconditions(served: Served, name: str, old: Obj, options: DeleteOptions) -> None:
    """Raises Conflict."""
    resource, meta = served.resource, metadata(old)
    if options.uid and options.uid != meta.get("uid"):
        raise Conflict.of(
            resource.group,
            resource.kind,
            name,
            f"the UID in the precondition ({options.uid}) does not match the UID in record ({meta.get('uid')}). "
            "The object might have been deleted and then recreated",
        )
    if options.resource_version and options.resource_version != meta.get("resourceVersion"):
        raise Conflict.of(
            resource.group,
            resource.kind,
            name,
            f"the ResourceVersion in the precondition ({options.resource_version}) does not match the ResourceVersion in record "
            f"({meta.get('resourceVersion')}). The object might have been modified",
        )


async def delete_collection(api: Api, call: Call, served: Served) -> Response:
    """Delete all that a list with the same options finds; answers that list."""
    if "deletecollection" not in served.spec.verbs or (served.resource.namespaced and not call.info.namespace):
        raise MethodNotAllowed
    options = delete_options(call.request, await read_body(call))
    page = await find(api, call, served, list_options(call.request))
    write = _write(api, call, served, options)
    for start in range(0, len(page.items), _AT_ONCE):
        await _together(write, page.items[start : start + _AT_ONCE], options)
    return respond.of_bytes(call.request, list_response(served, Page(page.items, page.revision)).whole(), 200, write.warnings)


async def _together(write: Write, items: list[Stored], options: DeleteOptions) -> None:
    failures: list[Exception] = []

    async def one(stored: Stored) -> None:
        try:
            await remove(write, stored.namespace, stored.name, options)
        except NotFound:
            pass
        except Exception as fault:  # the others go on; the first failure is raised when all are done
            failures.append(fault)

    async with asyncio.TaskGroup() as tasks:
        for stored in items:
            tasks.create_task(one(stored))
    if failures:
        raise failures[0]
