"""What create and update share: decoding a body, checking it against the URL, running admission, hooks and validation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

from steersman.api.decode import decode
from steersman.api.schema.zeros import fill
from steersman.apiserver.contracts import AdmissionRequest, Call, Joining
from steersman.apiserver.handlers.context import Api
from steersman.apiserver.handlers.options import DeleteOptions, WriteOptions
from steersman.apiserver.negotiate import body_media_type
from steersman.apiserver.registry import Served
from steersman.apiserver.storage import Stored, encode
from steersman.machinery import depth
from steersman.machinery.errors import BadRequest, Conflict, Invalid, RequestEntityTooLarge
from steersman.machinery.fielderrors import FieldError
from steersman.machinery.meta import Obj, metadata, name_of
from steersman.store.interface import Commit, Delete, Guard, Put

FieldValidation = Literal["Ignore", "Warn", "Strict"]
Extra = Joining
NOTHING: Extra = ((), ())
CHARGE_TRIES = 100
"""Writers of one namespace take turns within a server; of several servers one is faster each time."""
LARGEST = 6 * 1024 * 1024
"""Bytes of a stored object: those of the largest request, and as many for who owns what in it. etcd itself takes a quarter."""
_OMITTED_EMPTY = ("labels", "annotations", "finalizers", "ownerReferences", "generateName", "creationTimestamp", "managedFields")


@dataclass(slots=True)
class Write:
    """One write request on its way through the steps. `warnings` gathers texts for Warning headers."""

    api: Api
    call: Call
    served: Served
    options: WriteOptions
    subresource: str = ""
    warnings: list[str] = field(default_factory=list)
    deletion: DeleteOptions | None = None

    def admission(self, operation: str, name: str, obj: Obj | None, old: Obj | None) -> AdmissionRequest:
        return AdmissionRequest(
            operation,
            self.served.resource,
            self.subresource,
            self.call.info.namespace,
            name,
            obj,
            old,
            self.call.user,
            self.options.dry_run,
            self.warnings,
            {} if self.call.request.audit is None else self.call.request.audit.annotations,
            options=self.asked,
        )

    def asked(self, operation: str) -> Obj:
        """The request's options, as admission shows them to others."""
        given = self.options
        found: Obj = {"kind": f"{operation.capitalize()}Options", "apiVersion": "meta.k8s.io/v1"}
        if operation == "DELETE" and self.deletion is not None:
            return {**found, **self.deletion.as_object()}
        if given.dry_run:
            found["dryRun"] = ["All"]
        if given.field_manager:
            found["fieldManager"] = given.field_manager
        if given.said_validation:
            found["fieldValidation"] = given.said_validation
        return found

    async def hooks(self, new: Obj | None, old: Obj | None) -> Extra:
        """Guards and operations that join the commit."""
        if not self.served.hooks:
            return NOTHING
        guards: list[Guard] = []
        ops: list[Put | Delete] = []
        for hook in self.served.hooks:
            more_guards, more_ops = await hook.prepare(new, old, dry_run=self.options.dry_run)
            guards += more_guards
            ops += more_ops
        return guards, ops

    async def commit(self, key: str, value: bytes, expected: int, extra: Extra, request: AdmissionRequest) -> Commit:
        """Write the object with what joins it, and with what it costs. Raises what charging raises."""
        charging = self.api.admission.charging
        if charging is None or not charging.concerns(request):
            return await self.api.commit(self.served, key, value, expected, extra)
        for _ in range(CHARGE_TRIES):
            async with charging.charged(request) as (guards, ops):
                joined = ((*extra[0], *guards), (*extra[1], *ops))
                commit = await self.api.commit(self.served, key, value, expected, joined)
            if commit.ok or not _hold((Guard(key, expected), *extra[0]), commit):
                return commit
        raise Conflict.of(self.served.resource.group, self.served.resource.plural, request.name)

    async def afford(self, request: AdmissionRequest) -> None:
        """A dry run: nothing is paid, but it could be. Raises what charging raises."""
        charging = self.api.admission.charging
        if charging is not None and charging.concerns(request):
            async with charging.charged(request):
                return

    def refuse(self, name: str, errors: Sequence[FieldError]) -> None:
        """Raises Invalid if there are errors."""
        if errors:
            raise Invalid.of(self.served.resource.group, self.served.resource.kind, name, errors)

    async def judge(self, new: Obj, old: Obj | None, validate: Callable[[Obj], Sequence[FieldError]]) -> None:
        """Raises Invalid if there are errors; if not, there may be warnings."""
        strategy = self.served.spec.strategy

        def judged() -> tuple[Sequence[FieldError], Sequence[str]]:
            errors = validate(new)
            return errors, () if errors or strategy.warnings is None else strategy.warnings(new, old)

        # Beside the loop, so that others are served meanwhile.
        errors, warnings = await asyncio.to_thread(judged) if strategy.lengthy else judged()
        self.refuse(name_of(new), errors)
        self.warnings += warnings

    def encoded(self, obj: Obj, *, bounded: bool = True) -> bytes:
        """The stored form. Empty metadata fields are left out, and an empty status is there, as in upstream's encoding.

        bounded: patches, defaults and admission may have made it larger than any request. Raises BadRequest,
        RequestEntityTooLarge.
        """
        meta = obj["metadata"]
        for key in _OMITTED_EMPTY:
            if key in meta and not meta[key]:
                del meta[key]
        if self.served.spec.schema:
            fill(obj, self.served.spec.schema)
        try:
            value = encode(self.served.to_storage(obj))
        except TypeError as fault:
            raise depth.error() from fault
        if bounded and len(value) > LARGEST:
            raise RequestEntityTooLarge("etcdserver: request is too large")
        return value

    def stored(self, key: str, value: bytes, revision: int) -> Stored:
        return self.served.form.stored(key, value, revision)

    def committed(self, key: str, value: bytes, revision: int) -> Stored:
        """What was just written: as the cache has it, if it is there already."""
        found = self.served.cache.find(key)
        if found is not None and found.revision == revision and found.form is self.served.form:
            return found
        return self.stored(key, value, revision)


def _hold(guards: Sequence[Guard], commit: Commit) -> bool:
    """Whether all of these guards of a refused commit held, so that it was another that failed."""
    found = ((guard, commit.current.get(guard.key)) for guard in guards)
    return all(guard.mod_revision == (entry.mod_revision if entry is not None else 0) for guard, entry in found)


async def read_body(call: Call) -> bytes:
    return await call.request.read_body() if call.request.read_body is not None else b""


def decode_body(write: Write, body: bytes) -> Obj:
    """The object in a request body. Raises BadRequest, UnsupportedMediaType."""
    validation = cast(FieldValidation, write.options.field_validation)
    obj, warnings = decode(body, body_media_type(write.call.request), write.served.spec, validation)
    write.warnings += warnings
    if write.call.request.audit is not None:
        write.call.request.audit.requested(obj)
    return obj


def match_url(obj: Obj, served: Served, namespace: str, name: str) -> None:
    """Name and namespace of the URL win where the object has none. Raises BadRequest where they differ."""
    meta = metadata(obj)
    if served.resource.namespaced:
        given = meta.get("namespace")
        if not given:
            meta["namespace"] = namespace
        elif given != namespace:
            raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
    elif "namespace" in meta:
        del meta["namespace"]
    if name:
        given = meta.get("name")
        if not given:
            meta["name"] = name
        elif given != name:
            raise BadRequest(f"the name of the object ({given}) does not match the name on the URL ({name})")
