"""What the pipeline asks on every request: who of several authorizers decides."""

from __future__ import annotations

from collections.abc import Sequence

from steersman.apiserver.authz.node import node_of
from steersman.apiserver.authz.rbac import RBAC
from steersman.apiserver.authz.rules import RuleSet
from steersman.apiserver.contracts import Authorizer, RequestInfo, UserInfo, Verdict
from steersman.machinery.errors import InternalError
from steersman.machinery.meta import Obj

MASTERS = "system:masters"
_ALLOWED = (Verdict.ALLOW, "")
_EVERYTHING: tuple[Obj, ...] = (
    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
    {"verbs": ["*"], "nonResourceURLs": ["*"]},
)


class Authorization:
    """The server's Authorizer: the first that allows or denies wins; if none does, their reasons are joined by newlines.

    entries: in order; those that answer from caches stand together in a _Cached.
    """

    def __init__(
        self, entries: Sequence[Authorizer], rbac: RBAC, *, unlisted: Sequence[str] = (), everything: bool = False
    ) -> None:
        self._entries, self.rbac = tuple(entries), rbac
        self._only = entries[0] if len(entries) == 1 else None
        self._unlisted, self._everything = tuple(unlisted), everything

    async def authorize(self, user: UserInfo, info: RequestInfo) -> tuple[Verdict, str]:
        """Raises InternalError if somebody who might have allowed it could not be asked."""
        if MASTERS in user.groups:
            return _ALLOWED
        if self._only is not None:
            return await self._only.authorize(user, info)
        reasons: list[str] = []
        failure: InternalError | None = None
        for entry in self._entries:
            try:
                answer = await entry.authorize(user, info)
            except InternalError as fault:
                failure = failure or fault
                continue
            if answer[0] is not Verdict.NO_OPINION:
                return answer
            reasons.append(answer[1])
        if failure is not None:
            raise failure
        return Verdict.NO_OPINION, "\n".join(reason for reason in reasons if reason)

    def rules_for(self, user: UserInfo, namespace: str) -> RuleSet:
        """What RBAC grants the user there."""
        return self.rbac.rules_for(user, namespace)

    def listed(self, user: UserInfo, namespace: str) -> tuple[Sequence[Obj], list[str], bool]:
        """All rules that can be told, what went wrong in telling them, and whether there may be more."""
        held = self.rbac.rules_for(user, namespace)
        faults = list(self._unlisted)
        incomplete = bool(faults)
        if node_of(user) is not None:
            faults.append("node authorizer does not support user rule resolution")
            incomplete = True
        sources = [*_EVERYTHING, *held.sources] if self._everything else held.sources
        return sources, [*faults, *held.errors], incomplete

    def explain(self, user: UserInfo, info: RequestInfo) -> str:
        """Why RBAC allows it; for reviews, as `authorize` doesn't spend time on that."""
        return "" if MASTERS in user.groups else self.rbac.explain(user, info)
