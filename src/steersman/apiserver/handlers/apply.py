"""PATCH with application/apply-patch+yaml: server-side apply (KEP-555) to an object, new or not, or to a part of one.

The object is merged with what is applied (machinery/apply); from there on it takes the way of every update, or of every create.
Not here: who owns what after other writes (ownership.py), the scale subresource (subresources/scale.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import orjson

from steersman.api.decode import typecheck
from steersman.api.managedfields import reset
from steersman.apiserver import respond
from steersman.apiserver.contracts import Call, Verdict
from steersman.apiserver.handlers import lastapplied, ownership
from steersman.apiserver.handlers.context import Api
from steersman.apiserver.handlers.create import insert
from steersman.apiserver.handlers.options import write_options
from steersman.apiserver.handlers.update import Steps, modify
from steersman.apiserver.handlers.write import Write, match_url, read_body
from steersman.apiserver.http import Response
from steersman.apiserver.registry import Served
from steersman.apiserver.storage import Stored
from steersman.machinery import bulk, depth
from steersman.machinery.apply import conflicts, managers
from steersman.machinery.apply.managers import APPLY, UPDATE, Managers, manager_id
from steersman.machinery.apply.types import KeyFault
from steersman.machinery.apply.updater import Applied, Conflicts, Fault, Versions, Writer, apply, update
from steersman.machinery.errors import AlreadyExists, BadRequest, Conflict, Forbidden, NotFound, StatusError
from steersman.machinery.gvk import split_api_version
from steersman.machinery.meta import Obj

APPLY_PATCH = "application/apply-patch+yaml"
_FIRST_APPLY = "before-first-apply"
_TRIES = 10


class Config(NamedTuple):
    """What is applied. repeated: keys that the YAML has twice."""

    obj: Obj
    repeated: list[str]


def is_apply(call: Call) -> bool:
    return call.request.headers.get("content-type", "").partition(";")[0].strip().lower() == APPLY_PATCH


async def apply_patch(api: Api, call: Call, served: Served, steps: Steps | None = None) -> Response:
    """served: checked to have what is patched. steps: in place of the strategy's."""
    info = call.info
    config = read(await read_body(call))
    write = Write(api, call, served, write_options(call.request, "PatchOptions", apply=True), info.subresource)
    for _ in range(_TRIES):
        if not info.subresource and await api.current(served, info.namespace, info.name) is None:
            created = await _create(write, config)
            if created is not None:
                return respond.of_stored(call.request, served, created, api.clock.now(), 201, write.warnings)
        try:
            stored = await _update(write, config, steps)
        except NotFound:
            if info.subresource:
                raise
            continue  # gone since it was looked for
        return respond.of_stored(call.request, served, stored, api.clock.now(), 200, write.warnings)
    raise Conflict.of(served.resource.group, served.resource.plural, info.name)


def read(body: bytes) -> Config:
    """Raises BadRequest, RequestEntityTooLarge."""
    from steersman.machinery import yamlio  # PyYAML is not needed by most processes

    repeated: list[str] = []
    try:
        obj = yamlio.load(body, repeated, bulk.MOST_VALUES)
        if depth.exceeded(obj):
            raise depth.TooDeep
    except ValueError as error:
        raise BadRequest(f"error decoding YAML: {error}") from None
    if obj is None:
        obj = {}
    if not isinstance(obj, dict):
        raise BadRequest("error decoding YAML: json: cannot unmarshal into Go value of type map[string]interface {}")
    return Config(obj, repeated)


async def _create(write: Write, config: Config) -> Stored | None:
    """The new object, or None if somebody was faster."""
    api, info, resource = write.api, write.call.info, write.served.resource
    given = config.obj.get("metadata")
    if isinstance(given, dict) and given.get("uid"):
        why = f"uid mismatch: the provided object specified uid {given['uid']}, and no existing object was found"
        raise Conflict.of(resource.group, resource.plural, info.name, why)
    if write.served.spec.terminating:
        text = "create not allowed while custom resource definition is terminating"
        raise Forbidden.of(resource.group, resource.plural, info.name, text)
    obj = _applied(write, {}, config)
    match_url(obj, write.served, info.namespace, info.name)
    verdict, reason = await api.authorizer.authorize(write.call.user, replace(info, verb="create"))
    if verdict is not Verdict.ALLOW:
        raise Forbidden.of(resource.group, resource.plural, info.name, reason)
    try:
        return await insert(write, obj, follow=False)
    except AlreadyExists:
        return None


