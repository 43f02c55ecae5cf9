"""Impersonation: acting as another user, by Impersonate-* headers, if the caller may `impersonate` each part of them.

Source: upstream endpoints/filters/impersonation. Runs between authentication and authorisation.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote

from steersman.apiserver.authn.serviceaccounts import groups_of, split_name
from steersman.apiserver.authz.messages import forbidden
from steersman.apiserver.contracts import ANONYMOUS, Authorizer, RequestInfo, UserInfo, Verdict
from steersman.apiserver.http import Request
from steersman.machinery.errors import BadRequest

_PREFIX = "impersonate-"
_EXTRA = "impersonate-extra-"
_AUTHENTICATION = "authentication.k8s.io"


async def impersonate(request: Request, user: UserInfo, authorizer: Authorizer) -> UserInfo:
    """The user to act as: `user` itself without such headers. Forbidden or BadRequest if that can't be."""
    if not any(header.startswith(_PREFIX) for header in request.headers):
        return user
    name = request.headers.get("impersonate-user", "")
    uid = request.headers.get("impersonate-uid", "")
    groups = _values(request, "impersonate-group")
    extra = {
        unquote(header[len(_EXTRA) :]).lower(): _values(request, header)
        for header in request.headers
        if header.startswith(_EXTRA)
    }  # fmt: skip
    if not (name or uid or groups or extra):
        return user
    if not name:
        wanted = [*groups, *([uid] if uid else ()), *extra]
        raise BadRequest(f"requested [{' '.join(wanted)}] without impersonating a user name")
    for info in _questions(name, uid, groups, extra):
        verdict, reason = await authorizer.authorize(user, info)
        if verdict is not Verdict.ALLOW:
            raise forbidden(user, info, reason)
    return UserInfo(name, uid, _with_implied(name, groups), extra)


def _values(request: Request, header: str) -> tuple[str, ...]:
    if header in request.repeated:
        return request.repeated[header]
    return (request.headers[header],) if header in request.headers else ()


def _questions(name: str, uid: str, groups: tuple[str, ...], extra: dict[str, tuple[str, ...]]) -> Iterator[RequestInfo]:
    account = split_name(name)
    if account is None:
        yield _question("", "users", name)
    else:
        yield _question("", "serviceaccounts", account[1], namespace=account[0])
    for group in groups:
        yield _question("", "groups", group)
    for key, values in extra.items():
        for value in values:
            yield _question(_AUTHENTICATION, "userextras", value, subresource=key)
    if uid:
        yield _question(_AUTHENTICATION, "uids", uid)


def _question(group: str, plural: str, name: str, *, namespace: str = "", subresource: str = "") -> RequestInfo:
    return RequestInfo("impersonate", "", True, group, "v1", namespace, plural, subresource, name)


def _with_implied(name: str, groups: tuple[str, ...]) -> tuple[str, ...]:
    account = split_name(name)
    if account is not None and not groups:
        groups = groups_of(account[0])
    if name == ANONYMOUS.name:
        return groups if ANONYMOUS.groups[0] in groups else (*groups, *ANONYMOUS.groups)
    implied = "system:authenticated"
    return groups if implied in groups or ANONYMOUS.groups[0] in groups else (*groups, implied)
