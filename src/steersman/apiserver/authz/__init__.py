"""Authorisation: Node, then RBAC, with system:masters above both.

`build` makes what the pipeline asks on every request; reviews and the escalation check also ask it for a user's rules.
"""

from __future__ import annotations

from steersman.api.resources import PODS
from steersman.apiserver.authz.messages import forbidden
from steersman.apiserver.authz.node import NodeAuthorizer
from steersman.apiserver.authz.rbac import RBAC
from steersman.apiserver.authz.rules import RuleSet
from steersman.apiserver.contracts import Lister, Listers, RequestInfo, UserInfo, Verdict
from steersman.apiserver.hooks.rbac_policy import node_rules

__all__ = ["MASTERS", "Authorization", "build", "forbidden"]

MASTERS = "system:masters"
_ALLOWED = (Verdict.ALLOW, "")


class Authorization:
    """The server's Authorizer: the first that allows or denies wins; if none does, their reasons are joined by newlines."""

    def __init__(self, node: NodeAuthorizer, rbac: RBAC, pods: Lister) -> None:
        self._node, self.rbac, self._pods = node, rbac, pods

    async def authorize(self, user: UserInfo, info: RequestInfo) -> tuple[Verdict, str]:
        if MASTERS in user.groups:
            return _ALLOWED
        answer = await self._ask(user, info)
        if answer[0] is not Verdict.ALLOW:
            # The binding, or the pod that a node asks for, may have been written a moment ago: a refusal is only given
            # when the caches are level with the store.
            await self._pods.settle()
            answer = await self._ask(user, info)
        return answer

    async def _ask(self, user: UserInfo, info: RequestInfo) -> tuple[Verdict, str]:
        by_node = await self._node.authorize(user, info)
        if by_node[0] is Verdict.ALLOW:
            return by_node
        by_rbac = await self.rbac.authorize(user, info)
        if by_rbac[0] is Verdict.ALLOW or not by_node[1]:
            return by_rbac
        return Verdict.NO_OPINION, "\n".join(reason for reason in (by_node[1], by_rbac[1]) if reason)

    def rules_for(self, user: UserInfo, namespace: str) -> RuleSet:
        """What RBAC grants the user there."""
        return self.rbac.rules_for(user, namespace)

    def explain(self, user: UserInfo, info: RequestInfo) -> str:
        """Why RBAC allows it; for reviews, as `authorize` doesn't spend time on that."""
        return "" if MASTERS in user.groups else self.rbac.explain(user, info)


def build(listers: Listers) -> Authorization:
    return Authorization(NodeAuthorizer(listers, RuleSet(node_rules(), [])), RBAC(listers), listers(PODS))