async def _update(write: Write, config: Config, steps: Steps | None) -> Stored:
    info = write.call.info

    async def change(current: Obj) -> Obj:
        obj = _applied(write, current, config)
        match_url(obj, write.served, info.namespace, info.name)
        return obj

    return await modify(write, info.namespace, info.name, change, steps=steps, follow=False)


def _applied(write: Write, live: Obj, config: Config) -> Obj:
    """The live object (empty for a new one) with the configuration applied, checked and defaulted, managedFields set."""
    spec, served = write.served.spec, write.served
    version = served.resource.api_version
    check_kind(config.obj, spec.kind, version)
    owners = managers.stored((live.get("metadata") or {}).get("managedFields"))
    owners = ownership.current(served, owners, write.api.registry)
    live = without_managers(live)
    who = manager_id(write.options.field_manager, APPLY, version, write.subresource)
    writer = Writer(who, version, reset(spec, write.subresource, creating=not live), write.api.timestamp())
    versions = ownership.KindVersions(write.api.registry, served)
    found = applied(live, config.obj, owners, writer, versions, force=write.options.force)
    tell_repeated(write, config)
    try:
        obj: Obj = depth.loads(orjson.dumps(found.obj if found.obj is not None else live), bulk.MOST_STORED)
    except (TypeError, depth.TooDeep) as fault:
        raise depth.error() from fault
    obj["kind"], obj["apiVersion"] = spec.kind, version
    faults = typecheck(obj, spec).errors
    if faults:
        raise StatusError(f"unable to convert unstructured object to {spec.kind}: {faults[0]}")
    lastapplied.follow(obj, config.obj, writer)
    spec.default(obj)
    try:
        ownership.put(obj, {**found.managers, **versions.aside(owners)}, owners)
    except RecursionError:
        raise depth.error() from None
    return obj


def check_kind(config: Obj, kind: str, api_version: str) -> None:
    """Raises BadRequest."""
    given, version = config.get("kind") or "", config.get("apiVersion") or ""
    if (given, version) != (kind, api_version):
        group, short = split_api_version(str(version)) if version else ("", "")
        raise BadRequest(f"invalid object type: {group}/{short}, Kind={given}")
    meta = config.get("metadata")
    if isinstance(meta, dict) and meta.get("managedFields") is not None:
        raise BadRequest("metadata.managedFields must be nil")


def tell_repeated(write: Write, config: Config) -> None:
    """Raises BadRequest."""
    mode = write.options.field_validation
    if not config.repeated or mode == "Ignore":
        return
    lines = "".join(f"\n  {text}" for text in config.repeated)
    text = f"error converting YAML to JSON: yaml: unmarshal errors:{lines}"
    if mode == "Strict":
        raise BadRequest(f"error strict decoding YAML: {text}")
    if text not in write.warnings:
        write.warnings.append(text)


def without_managers(live: Obj) -> Obj:
    if "managedFields" not in (live.get("metadata") or ()):
        return live
    return {**live, "metadata": {key: value for key, value in live["metadata"].items() if key != "managedFields"}}


def applied(live: Obj, config: Obj, owners: Managers, writer: Writer, versions: Versions, *, force: bool) -> Applied:
    """machinery's apply, with what the server does for objects that were never applied, or only by kubectl.

    live is empty for a new object. Raises Conflict, StatusError.
    """
    try:
        if live and not owners:
            owners = _before(live, writer, versions)
        try:
            found = apply(live, config, owners, writer, versions, force=force)
        except Conflicts as refused:
            left = lastapplied.still_refused(refused, live, writer, versions)
            if left is not None:
                raise conflicts.error_of(left) from None
            found = apply(live, config, owners, writer, versions, force=True)
    except (Fault, KeyFault) as fault:
        raise StatusError(str(fault)) from fault
    except RecursionError as fault:
        raise depth.error() from fault
    return found


def _before(live: Obj, writer: Writer, versions: Versions) -> Managers:
    """Who owned what before anybody was asked: one manager for all that is there."""
    who = manager_id(_FIRST_APPLY, UPDATE, writer.api_version, writer.who.subresource)
    return update({}, live, {}, writer._replace(who=who), versions)
