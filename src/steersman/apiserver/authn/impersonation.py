"""Impersonation: acting as another user, by Impersonate-* headers, if the caller may.

Two ways (KEP-5284). Constrained, tried first: `impersonate:<mode>` says who one may be, `impersonate-on:<mode>:<verb>` what one
may do as that. Legacy: `impersonate` on each part of the user, for all that the user may do. Runs between authentication and
authorisation. Source: upstream endpoints/filters/impersonation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import unquote

from steersman.api.validation import common
from steersman.apiserver.authn.serviceaccounts import groups_of, split_name
from steersman.apiserver.authz.messages import forbidden
from steersman.apiserver.contracts import ANONYMOUS, Authorizer, RequestInfo, UserInfo, Verdict
from steersman.apiserver.http import Request
from steersman.machinery import names
from steersman.machinery.errors import BadRequest, Forbidden
from steersman.machinery.fielderrors import FieldError

_PREFIX = "impersonate-"
_EXTRA = "impersonate-extra-"
_AUTHENTICATION = "authentication.k8s.io"
_NODE = "system:node:"
_NODE_NAME = "authentication.kubernetes.io/node-name"
_NODE_KEYS = "authentication.kubernetes.io/associated-node-keys"
_MASTERS = "system:masters"
_MANY = 4
"""Of so many groups or extra values it is first asked whether all may be taken on."""
_MEMO_LIMIT = 1024

ASSOCIATED_NODE, ARBITRARY_NODE, SERVICE_ACCOUNT, USER_INFO, LEGACY = (
    "associated-node", "arbitrary-node", "serviceaccount", "user-info", "",
)  # fmt: skip
_MODES = (ASSOCIATED_NODE, ARBITRARY_NODE, SERVICE_ACCOUNT, USER_INFO, LEGACY)


class Impersonator:
    """One per server. Remembers which way each caller took the last time: that is tried first."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer
        self._last: dict[tuple[str, tuple[str, ...]], str] = {}

    async def acting(self, request: Request, info: RequestInfo, user: UserInfo) -> UserInfo:
        """The user to act as: `user` itself without such headers. Raises Forbidden, BadRequest."""
        wanted = _wanted(request)
        if wanted is None:
            return user
        key = (user.name, user.groups)
        last = self._last.get(key)
        modes = _MODES if last is None else (last, *(mode for mode in _MODES if mode != last))
        refusal: Forbidden | None = None
        for mode in modes:
            if not _applies(mode, wanted, user):
                continue
            try:
                acting = await self._check(mode, wanted, info, user)
            except Forbidden as fault:
                refusal = refusal or fault
                continue
            if len(self._last) >= _MEMO_LIMIT:
                self._last.clear()
            self._last[key] = mode
            if request.audit is not None:
                request.audit.impersonates(acting, f"impersonate:{mode}" if mode else "")
            return acting
        assert refusal is not None  # the legacy way always applies
        raise refusal

    async def _check(self, mode: str, wanted: UserInfo, info: RequestInfo, user: UserInfo) -> UserInfo:
        """Raises Forbidden."""
        if mode == ASSOCIATED_NODE:
            # The authorizer may trust that this is the node's own: which node it is makes no difference to it.
            user = replace(user, extra={_NODE_KEYS: tuple(sorted(user.extra))})
        if mode:
            await self._ask(user, replace(info, verb=f"impersonate-on:{mode}:{info.verb}"))
        verb = f"impersonate:{mode}" if mode else "impersonate"
        await self._ask(user, _who(mode, verb, wanted))
        if wanted.uid:
            await self._ask(user, _question(verb, _AUTHENTICATION, "uids", wanted.uid))
        await self._groups(mode, verb, wanted, user)
        await self._extra(mode, verb, wanted, user)
        return replace(wanted, groups=_with_implied(mode, wanted))

    async def _groups(self, mode: str, verb: str, wanted: UserInfo, user: UserInfo) -> None:
        group = _AUTHENTICATION if mode else ""
        if mode and "" in wanted.groups:
            raise forbidden(user, _question(verb, group, "groups", ""), "impersonating the empty string group is not allowed")
        if mode and _MASTERS in wanted.groups:
            why = "impersonating the system:masters group is not allowed"
            raise forbidden(user, _question(verb, group, "groups", _MASTERS), why)
        every = _question(verb, group, "groups", "*")
        if mode and len(wanted.groups) >= _MANY and await self._allowed(user, every):
            return
        for name in wanted.groups:
            await self._ask(user, _question(verb, group, "groups", name))

    async def _extra(self, mode: str, verb: str, wanted: UserInfo, user: UserInfo) -> None:
        if not wanted.extra:
            return
        wrong = _wrong_extra(wanted) if mode else ""
        if wrong:
            raise forbidden(user, _question(verb, _AUTHENTICATION, "userextras", ""), wrong)
        every = _question(verb, _AUTHENTICATION, "userextras", "*", subresource="*")
        many = max(len(wanted.extra), sum(map(len, wanted.extra.values()))) >= _MANY
        if mode and many and await self._allowed(user, every):
            return
        for key, values in wanted.extra.items():
            for value in values:
                await self._ask(user, _question(verb, _AUTHENTICATION, "userextras", value, subresource=key))

    async def _allowed(self, user: UserInfo, info: RequestInfo) -> bool:
        return (await self._authorizer.authorize(user, info))[0] is Verdict.ALLOW

    async def _ask(self, user: UserInfo, info: RequestInfo) -> None:
        """Raises Forbidden."""
        verdict, reason = await self._authorizer.authorize(user, info)
        if verdict is not Verdict.ALLOW:
            raise forbidden(user, info, reason)


