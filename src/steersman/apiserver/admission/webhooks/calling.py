"""Which webhooks a request meets, what they are asked, and what comes of asking one: shared by both sorts.

Source: upstream apiserver/pkg/admission/plugin/webhook/generic and util/webhook.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from steersman.api.groups import admissionregistration_v1 as group
from steersman.api.resources import SERVICES
from steersman.api.schema.zeros import fill
from steersman.apiserver.admission.policies import inputs
from steersman.apiserver.admission.policies.evaluation import Checks, Fault
from steersman.apiserver.admission.policies.judging import met
from steersman.apiserver.admission.policies.kinds import Kinds
from steersman.apiserver.admission.versions import Versions
from steersman.apiserver.admission.webhooks import review
from steersman.apiserver.admission.webhooks.configured import Configured, Hook
from steersman.apiserver.admission.webhooks.counts import Counts
from steersman.apiserver.admission.webhooks.review import Answer, BadAnswer, Denied
from steersman.apiserver.contracts import AdmissionRequest, Authorizer, Lister
from steersman.apiserver.hookclient import HookClient, NoAnswer
from steersman.apiserver.lookup import Lookup
from steersman.apiserver.registry import Registry
from steersman.machinery.clock import Clock
from steersman.machinery.errors import BadRequest, Forbidden, InternalError, StatusError
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

log = logging.getLogger(__name__)

_OK = 200
_WHOLE = ("", "status")
"""Subresources whose body is the object itself, which may be converted."""


class Failed(Exception):
    """A webhook that gave no answer to go by. code: the HTTP status that it gave, if that was the matter."""

    def __init__(self, why: str, code: int = 0) -> None:
        super().__init__(why)
        self.code = code


@dataclass(slots=True)
class Invocation:
    """A webhook that is to be asked. matched: as which resource; obj and old are of that version."""

    hook: Hook
    index: int
    matched: Resource
    obj: Obj | None
    old: Obj | None


class Calling:
    """Of the webhooks of one sort: kind is `admit` or `validating`."""

    def __init__(self, registry: Registry, lister: Lister, authorizer: Authorizer, clock: Clock, kind: str) -> None:
        self._configured = Configured(lister)
        self._lookup, self._authorizer, self._clock = Lookup(registry.lister), authorizer, clock
        self._client = HookClient(partial(registry.lister, SERVICES), keep=True)
        self._mutating = lister is registry.lister(group.MUTATING_WEBHOOKS.resource)
        self.kinds, self.versions = Kinds(registry), Versions(registry)
        self.counts = Counts(kind)

    def close(self) -> None:
        self._client.close()

    @property
    def hooks(self) -> Sequence[Hook]:
        return self._configured.current()

    async def meets(self, hook: Hook, index: int, request: AdmissionRequest) -> Invocation | None:
        """Whether, and with what, a webhook is to be asked about the request as it is now. Raises StatusError."""
        matched = hook.rules.match(request, self.versions)
        if matched is None or not await hook.selectors.match(request, self._lookup):
            return None
        self._complete(request.obj)
        obj, old = await self._as(matched, request, request.obj), await self._as(matched, request, request.old)
        if hook.conditions and not await self._holds(hook, request, matched, obj, old):
            return None
        return Invocation(hook, index, matched, obj, old)

    def _complete(self, obj: Obj | None) -> None:
        """Put in, in place, what is always written of an object."""
        spec = self.kinds.spec_of(obj) if obj is not None else None
        if obj is not None and spec is not None and spec.schema:
            fill(obj, spec.schema)

    async def _as(self, matched: Resource, request: AdmissionRequest, obj: Obj | None) -> Obj | None:
        if obj is None or matched[:3] == request.resource[:3] or request.subresource not in _WHOLE:
            return obj
        return await self.versions.convert({**obj}, request.resource, matched)

    async def _holds(self, hook: Hook, request: AdmissionRequest, matched: Resource, obj: Obj | None, old: Obj | None) -> bool:
        """Whether all match conditions hold. Raises Forbidden if that cannot be said, and it matters."""
        checks = Checks(self._authorizer, request.user)
        seen = inputs.request_of(request, matched, request.options(request.operation))
        activation = inputs.activation(request, seen, checks.variable, obj=obj, old=old)
        try:
            holds = await met(hook.conditions, activation, checks)
        except Fault as fault:
            self.counts.condition_failed(hook.name, request.operation)
            log.warning("match conditions failed: webhook=%s open=%s error=%s", hook.name, hook.ignores_failures, fault)
            if hook.ignores_failures:
                return False
            raise Forbidden.of(request.resource.group, request.resource.plural, request.name, str(fault)) from fault
        if not holds:
            self.counts.excluded(hook.name, request.operation)
        return holds

    async def ask(self, it: Invocation, request: AdmissionRequest) -> Answer | None:
        """The answer of a webhook that allows the request; None if there is none and that is to be ignored.

        Raises Denied, BadRequest (a dry run that it cannot be asked about), InternalError.
        """
        name, operation = it.hook.name, request.operation
        began_s = self._clock.monotonic()

        def asked(code: int, error: str = "") -> None:
            seconds = self._clock.monotonic() - began_s
            self.counts.asked(name, operation, seconds, rejected=bool(error), code=code)
            if error:
                self.counts.rejection(name, operation, error, code)

        try:
            answer = await self._answer(it, request)
        except Failed as fault:
            asked(fault.code, "" if it.hook.ignores_failures else "calling_webhook_error")
            self._not_answered(it, fault)
            return None
        except StatusError:
            asked(BadRequest.code, "no_error")
            raise
        self._take_along(it, request, answer)
        if not answer.allowed:
            denied = Denied(name, answer.result)
            asked(denied.said_code, "no_error")
            raise denied
        asked(_OK)
        return answer

    async def _answer(self, it: Invocation, request: AdmissionRequest) -> Answer:
        """Raises Failed, BadRequest."""
        hook = it.hook
        if request.dry_run and not hook.without_effects:
            raise BadRequest(f'admission webhook "{hook.name}" does not support dry run')
        about = inputs.request_of(request, it.matched, request.options(request.operation))
        try:
            version = review.version_for(hook.spec.get("admissionReviewVersions"))
        except BadAnswer as fault:
            raise Failed(f"could not create admission objects: {fault}") from fault
        question = review.question(version, str(uuid.uuid4()), about, it.obj, it.old)
        try:
            said = await self._client.post(hook.client, question, timeout_s=hook.timeout_s)
        except NoAnswer as fault:
            raise Failed(f"failed to call webhook: {fault}", fault.code) from fault
        try:
            return review.read(question, said, mutating=self._mutating)
        except BadAnswer as fault:
            raise Failed(f"received invalid webhook response: {fault}") from fault

    def _not_answered(self, it: Invocation, fault: Failed) -> None:
        """Raises InternalError, unless the failure is to be ignored."""
        text = f'failed calling webhook "{it.hook.name}": {fault}'
        log.warning("webhook failed: configuration=%s open=%s error=%s", it.hook.configuration, it.hook.ignores_failures, text)
        if not it.hook.ignores_failures:
            raise InternalError.of(text) from fault
        self.counts.failed_open(it.hook.name)

    @staticmethod
    def _take_along(it: Invocation, request: AdmissionRequest, answer: Answer) -> None:
        request.warnings += [text for text in answer.warnings if text not in request.warnings]
        for key, value in answer.annotations.items():
            request.audit_annotations[f"{it.hook.name}/{key}"] = value
