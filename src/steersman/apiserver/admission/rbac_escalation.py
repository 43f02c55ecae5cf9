"""Nobody grants rights they don't hold: roles and bindings are checked against the writer's own rules.

Upstream has this in the storage of the RBAC kinds (pkg/registry/rbac/*/policybased); here it is the last validating plugin.
Those who hold `escalate` on the role, or `bind` on the bound role, and system:masters, may write what they like.
"""

from __future__ import annotations

from steersman.api.resources import CLUSTER_ROLES, ROLES
from steersman.apiserver.authz import MASTERS, Authorization
from steersman.apiserver.authz.escalation import missing, quoted
from steersman.apiserver.authz.rbac import joined
from steersman.apiserver.contracts import AdmissionRequest, RequestInfo, Verdict
from steersman.machinery.errors import Forbidden, NotFound
from steersman.machinery.meta import Obj

_GROUP = CLUSTER_ROLES.group
_GARBAGE_COLLECTION = ("ownerReferences", "finalizers", "managedFields", "resourceVersion")
_EVERYTHING = [
    {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
    {"nonResourceURLs": ["*"], "verbs": ["*"]},
]


class RBACEscalation:
    name = "RBACEscalation"

    def __init__(self, authorization: Authorization) -> None:
        self._authorization = authorization

    async def validate(self, request: AdmissionRequest) -> None:
        new, old = request.obj, request.old
        if request.resource.group != _GROUP or new is None or request.operation not in ("CREATE", "UPDATE"):
            return
        if MASTERS in request.user.groups or (old is not None and _content(new) == _content(old)):
            return
        if request.resource.plural.endswith("bindings"):
            await self._binding(request, new)
        else:
            await self._role(request, new, old)

    async def _role(self, request: AdmissionRequest, new: Obj, old: Obj | None) -> None:
        if await self._may(request, "escalate", request.resource.plural, request.name):
            return
        self._no_escalation(request, new.get("rules") or [])
        if new.get("aggregationRule") or (old or {}).get("aggregationRule"):
            held = self._authorization.rules_for(request.user, "").rules
            if missing(held, _EVERYTHING):
                raise _refusal(request, "must have cluster-admin privileges to use the aggregationRule")

    async def _binding(self, request: AdmissionRequest, new: Obj) -> None:
        ref = new.get("roleRef") or {}
        kind, name = ref.get("kind") or "", ref.get("name") or ""
        plural = CLUSTER_ROLES.plural if kind == "ClusterRole" else ROLES.plural
        if await self._may(request, "bind", plural, name):
            return
        rules = self._authorization.rbac.role_rules(ref, request.namespace)
        if isinstance(rules, str):
            raise NotFound.of(_GROUP, kind.lower(), name)
        self._no_escalation(request, rules)

    async def _may(self, request: AdmissionRequest, verb: str, plural: str, name: str) -> bool:
        info = RequestInfo(verb, "", True, _GROUP, "v1", request.namespace, plural, "", name)
        return (await self._authorization.authorize(request.user, info))[0] is Verdict.ALLOW

    def _no_escalation(self, request: AdmissionRequest, asked: list[Obj]) -> None:
        user = request.user
        held = self._authorization.rules_for(user, request.namespace)
        lacking = missing(held.rules, asked)
        if lacking:
            why = "is attempting to grant RBAC permissions not currently held:\n" + "\n".join(lacking)
            errors = f"; resolution errors: {joined(held.errors)}" if held.errors else ""
            raise _refusal(request, f'user "{user.name}" (groups={quoted(user.groups)}) {why}{errors}')


def _refusal(request: AdmissionRequest, why: str) -> Forbidden:
    return Forbidden.of(_GROUP, request.resource.plural, request.name, why)


def _content(obj: Obj) -> Obj:
    """The object without what the garbage collector changes."""
    metadata = {key: value for key, value in (obj.get("metadata") or {}).items() if key not in _GARBAGE_COLLECTION}
    return {**obj, "metadata": metadata}