def _wanted(request: Request) -> UserInfo | None:
    """What the headers ask for. Raises BadRequest."""
    if not any(header.startswith(_PREFIX) for header in request.headers):
        return None
    name = request.headers.get("impersonate-user", "")
    uid = request.headers.get("impersonate-uid", "")
    groups = _values(request, "impersonate-group")
    extra = {
        unquote(header[len(_EXTRA) :]).lower(): _values(request, header)
        for header in request.headers
        if header.startswith(_EXTRA)
    }  # fmt: skip
    if name:
        return UserInfo(name, uid, groups, extra)
    if uid or groups or extra:
        wanted = [*groups, *([uid] if uid else ()), *extra]
        raise BadRequest(f"requested [{' '.join(wanted)}] without impersonating a user name")
    return None


def _values(request: Request, header: str) -> tuple[str, ...]:
    if header in request.repeated:
        return request.repeated[header]
    return (request.headers[header],) if header in request.headers else ()


def _node(name: str) -> str:
    """The node's name, of a node's user; empty for others."""
    found = name.removeprefix(_NODE)
    return found if found != name and not names.dns1123_subdomain(found) else ""


def _applies(mode: str, wanted: UserInfo, user: UserInfo) -> bool:
    bare = not (wanted.uid or wanted.groups or wanted.extra)
    node = _node(wanted.name)
    if mode == ASSOCIATED_NODE:
        own = user.extra.get(_NODE_NAME) == (node,) and split_name(user.name) is not None
        return bare and bool(node) and own
    if mode == ARBITRARY_NODE:
        return bare and bool(node)
    if mode == SERVICE_ACCOUNT:
        return bare and split_name(wanted.name) is not None
    return mode == LEGACY or (not node and split_name(wanted.name) is None)


def _who(mode: str, verb: str, wanted: UserInfo) -> RequestInfo:
    group = _AUTHENTICATION if mode else ""
    account, node = split_name(wanted.name), _node(wanted.name)
    if account is not None:
        return _question(verb, group, "serviceaccounts", account[1], namespace=account[0])
    if mode and node:
        return _question(verb, group, "nodes", "*" if mode == ASSOCIATED_NODE else node)
    return _question(verb, group, "users", wanted.name)


def _question(verb: str, group: str, plural: str, name: str, *, namespace: str = "", subresource: str = "") -> RequestInfo:
    return RequestInfo(verb, "", True, group, "v1", namespace, plural, subresource, name)


def _wrong_extra(wanted: UserInfo) -> str:
    """Why the keys and values cannot be taken on the constrained way; empty if they can."""
    return next(_faults(wanted), "")


def _faults(wanted: UserInfo) -> Iterator[str]:
    for key, values in wanted.extra.items():
        errors: list[FieldError] = []
        common.domain_prefixed_path(errors, "extra.key", key)
        if not key:
            yield "impersonating the empty string key in extra is not allowed"
        elif errors:
            yield f"impersonating an invalid key in extra is not allowed: {errors[0]}"
        if "" in values:
            yield "impersonating the empty string value in extra is not allowed"


def _with_implied(mode: str, wanted: UserInfo) -> tuple[str, ...]:
    groups = wanted.groups
    account = split_name(wanted.name)
    if mode in (ASSOCIATED_NODE, ARBITRARY_NODE):
        groups = ("system:nodes",)
    elif account is not None and not groups:
        groups = groups_of(account[0])
    if wanted.name == ANONYMOUS.name:
        return groups if ANONYMOUS.groups[0] in groups else (*groups, *ANONYMOUS.groups)
    implied = "system:authenticated"
    return groups if implied in groups or ANONYMOUS.groups[0] in groups else (*groups, implied)
