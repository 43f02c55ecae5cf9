"""Service account tokens: whether a signed token still stands, and the user it stands for.

A token dies with its account, and with the Pod, Secret or Node it is bound to. Source: upstream pkg/serviceaccount/claims.go.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from steersman.api.resources import NODES, PODS, SECRETS, SERVICE_ACCOUNTS
from steersman.apiserver.authn.verified import Verified
from steersman.apiserver.contracts import UserInfo
from steersman.apiserver.lookup import Lookup
from steersman.apiserver.tokens import InvalidToken, TokenAuthority
from steersman.machinery.clock import Clock
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, dig, parse_time, uid_of

PREFIX = "system:serviceaccount:"
_EXTRA = "authentication.kubernetes.io/"
_LEEWAY = timedelta(seconds=60)
"""How long a token outlives the moment its bound object should have been gone."""
_GONE = "service account token has been invalidated"


class ServiceAccountTokens:
    def __init__(self, authority: TokenAuthority, lookup: Lookup, clock: Clock) -> None:
        self._authority, self._lookup, self._clock = authority, lookup, clock

    async def verify(self, token: str, audiences: tuple[str, ...]) -> Verified | None:
        """None: not a token of ours. InvalidToken: ours, but not to be accepted (any more, or for these audiences)."""
        claims = self._authority.verify(token)
        if claims is None:
            return None
        meant_for = claims.get("aud") or ()
        if isinstance(meant_for, str):
            meant_for = (meant_for,)
        shared = tuple(audience for audience in audiences if audience in meant_for)
        if not shared:
            raise InvalidToken(f"token audiences {_listed(meant_for)} is invalid for the target audiences {_listed(audiences)}")
        now = self._clock.now()
        expires = datetime.fromtimestamp(int(claims.get("exp") or 0), tz=now.tzinfo)
        if now >= expires:
            raise InvalidToken("service account token has expired")
        if int(claims.get("nbf") or 0) > (now + _LEEWAY).timestamp():
            raise InvalidToken("service account token is not valid yet")
        private = claims.get("kubernetes.io") or {}
        await self._check(private, now)
        return Verified(_user(claims, private), shared, expires, self._standing(private))

    def _standing(self, private: Obj) -> Callable[[], bool]:
        """Whether account and bound object are still the ones that were checked: cheap, from what the caches have now."""
        namespace = private.get("namespace") or ""
        needed = [(SERVICE_ACCOUNTS, namespace, private.get("serviceaccount") or {})]
        if private.get("secret"):
            needed.append((SECRETS, namespace, private["secret"]))
        if private.get("pod"):
            needed.append((PODS, namespace, private["pod"]))
        elif private.get("node") and not private.get("secret"):
            needed.append((NODES, "", private["node"]))
        wanted = [
            (self._lookup.listers(resource), where, ref.get("name") or "", ref.get("uid")) for resource, where, ref in needed
        ]

        def stands() -> bool:
            for lister, where, name, uid in wanted:
                found = lister.get(where, name)
                if found is None or found["metadata"].get("uid") != uid or "deletionTimestamp" in found["metadata"]:
                    return False
            return True

        return stands

    async def _check(self, private: Obj, now: datetime) -> None:
        namespace = private.get("namespace") or ""
        secret, pod, node = private.get("secret"), private.get("pod"), private.get("node")
        if secret:
            await self._bound(SECRETS, namespace, secret, "secret", now)
        ref = private.get("serviceaccount") or {}
        account = await self._lookup.live(SERVICE_ACCOUNTS, namespace, ref.get("name") or "")
        if account is None:
            raise InvalidToken(f'serviceaccounts "{ref.get("name")}" not found')
        if _past(account, now):
            raise InvalidToken(f"service account {namespace}/{ref.get('name')} has been deleted")
        if uid_of(account) != ref.get("uid"):
            raise InvalidToken(f"service account UID ({uid_of(account)}) does not match claim ({ref.get('uid')})")
        if pod:
            await self._bound(PODS, namespace, pod, "pod", now)
        elif node and not secret:
            # A pod's token names the pod's node as well, but lives and dies with the pod.
            await self._bound(NODES, "", node, "node", now)

    async def _bound(self, resource: Resource, namespace: str, ref: Obj, what: str, now: datetime) -> None:
        found = await self._lookup.live(resource, namespace, ref.get("name") or "")
        if found is None or _past(found, now):
            raise InvalidToken(_GONE)
        if uid_of(found) != ref.get("uid"):
            raise InvalidToken(f"{what} UID ({uid_of(found)}) does not match service account {what} ref claim ({ref.get('uid')})")


def groups_of(namespace: str) -> tuple[str, ...]:
    """The groups of a namespace's service accounts."""
    return "system:serviceaccounts", f"system:serviceaccounts:{namespace}"


def split_name(user: str) -> tuple[str, str] | None:
    """(namespace, name) of `system:serviceaccount:<namespace>:<name>`, None for other users."""
    if not user.startswith(PREFIX):
        return None
    namespace, _, name = user[len(PREFIX) :].partition(":")
    return (namespace, name) if namespace and name and ":" not in name else None


def _user(claims: Obj, private: Obj) -> UserInfo:
    namespace = private.get("namespace") or ""
    extra = {}
    if claims.get("jti"):
        extra[_EXTRA + "credential-id"] = (f"JTI={claims['jti']}",)
    for what in ("pod", "node"):
        ref = private.get(what)
        if ref:
            extra[f"{_EXTRA}{what}-name"] = (ref.get("name") or "",)
            if ref.get("uid"):
                extra[f"{_EXTRA}{what}-uid"] = (ref["uid"],)
    account = private.get("serviceaccount") or {}
    return UserInfo(f"{PREFIX}{namespace}:{account.get('name')}", account.get("uid") or "", groups_of(namespace), extra)


def _past(obj: Obj, now: datetime) -> bool:
    """Whether the object should have been gone for longer than the leeway."""
    deleted = parse_time(dig(obj, "metadata", "deletionTimestamp"))
    return deleted is not None and deleted < now - _LEEWAY


def _listed(texts: object) -> str:
    return f"[{' '.join(texts)}]" if isinstance(texts, list | tuple) else str(texts)
