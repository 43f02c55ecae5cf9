"""Authentication: client certificate, then bearer token (header or WebSocket subprotocol), then anonymous.

`build` makes what the pipeline asks on every request; `impersonate` follows it. Verified credentials are remembered for a few
seconds by their digest, so that a repeat costs a dictionary look-up. What is not here: what the user may do (authz).
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from steersman.apiserver.authn.bootstraptokens import BootstrapTokens
from steersman.apiserver.authn.impersonation import impersonate
from steersman.apiserver.authn.serviceaccounts import ServiceAccountTokens, Verified
from steersman.apiserver.authn.x509 import user_of
from steersman.apiserver.config import ServerConfig
from steersman.apiserver.contracts import ANONYMOUS, Listers, UserInfo
from steersman.apiserver.http import Request
from steersman.apiserver.lookup import Lookup
from steersman.apiserver.tokens import InvalidToken, TokenAuthority
from steersman.machinery.clock import Clock
from steersman.machinery.errors import Unauthorized

__all__ = ["AUTHENTICATED", "Authentication", "build", "impersonate"]

AUTHENTICATED = "system:authenticated"
_REMEMBER_S = 10.0
_MEMO_LIMIT = 4096
_WEBSOCKET_TOKEN = "base64url.bearer.authorization.k8s.io."


class Authentication:
    """The server's Authenticator. A token must have one of the `audiences`."""

    def __init__(self, authority: TokenAuthority, lookup: Lookup, audiences: tuple[str, ...], clock: Clock) -> None:
        self.authority, self.audiences = authority, audiences
        self._tokens, self._clock = ServiceAccountTokens(authority, lookup, clock), clock
        self._bootstrap = BootstrapTokens(lookup, audiences, clock)
        self._by_certificate: dict[x509.Certificate, tuple[UserInfo | None, float]] = {}
        self._by_token: dict[bytes, tuple[UserInfo, float]] = {}

    async def authenticate(self, request: Request) -> UserInfo:
        if request.peer is not None:
            user = self._certificate(request.peer)
            if user is not None:
                return user
        token = _token(request)
        return await self._bearer(token) if token else ANONYMOUS

    async def review(self, token: str, audiences: tuple[str, ...]) -> Verified:
        """TokenReview's question: the user of a token for these audiences. InvalidToken if there is none."""
        verified = await self._tokens.verify(token, audiences) or await self._bootstrap.verify(token, audiences)
        if verified is None:
            raise InvalidToken("invalid bearer token")
        return Verified(_authenticated(verified.user), verified.audiences, verified.expires)

    def _certificate(self, certificate: x509.Certificate) -> UserInfo | None:
        now_s = self._clock.monotonic()
        found = self._by_certificate.get(certificate)
        if found is not None and found[1] > now_s:
            return found[0]
        if certificate.not_valid_after_utc < self._clock.now():
            raise Unauthorized
        user = user_of(certificate)
        if user is not None:
            digest = certificate.fingerprint(hashes.SHA256()).hex()
            extra = {"authentication.kubernetes.io/credential-id": (f"X509SHA256={digest}",)}
            user = _authenticated(UserInfo(user.name, user.uid, user.groups, extra))
        if len(self._by_certificate) >= _MEMO_LIMIT:
            self._by_certificate.clear()
        self._by_certificate[certificate] = (user, now_s + _REMEMBER_S)
        return user

    async def _bearer(self, token: str) -> UserInfo:
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        now_s = self._clock.monotonic()
        found = self._by_token.get(digest)
        if found is not None and found[1] > now_s:
            return found[0]
        try:
            verified = await self.review(token, self.audiences)
        except InvalidToken as error:
            raise Unauthorized from error
        left_s = (verified.expires - self._clock.now()).total_seconds()
        if len(self._by_token) >= _MEMO_LIMIT:
            self._by_token.clear()
        self._by_token[digest] = (verified.user, now_s + min(_REMEMBER_S, left_s))
        return verified.user


def build(config: ServerConfig, listers: Listers, clock: Clock) -> Authentication:
    """Reads the token key's file."""
    return Authentication(TokenAuthority.load(config), Lookup(listers), config.api_audiences, clock)


def _authenticated(user: UserInfo) -> UserInfo:
    groups = user.groups if AUTHENTICATED in user.groups else (*user.groups, AUTHENTICATED)
    return UserInfo(user.name, user.uid, groups, user.extra)


def _token(request: Request) -> str:
    header = request.headers.get("authorization")
    if header:
        scheme, _, token = header.strip().partition(" ")
        return token.split(" ", 1)[0] if scheme.lower() == "bearer" else ""
    protocols = request.headers.get("sec-websocket-protocol")
    return _websocket_token(protocols) if protocols and _WEBSOCKET_TOKEN in protocols else ""


def _websocket_token(protocols: str) -> str:
    """The token that browsers send as a subprotocol, as they can't set headers; a real subprotocol must be beside it."""
    offered = [item.strip() for item in protocols.split(",")]
    encoded = [item.removeprefix(_WEBSOCKET_TOKEN) for item in offered if item.startswith(_WEBSOCKET_TOKEN)]
    if len(encoded) != 1 or len(offered) < 2:
        raise Unauthorized
    try:
        return base64.b64decode(encoded[0] + "=" * (-len(encoded[0]) % 4), b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Unauthorized from error
