"""Mutating policies change what is written, before webhooks see it.

Policies, bindings, parameters and mutations in order; each sees what the one before has made. What fails is told at the end, and
the others still run. When anything has changed, all that mutates runs once more: there, those with reinvocationPolicy IfNeeded.
Source: upstream apiserver pkg/admission/plugin/policy/mutating, KEP-3962.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from steersman.api.groups import admissionregistration_v1 as group
from steersman.apiserver.admission.policies.compiled import Policy
from steersman.apiserver.admission.policies.counts import Counts
from steersman.apiserver.admission.policies.dispatch import Dispatcher, Invocation, is_ours
from steersman.apiserver.admission.policies.evaluation import Checks, Evaluation, Fault
from steersman.apiserver.admission.policies.hooks import Hooks
from steersman.apiserver.admission.policies.judging import met
from steersman.apiserver.admission.policies.params import ConfigurationFault
from steersman.apiserver.admission.policies.patching import mutated
from steersman.apiserver.admission.refusal import refused
from steersman.apiserver.contracts import AdmissionRequest, Authorizer, Listers
from steersman.apiserver.lookup import Lookup
from steersman.apiserver.registry import Registry
from steersman.machinery import cel
from steersman.machinery.errors import ServiceUnavailable, StatusError
from steersman.machinery.gvk import split_api_version
from steersman.machinery.meta import Obj, key_of, name_of

_IF_NEEDED = "IfNeeded"
_INVOKED = "mutating admission policies invoked"
"""By this a request remembers them."""
_DELAY = "There can be a delay between when CustomResourceDefinitions are created and when they are available."


class _Failed(StatusError):
    """An expression without a value: forbidden, by a reason of its own."""

    code, reason = 403, "Invalid"


class _Failure(NamedTuple):
    text: str
    configuration: bool


class Mutating:
    """Enforces the policies of this sort that are in force."""

    def __init__(self, listers: Listers, authorizer: Authorizer, registry: Registry) -> None:
        self._hooks = Hooks(listers, group.MUTATING_POLICIES.resource, group.MUTATING_POLICY_BINDINGS.resource)
        self._dispatcher = Dispatcher(registry, Lookup(listers), authorizer)
        self.counts = Counts("mutating")

    async def enforce(self, request: AdmissionRequest) -> None:
        """Raises StatusError."""
        hooks = self._hooks.current()
        if not hooks or not is_ours(request):
            return
        invocations = await self._dispatcher.invocations(hooks, request)
        if invocations:
            await _Run(self._dispatcher, self.counts, request).all(invocations)


class _Run:
    """One request through the policies that it meets."""

    def __init__(self, dispatcher: Dispatcher, counts: Counts, request: AdmissionRequest) -> None:
        self._dispatcher, self._counts, self._request = dispatcher, counts, request
        self._checks: Checks = dispatcher.checks(request)
        self._failures: list[_Failure] = []

    async def all(self, invocations: Sequence[Invocation]) -> None:
        request = self._request
        self._dispatcher.complete(request.obj)
        namespace = await self._dispatcher.namespace(request)
        for invocation in invocations:
            if invocation.fault or invocation.binding is None:
                self._fail(invocation, invocation.fault, configuration=True)
                continue
            if request.again and _key(invocation) not in _invoked(request):
                continue
            try:
                await self._one(invocation, namespace)
            except ConfigurationFault as fault:
                self._fail(invocation, f"failed to configure policy: {fault}", configuration=True)
        if self._failures:
            raise self._refusal()

    async def _one(self, invocation: Invocation, namespace: Obj | None) -> None:
        request, policy = self._request, invocation.policy
        activation = await self._dispatcher.activation(request, invocation.matched, self._checks)
        activation |= {"params": invocation.param}
        try:
            if not await met(policy.conditions, activation, self._checks):
                return
        except Fault as fault:
            self._fail(invocation, str(fault))
            return
        activation["namespaceObject"] = namespace
        before: Obj | None = activation["object"]
        if before is not None:
            after = await self._mutations(invocation, activation, before)
            if after != before:
                request.changed_from_outside = True
                await self._replace(invocation, after)
        if policy.spec.get("reinvocationPolicy") == _IF_NEEDED and not request.again:
            _invoked(request).add(_key(invocation))

    async def _mutations(self, invocation: Invocation, activation: dict[str, object], obj: Obj) -> Obj:
        """The object after all mutations of a policy. Raises ServiceUnavailable, InternalError."""
        spec = self._dispatcher.kinds.spec_of(obj)
        if spec is None:
            raise ServiceUnavailable(f"Resource kind {_gvk(obj)} not found. {_DELAY}")
        policy: Policy = invocation.policy
        for mutation in policy.mutations:
            evaluation = Evaluation({**activation, "object": obj}, policy.variables)
            try:
                value = await evaluation.value(mutation.expression, self._checks)
                obj = mutated(obj, mutation, value, spec)
            except (Fault, cel.BudgetExceeded) as fault:
                self._counts.failed(policy.name, name_of(invocation.binding or {}), str(fault))
                self._fail(invocation, str(fault))
            else:
                self._counts.passed(policy.name, name_of(invocation.binding or {}))
        return obj

    async def _replace(self, invocation: Invocation, made: Obj) -> None:
        """Let the request have the object; it and its metadata are the same dicts still, as others hold them."""
        request = self._request
        obj = request.obj
        assert obj is not None
        if invocation.matched[:3] != request.resource[:3] and not request.subresource:
            made = await self._dispatcher.versions.convert(made, invocation.matched, request.resource)
        meta = obj.get("metadata")
        obj.clear()
        obj.update(made)
        if isinstance(meta, dict):
            meta.clear()
            meta.update(made.get("metadata") or {})
            obj["metadata"] = meta

    def _fail(self, invocation: Invocation, text: str, *, configuration: bool = False) -> None:
        if invocation.policy.ignores_failures:
            return
        policy = invocation.policy.name
        if invocation.binding is None:
            lead = f'policy "{policy}"'
        else:
            lead = f"policy '{policy}' with binding '{name_of(invocation.binding)}'"
        self._failures.append(_Failure(f"{lead} denied request: {text}", configuration))

    def _refusal(self) -> StatusError:
        texts = [failure.text for failure in self._failures]
        error: StatusError = refused(self._request, "", causes=[{"message": text} for text in texts])
        details = error.details
        if not self._failures[0].configuration:
            error = _Failed(texts[0])
        error.message, error.details = texts[0], details
        return error


def _invoked(request: AdmissionRequest) -> set[tuple[str, ...]]:
    """Who of those that the request has met wants to be asked again when it has changed."""
    if request.memory is None:
        request.memory = {}
    found = request.memory.setdefault(_INVOKED, set())
    assert isinstance(found, set)
    return found


def _key(invocation: Invocation) -> tuple[str, ...]:
    binding, param = name_of(invocation.binding or {}), key_of(invocation.param) if invocation.param is not None else ("", "")
    return (invocation.policy.name, binding, *param)


def _gvk(obj: Obj) -> str:
    group_name, version = split_api_version(str(obj.get("apiVersion") or ""))
    return f"{group_name}/{version}, Kind={obj.get('kind')}"
