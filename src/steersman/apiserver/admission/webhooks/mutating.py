"""Mutating webhooks: one after the other, each sees what those before have made.

What they change is checked and given its defaults as if a client had sent it, and owned by nobody (handlers/ownership.py). When
anything has changed, all that mutates runs once more: there, those with reinvocationPolicy IfNeeded that had been asked before
the change.
Source: upstream apiserver/pkg/admission/plugin/webhook/mutating.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import orjson

from steersman.api.decode import typecheck
from steersman.api.schema.zeros import fill
from steersman.apiserver.admission.webhooks.calling import Calling, Invocation
from steersman.apiserver.admission.webhooks.review import Answer
from steersman.apiserver.contracts import AdmissionRequest
from steersman.machinery import bulk, depth
from steersman.machinery.apply import managers
from steersman.machinery.errors import InternalError, StatusError
from steersman.machinery.meta import Obj
from steersman.machinery.patch import json_patch
from steersman.machinery.patch.errors import PatchRejected

_MUTATION = "mutation.webhook.admission.k8s.io/round_{}_index_{}"
_PATCH = "patch.webhook.admission.k8s.io/round_{}_index_{}"
_FAILED_OPEN = "failed-open.mutation.webhook.admission.k8s.io/round_{}_index_{}"
_MEMORY = "MutatingAdmissionWebhook"
_JSON_PATCH = "JSONPatch"
_BAD_OWNERS = (
    ".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated mutating admission "
    "controller; please fix your requests: {}"
)


@dataclass(slots=True)
class _Memory:
    """What the second time has to know of the first. asked: those that may be asked again; due: those that are to be."""

    asked: set[str] = field(default_factory=set)
    due: set[str] = field(default_factory=set)
    left: Obj | None = None
    """The object as the webhooks left it, if any may be asked again."""

    def changed(self) -> None:
        self.due |= self.asked
        self.asked = set()


class Mutating:
    def __init__(self, calling: Calling) -> None:
        self._calling = calling
        self.counts, self.close = calling.counts, calling.close

    async def ask(self, request: AdmissionRequest) -> None:
        """Raises StatusError."""
        memory = _memory(request)
        if request.again and memory.left is not None and memory.left != request.obj:
            memory.changed()
        for index, hook in enumerate(self._calling.hooks):
            if request.again and hook.uid not in memory.due:
                continue
            it = await self._calling.meets(hook, index, request)
            if it is None:
                continue
            if await self._one(it, request):
                memory.changed()
                request.changed_from_outside = True
            if hook.reinvocable:
                memory.asked.add(hook.uid)
        memory.left = copy.deepcopy(request.obj) if memory.asked | memory.due and not request.again else None

    async def _one(self, it: Invocation, request: AdmissionRequest) -> bool:
        """Ask, and take over what it has changed; whether that is anything."""
        answer = await self._calling.ask(it, request)
        place = (int(request.again), it.index)
        if answer is None:
            request.audit_annotations[_FAILED_OPEN.format(*place)] = it.hook.name
            return False
        changed = await self._patched(it, request, answer)
        told = {"configuration": it.hook.configuration, "webhook": it.hook.name, "mutated": changed}
        request.audit_annotations[_MUTATION.format(*place)] = orjson.dumps(told).decode()
        if changed:
            del told["mutated"]
            told |= {"patch": orjson.Fragment(answer.patch), "patchType": answer.patch_type}
            request.audit_annotations[_PATCH.format(*place)] = orjson.dumps(told).decode()
        return changed

    async def _patched(self, it: Invocation, request: AdmissionRequest, answer: Answer) -> bool:
        try:
            ops = json_patch.decode(answer.patch) if answer.patch else []
            if not ops:
                return False
            if it.obj is None or request.obj is None:
                text = "attempted to modify the object, which is not supported for this operation"
                raise InternalError.of(f'admission webhook "{it.hook.name}" {text}')
            if answer.patch_type != _JSON_PATCH:
                raise InternalError.of(f'failed calling webhook "{it.hook.name}": unsupported patch type "{answer.patch_type}"')
            made = self._settled(json_patch.apply(it.obj, ops), it.obj)
            if made == it.obj:
                return False
            _keep_owners(made, it.obj, request)
            if it.matched[:3] != request.resource[:3] and made.get("apiVersion") == it.matched.api_version:
                made = await self._calling.versions.convert(made, it.matched, request.resource)
            _replace(request.obj, made)
            return True
        except StatusError as error:
            self.counts.rejection(it.hook.name, request.operation, "apiserver_internal_error", 0)
            if isinstance(error, InternalError):
                raise
            raise InternalError.of(error.why if isinstance(error, PatchRejected) else error.message) from error

    def _settled(self, patched: Any, before: Obj) -> Obj:
        """A patched object of its own, checked and with its defaults. Raises InternalError."""
        if not isinstance(patched, dict):
            raise InternalError.of("the patched object is no JSON object")
        try:
            made: Obj = depth.loads(orjson.dumps(patched), bulk.MOST_STORED)
        except (TypeError, depth.TooDeep) as fault:
            raise InternalError.of(str(fault)) from fault
        names = [(obj.get("apiVersion"), obj.get("kind")) for obj in (made, before)]
        if names[0] != names[1]:
            raise InternalError.of(f"a webhook may not change {names[1]} into {names[0]}")
        spec = self._calling.kinds.spec_of(made)
        if spec is None:
            return made
        checked = typecheck(made, spec)
        if checked.errors:
            raise InternalError.of(checked.errors[0])
        if spec.schema:
            made["kind"], made["apiVersion"] = spec.kind, spec.resource.api_version
        spec.default(made)
        if spec.schema:
            fill(made, spec.schema)
        return made


def _memory(request: AdmissionRequest) -> _Memory:
    if request.memory is None:
        request.memory = {}
    found = request.memory.setdefault(_MEMORY, _Memory())
    assert isinstance(found, _Memory)
    return found


def _keep_owners(made: Obj, before: Obj, request: AdmissionRequest) -> None:
    """Who owns what, as it was, if what a webhook has made of it cannot be read."""
    was, now = ((obj.get("metadata") or {}).get("managedFields") for obj in (before, made))
    if was == now:
        return
    try:
        managers.decode(now or [])
    except ValueError as fault:
        request.warnings.append(_BAD_OWNERS.format(fault))
        made["metadata"]["managedFields"] = was


def _replace(obj: Obj, made: Obj) -> None:
    """In place, down to the metadata: whoever holds them goes on with what is there now."""
    meta = obj.get("metadata")
    obj.clear()
    obj.update(made)
    if isinstance(meta, dict) and isinstance(made.get("metadata"), dict):
        fresh = dict(made["metadata"])
        meta.clear()
        meta.update(fresh)
        obj["metadata"] = meta
