"""Authorisation: Node, then RBAC, or whatever the settings say, with system:masters above all.

`build` makes what the pipeline asks on every request; reviews and the escalation check also ask it for a user's rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from steersman.api.resources import PODS
from steersman.apiserver.access import AuthorizationSettings
from steersman.apiserver.authz.authorization import MASTERS, Authorization
from steersman.apiserver.authz.messages import forbidden
from steersman.apiserver.authz.node import NodeAuthorizer
from steersman.apiserver.authz.rbac import RBAC
from steersman.apiserver.authz.rules import RuleSet
from steersman.apiserver.contracts import Authorizer, Lister, Listers, RequestInfo, UserInfo, Verdict
from steersman.apiserver.hooks.rbac_policy import node_rules
from steersman.machinery.clock import Clock

if TYPE_CHECKING:
    from steersman.apiserver.authz.configuration import Entry

__all__ = ["MASTERS", "Authorization", "build", "forbidden"]

_DEFAULT = AuthorizationSettings()


class _Cached:
    """Authorizers that answer from the watch caches. They are asked again before they refuse: the binding, or the pod that a node
    asks for, may have been written a moment ago, and a refusal is only given when the caches are level with the store.
    """

    def __init__(self, entries: Sequence[Authorizer], pods: Lister) -> None:
        self._entries, self._pods = tuple(entries), pods

    async def authorize(self, user: UserInfo, info: RequestInfo) -> tuple[Verdict, str]:
        for entry in self._entries:
            answer = await entry.authorize(user, info)
            if answer[0] is Verdict.ALLOW:
                return answer
        await self._pods.settle()
        reasons: list[str] = []
        for entry in self._entries:
            answer = await entry.authorize(user, info)
            if answer[0] is Verdict.ALLOW:
                return answer
            reasons.append(answer[1])
        return Verdict.NO_OPINION, "\n".join(reason for reason in reasons if reason)


class _Always:
    """Says the same to everybody."""

    def __init__(self, verdict: Verdict, reason: str) -> None:
        self._answer = (verdict, reason)

    async def authorize(self, _user: UserInfo, _info: RequestInfo) -> tuple[Verdict, str]:
        return self._answer


def build(listers: Listers, clock: Clock | None = None, settings: AuthorizationSettings = _DEFAULT) -> Authorization:
    """clock: needed by webhooks and files only. Raises ConfigError, OSError."""
    rbac, pods = RBAC(listers), listers(PODS)
    node = NodeAuthorizer(listers, RuleSet(node_rules(), []))
    if settings == _DEFAULT:
        return Authorization([_Cached((node, rbac), pods)], rbac)
    if settings.config_file is None or clock is None:
        return _configured(node, rbac, pods, clock, settings)
    from steersman.apiserver.authz.reloading import Reloading

    return Reloading(settings.config_file, lambda: _configured(node, rbac, pods, clock, settings), clock)


def _configured(
    node: NodeAuthorizer, rbac: RBAC, pods: Lister, clock: Clock | None, settings: AuthorizationSettings
) -> Authorization:
    # Here, not above: most servers are content with Node and RBAC, and need neither files nor expressions.
    from steersman.apiserver.authz import configuration
    from steersman.apiserver.authz.webhook import WebhookAuthorizer

    entries: list[Authorizer] = []
    cached: list[Authorizer] = []
    loaded: Sequence[Entry] = configuration.load(settings)
    for entry in loaded:
        if entry.mode in (configuration.NODE, configuration.RBAC):
            cached.append(node if entry.mode == configuration.NODE else rbac)
            continue
        if cached:
            entries.append(_Cached(cached, pods))
            cached = []
        if entry.webhook is not None:
            assert clock is not None
            entries.append(WebhookAuthorizer(entry.webhook, clock))
        elif entry.mode == configuration.ALWAYS_ALLOW:
            entries.append(_Always(Verdict.ALLOW, ""))
        else:
            entries.append(_Always(Verdict.NO_OPINION, "Everything is forbidden."))
    if cached:
        entries.append(_Cached(cached, pods))
    modes = [entry.mode for entry in loaded]
    webhooks = [mode for mode in modes if mode == configuration.WEBHOOK]
    return Authorization(
        entries,
        rbac,
        unlisted=["webhook authorizer does not support user rule resolution"] * len(webhooks),
        everything=configuration.ALWAYS_ALLOW in modes,
    )
