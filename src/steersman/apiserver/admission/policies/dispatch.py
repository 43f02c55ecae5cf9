"""Which policies a request meets, with which bindings and parameters, and as which version of its kind.

Source: upstream apiserver pkg/admission/plugin/policy/generic.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from steersman.api.resources import NAMESPACES
from steersman.api.schema.zeros import fill
from steersman.apiserver.admission.matching import MatchResources, is_exempt
from steersman.apiserver.admission.policies import inputs
from steersman.apiserver.admission.policies.compiled import Policy
from steersman.apiserver.admission.policies.evaluation import Checks
from steersman.apiserver.admission.policies.hooks import Hook
from steersman.apiserver.admission.policies.kinds import Kinds
from steersman.apiserver.admission.policies.params import ConfigurationFault, collect, param_served
from steersman.apiserver.admission.versions import Versions
from steersman.apiserver.contracts import AdmissionRequest, Authorizer
from steersman.apiserver.lookup import Lookup
from steersman.apiserver.registry import Registry, Served
from steersman.machinery.errors import NotFound, StatusError
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

_REVIEWS = frozenset(
    ("tokenreviews", "selfsubjectreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews", "subjectaccessreviews",
     "localsubjectaccessreviews")
)  # fmt: skip
_REVIEWED = frozenset(("authentication.k8s.io", "authorization.k8s.io"))


def is_ours(request: AdmissionRequest) -> bool:
    """Whether policies may be about a request. Not about what admission itself is made of, nor about what only asks."""
    resource = request.resource
    if is_exempt(resource) or (resource.plural in _REVIEWS and resource.group in _REVIEWED):
        return False
    # The deletion that an eviction ends in is no request of its own.
    return request.operation != "DELETE" or request.subresource != "eviction"


@dataclass(frozen=True, slots=True)
class Invocation:
    """A policy that is to be evaluated. fault: why it cannot be; then `binding` may be missing, and there is no parameter."""

    policy: Policy
    binding: Obj | None
    matched: Resource
    param: Obj | None = None
    fault: str = ""


class Dispatcher:
    """What both plugins share: made when the registry is known."""

    def __init__(self, registry: Registry, lookup: Lookup, authorizer: Authorizer) -> None:
        self.kinds = Kinds(registry)
        self.versions = Versions(registry)
        self._lookup, self._authorizer = lookup, authorizer
        self._matchers: dict[int, tuple[Obj, MatchResources]] = {}

    def checks(self, request: AdmissionRequest) -> Checks:
        return Checks(self._authorizer, request.user)

    async def invocations(self, hooks: Sequence[Hook], request: AdmissionRequest) -> list[Invocation]:
        """In order: policies, bindings, parameters."""
        found: list[Invocation] = []
        for policy, bindings in hooks:
            constraints = policy.spec.get("matchConstraints") or {}
            try:
                matched = await self._match(constraints, request)
            except NotFound as error:
                found.append(Invocation(policy, None, request.resource, fault=f"failed to configure policy: {error.message}"))
                continue
            if matched is None:
                continue
            try:
                served = param_served(policy.param_kind, self.kinds) if policy.param_kind is not None else None
            except ConfigurationFault as fault:
                found.append(Invocation(policy, None, matched, fault=f"failed to configure policy: {fault}"))
                continue
            for binding in bindings:
                found += await self._bound(policy, binding, matched, served, request)
        return found

    async def _bound(
        self, policy: Policy, binding: Obj, matched: Resource, served: Served | None, request: AdmissionRequest
    ) -> list[Invocation]:
        spec = binding.get("spec") or {}
        resources = spec.get("matchResources")
        try:
            if resources is not None and await self._match(resources, request) is None:
                return []
            params = await collect(served, spec.get("paramRef"), request.namespace)
        except (ConfigurationFault, NotFound) as fault:
            return [Invocation(policy, binding, matched, fault=f"failed to configure binding: {fault}")]
        return [Invocation(policy, binding, matched, param) for param in params]

    async def _match(self, resources: Obj, request: AdmissionRequest) -> Resource | None:
        """As what a request matches. What is made of `resources` is kept for as long as it is the same object."""
        known = self._matchers.get(id(resources))
        if known is None or known[0] is not resources:
            if len(self._matchers) > 10_000:
                self._matchers.clear()
            known = self._matchers[id(resources)] = (resources, MatchResources(resources))
        return await known[1].match(request, self.versions, self._lookup)

    async def namespace(self, request: AdmissionRequest) -> Obj | None:
        """`namespaceObject`."""
        if not request.namespace or (request.resource.plural == NAMESPACES.plural and not request.resource.group):
            return None
        return inputs.namespace_of(await self._lookup.get(NAMESPACES, "", request.namespace))

    def complete(self, obj: Obj | None) -> None:
        """Put in, in place, what is always written of an object: expressions may rely on it."""
        if obj is not None:
            spec = self.kinds.spec_of(obj)
            if spec is not None and spec.schema:
                fill(obj, spec.schema)

    async def seen(self, request: AdmissionRequest, obj: Obj | None, matched: Resource) -> Obj | None:
        """An object of a request in the version that a policy matched. Raises StatusError."""
        if obj is None or matched[:3] == request.resource[:3] or request.subresource not in ("", "status"):
            return obj
        return await self.versions.convert(copy.copy(obj), request.resource, matched)

    async def activation(self, request: AdmissionRequest, matched: Resource, checks: Checks) -> dict[str, Any]:
        """Raises StatusError for an object that cannot be converted."""
        try:
            obj = await self.seen(request, request.obj, matched)
            old = await self.seen(request, request.old, matched)
        except StatusError as error:
            raise ConfigurationFault(f"failed to convert object version: {error.message}") from error
        about = inputs.request_of(request, matched, request.options(request.operation))
        return inputs.activation(request, about, checks.variable, obj=obj, old=old)
