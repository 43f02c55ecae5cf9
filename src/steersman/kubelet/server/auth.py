"""Who asks, and whether they may: client certificates or tokens, then a SubjectAccessReview about `nodes/<subresource>`.

Source: upstream pkg/kubelet/server/auth.go, cmd/kubelet/app/auth.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from steersman.api.resources import SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS
from steersman.client.interface import Client
from steersman.kubelet.config import KubeletConfig
from steersman.machinery.clock import Clock
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Obj

MASTERS = "system:masters"
_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_FINE_GRAINED = {"configz": "configz", "healthz": "healthz", "pods": "pods", "runningpods": "pods"}
_OWN = {"stats": "stats", "metrics": "metrics", "logs": "log", "checkpoint": "checkpoint", "statusz": "statusz"}
_CACHE_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class User:
    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
AUTHENTICATED = "system:authenticated"


def user_of_certificate(certificate: Any) -> User | None:
    """The subject of a verified client certificate, as ssl.getpeercert() gives it: CN is the name, O the groups."""
    if not certificate:
        return None
    pairs = [pair for part in certificate.get("subject", ()) for pair in part]
    name = next((value for key, value in pairs if key == "commonName"), "")
    groups = tuple(value for key, value in pairs if key == "organizationName")
    return User(name, (*groups, AUTHENTICATED)) if name else None


def verb(method: str) -> str:
    """What asking so does to the node, as policy has it."""
    return _VERBS.get(method, "")


def subresources(path: str) -> tuple[str, ...]:
    """The node subresources of which one must be allowed for that path."""
    first = path.strip("/").partition("/")[0]
    if first in _OWN:
        return (_OWN[first],)
    return (_FINE_GRAINED[first], "proxy") if first in _FINE_GRAINED else ("proxy",)


class Gate:
    """Answers are remembered for as long as the config says: usually yes for 5 minutes, no for 30 s."""

    def __init__(self, client: Client, clock: Clock, config: KubeletConfig) -> None:
        self._client, self._clock, self._config = client, clock, config
        self._verdicts: dict[tuple[User, str, str], tuple[float, bool]] = {}
        self._tokens: dict[str, tuple[float, User | None]] = {}

    async def user(self, certificate: Any, authorization: str) -> User | None:
        """The user, None if nobody could be made out. Raises StatusError, ConnectionError."""
        found = user_of_certificate(certificate)
        nobody = ANONYMOUS if self._config.anonymous else None
        if found is not None:
            return found
        token = authorization[7:].strip() if authorization.lower().startswith("bearer ") else ""
        if not token:
            return nobody
        # Wrong credentials are not none: upstream does not let them pass as anonymous either.
        return await self._of_token(token) if self._config.token_webhook else nobody

    async def _of_token(self, token: str) -> User | None:
        now_s = self._clock.monotonic()
        known = self._tokens.get(token)
        if known is not None and known[0] > now_s:
            return known[1]
        review: Obj = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        status = (await self._client.create(TOKEN_REVIEWS, review)).get("status") or {}
        user = None
        if status.get("authenticated"):
            told = status["user"]
            extra = tuple(sorted((key, tuple(values)) for key, values in (told.get("extra") or {}).items()))
            user = User(told.get("username") or "", tuple(told.get("groups") or ()), told.get("uid") or "", extra)
        if len(self._tokens) >= _CACHE_LIMIT:
            self._tokens.clear()
        self._tokens[token] = (now_s + self._config.token_ttl_s, user)
        return user

    async def allowed(self, user: User, method: str, path: str) -> bool:
        """Raises nothing: an API server that can't be asked means no."""
        if MASTERS in user.groups or self._config.always_allow:
            return True
        for subresource in subresources(path):
            if await self._review(user, verb(method), subresource):
                return True
        return False

    async def _review(self, user: User, verb: str, subresource: str) -> bool:
        key, now_s = (user, verb, subresource), self._clock.monotonic()
        known = self._verdicts.get(key)
        if known is not None and known[0] > now_s:
            return known[1]
        attributes = {
            "verb": verb,
            "version": "v1",
            "resource": "nodes",
            "subresource": subresource,
            "name": self._config.node_name,
        }
        review: Obj = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": user.name,
                "groups": list(user.groups),
                **({"uid": user.uid} if user.uid else {}),
                **({"extra": {key: list(values) for key, values in user.extra}} if user.extra else {}),
                "resourceAttributes": attributes,
            },
        }
        try:
            answer = await self._client.create(SUBJECT_ACCESS_REVIEWS, review)
        except (StatusError, ConnectionError):
            return False
        verdict = bool((answer.get("status") or {}).get("allowed"))
        if len(self._verdicts) >= _CACHE_LIMIT:
            self._verdicts.clear()
        self._verdicts[key] = (now_s + (self._config.allowed_ttl_s if verdict else self._config.denied_ttl_s), verdict)
        return verdict
