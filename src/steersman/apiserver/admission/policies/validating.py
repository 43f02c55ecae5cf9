"""What becomes of what validating policies say: the request is refused, the client is warned, or it is in the audit log, as the
bindings say.

What all policies say is gathered first; the first refusal is what the client is told.
Source: upstream apiserver pkg/admission/plugin/policy/validating.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from steersman.api.groups import admissionregistration_v1 as group
from steersman.apiserver.admission.policies.compiled import Policy
from steersman.apiserver.admission.policies.counts import Counts
from steersman.apiserver.admission.policies.dispatch import Dispatcher, Invocation, is_ours
from steersman.apiserver.admission.policies.evaluation import Checks
from steersman.apiserver.admission.policies.hooks import Hooks
from steersman.apiserver.admission.policies.judging import Failure, Judgement, judge
from steersman.apiserver.admission.policies.params import ConfigurationFault
from steersman.apiserver.admission.refusal import refused
from steersman.apiserver.contracts import AdmissionRequest, Authorizer, Listers
from steersman.apiserver.lookup import Lookup
from steersman.apiserver.registry import Registry
from steersman.machinery.errors import Forbidden, Invalid, RequestEntityTooLarge, StatusError, Unauthorized
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, name_of

_FAILURE = "validation.policy.admission.k8s.io/validation_failure"
_REASONS: Mapping[str, type[StatusError]] = {
    "Forbidden": Forbidden,
    "Invalid": Invalid,
    "RequestEntityTooLarge": RequestEntityTooLarge,
    "Unauthorized": Unauthorized,
}


class _Denial(NamedTuple):
    policy: str
    binding: str
    message: str
    reason: str = "Invalid"

    def text(self) -> str:
        bound = f" with binding '{self.binding}'" if self.binding else ""
        return f"ValidatingAdmissionPolicy '{self.policy}'{bound} denied request: {self.message}"


class Validating:
    """Enforces the policies of this sort that are in force."""

    def __init__(self, listers: Listers, authorizer: Authorizer, registry: Registry) -> None:
        self._hooks = Hooks(listers, group.VALIDATING_POLICIES.resource, group.VALIDATING_POLICY_BINDINGS.resource)
        self._dispatcher = Dispatcher(registry, Lookup(listers), authorizer)
        self.counts = Counts("validating")

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
        self._activations: dict[Resource, dict[str, Any]] = {}
        self._denials: list[_Denial] = []
        self._annotations: dict[str, list[str]] = {}

    async def all(self, invocations: list[Invocation]) -> None:
        self._dispatcher.complete(self._request.obj)
        namespace = await self._dispatcher.namespace(self._request)
        for invocation in invocations:
            try:
                await self._one(invocation, namespace)
            except ConfigurationFault as fault:
                self._unusable(invocation.policy, "", str(fault))
        for key, values in self._annotations.items():
            self._request.audit_annotations.setdefault(key, ", ".join(values))
        if self._denials:
            raise self._refusal(self._denials[0])

    async def _one(self, invocation: Invocation, namespace: Obj | None) -> None:
        policy, binding = invocation.policy, invocation.binding
        if invocation.fault or binding is None:
            self._unusable(policy, name_of(binding or {}), invocation.fault)
            return
        if invocation.matched not in self._activations:
            made = await self._dispatcher.activation(self._request, invocation.matched, self._checks)
            self._activations[invocation.matched] = made
        activation = {**self._activations[invocation.matched], "namespaceObject": namespace, "params": invocation.param}
        self._act(policy, binding, await judge(policy, activation, self._checks))

    def _unusable(self, policy: Policy, binding: str, fault: str) -> None:
        if not policy.ignores_failures:
            self._denials.append(_Denial(policy.name, binding, fault))

    def _act(self, policy: Policy, binding: Obj, judgement: Judgement) -> None:
        name, actions = name_of(binding), (binding.get("spec") or {}).get("validationActions") or ()
        for failure in judgement.failures:
            for action in actions:
                self._counts.failed(policy.name, name, failure.message, action.lower())
            if "Deny" in actions:
                self._denials.append(_Denial(policy.name, name, failure.message, failure.reason))
            if "Warn" in actions:
                self._warn(
                    f"Validation failed for ValidatingAdmissionPolicy '{policy.name}' with binding '{name}': {failure.message}"
                )
            if "Audit" in actions:
                noted = orjson.dumps([_noted(policy, name, actions, failure)]).decode()
                self._request.audit_annotations.setdefault(_FAILURE, noted)
        for key, value in judgement.annotations.items():
            values = self._annotations.setdefault(f"{policy.name}/{key}", [])
            if value not in values:
                values.append(value)
        self._denials += [_Denial(policy.name, name, fault) for fault in judgement.annotation_faults]

    def _warn(self, text: str) -> None:
        if text not in self._request.warnings:
            self._request.warnings.append(text)

    def _refusal(self, denial: _Denial) -> StatusError:
        """As a plugin's refusal, but with the policy's reason."""
        text = denial.text()
        base = refused(self._request, text, causes=[{"message": text}])
        error = _REASONS[denial.reason](base.message)
        error.details = base.details
        return error


def _noted(policy: Policy, binding: str, actions: Any, failure: Failure) -> Obj:
    return {
        "message": failure.message,
        "policy": policy.name,
        "binding": binding,
        "expressionIndex": failure.index,
        "validationActions": list(actions),
    }
