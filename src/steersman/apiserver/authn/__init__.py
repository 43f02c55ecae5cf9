"""Authentication: front proxy, client certificate, bearer token (header or WebSocket subprotocol), anonymous.

build.py makes it of the settings; impersonation.py follows it. Verified credentials are remembered for a few
seconds by their digest, so that a repeat costs a dictionary look-up. What is not here: what the user may do (authz).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from steersman.apiserver.authn.bootstraptokens import BootstrapTokens
from steersman.apiserver.authn.legacytokens import LegacyTokens
from steersman.apiserver.authn.requestheader import FrontProxy, signed_by
from steersman.apiserver.authn.serviceaccounts import ServiceAccountTokens
from steersman.apiserver.authn.verified import TokenAuthenticator, Verified
from steersman.apiserver.authn.x509 import user_of
from steersman.apiserver.contracts import ANONYMOUS, UserInfo
from steersman.apiserver.http import Request
from steersman.apiserver.lookup import Lookup
from steersman.apiserver.tokens import InvalidToken, TokenAuthority
from steersman.apiserver.websocket import BEARER_TOKEN
from steersman.client.interface import Client
from steersman.machinery.clock import Clock
from steersman.machinery.errors import Unauthorized

__all__ = ["AUTHENTICATED", "UNKNOWN", "Authentication", "own_tokens"]

log = logging.getLogger(__name__)

AUTHENTICATED = "system:authenticated"
UNKNOWN = "invalid bearer token"
_REMEMBER_S = 10.0
_MEMO_LIMIT = 4096
_PROTOCOL = "sec-websocket-protocol"


class Authentication:
    """The server's Authenticator. A token must have one of the `audiences`.

    tokens: who knows bearer tokens, asked in order; without any, the server's own are. front: the proxy before the server.
    client_authorities: whom ordinary client certificates must be of, asked only where TLS takes those of others as well.
    """

    def __init__(
        self,
        authority: TokenAuthority,
        lookup: Lookup,
        audiences: tuple[str, ...],
        clock: Clock,
        *,
        tokens: Sequence[TokenAuthenticator] = (),
        front: FrontProxy | None = None,
        client_authorities: Sequence[x509.Certificate] = (),
        anonymous: Callable[[str], bool] | None = None,
    ) -> None:
        self.authority, self.audiences = authority, audiences
        self._tokens: Sequence[TokenAuthenticator] = tokens or own_tokens(authority, lookup, audiences, clock)
        self._front, self._client_authorities, self._anonymous = front, client_authorities, anonymous
        self._clock = clock
        self._by_certificate: dict[x509.Certificate, tuple[UserInfo | None, float]] = {}
        self._by_token: dict[bytes, tuple[Verified, float]] = {}

    async def authenticate(self, request: Request) -> UserInfo:
        if request.peer is not None:
            user = self._front.user(request) if self._front is not None else None
            if user is not None:
                return _authenticated(user)
            user = self._certificate(request.peer)
            if user is not None:
                return user
        token = _token(request)
        if token:
            return await self._bearer(token)
        if self._anonymous is not None and not self._anonymous(request.path):
            raise Unauthorized
        return ANONYMOUS

    async def review(self, token: str, audiences: tuple[str, ...]) -> Verified:
        """TokenReview's question: the user of a token for these audiences. InvalidToken if there is none."""
        faults: list[str] = []
        for authenticator in self._tokens:
            try:
                verified = await authenticator.verify(token, audiences)
            except InvalidToken as fault:
                faults.append(str(fault))
                continue
            if verified is not None:
                return replace(verified, user=_authenticated(verified.user))
        raise InvalidToken(UNKNOWN if not faults else faults[0] if len(faults) == 1 else f"[{', '.join(dict.fromkeys(faults))}]")

    def _certificate(self, certificate: x509.Certificate) -> UserInfo | None:
        now_s = self._clock.monotonic()
        found = self._by_certificate.get(certificate)
        if found is not None and found[1] > now_s:
            return found[0]
        if certificate.not_valid_after_utc < self._clock.now():
            raise Unauthorized
        user = user_of(certificate)
        if user is not None and self._client_authorities and not signed_by(certificate, self._client_authorities):
            raise Unauthorized
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
        if found is not None and found[1] > now_s and (found[0].stands is None or found[0].stands()):
            return found[0].user
        try:
            verified = await self.review(token, self.audiences)
        except InvalidToken as error:
            log.info("unable to authenticate the request: error=%s", error)
            raise Unauthorized from error
        left_s = (verified.expires - self._clock.now()).total_seconds()
        if len(self._by_token) >= _MEMO_LIMIT:
            self._by_token.clear()
        self._by_token[digest] = (verified, now_s + min(_REMEMBER_S, left_s))
        return verified.user


def own_tokens(
    authority: TokenAuthority, lookup: Lookup, audiences: tuple[str, ...], clock: Clock, client: Client | None = None
) -> tuple[TokenAuthenticator, ...]:
    """Those of the cluster itself. client: writes when tokens in Secrets were last used."""
    legacy = LegacyTokens(authority, lookup, audiences, clock, client)
    return ServiceAccountTokens(authority, lookup, clock), legacy, BootstrapTokens(lookup, audiences, clock)


def _authenticated(user: UserInfo) -> UserInfo:
    groups = user.groups if AUTHENTICATED in user.groups else (*user.groups, AUTHENTICATED)
    return UserInfo(user.name, user.uid, groups, user.extra)


def _token(request: Request) -> str:
    header = request.headers.get("authorization")
    if header:
        scheme, _, token = header.strip().partition(" ")
        return token.split(" ", 1)[0] if scheme.lower() == "bearer" else ""
    return _websocket_token(request) if BEARER_TOKEN in request.headers.get(_PROTOCOL, "") else ""


def _websocket_token(request: Request) -> str:
    """The token that browsers send as a subprotocol, as they can't set headers; a real subprotocol must be beside it. Whoever
    the request is passed on to does not get the token."""
    values = request.repeated.get(_PROTOCOL, (request.headers[_PROTOCOL],))
    offered = [item.strip() for value in values for item in value.split(",")]
    encoded = [item.removeprefix(BEARER_TOKEN) for item in offered if item.startswith(BEARER_TOKEN)]
    if len(encoded) != 1 or len(offered) < 2:
        raise Unauthorized
    # The connection's other requests have the same dicts.
    rest = ", ".join(item for item in offered if not item.startswith(BEARER_TOKEN))
    request.headers = {**request.headers, _PROTOCOL: rest}
    request.repeated = {name: kept for name, kept in request.repeated.items() if name != _PROTOCOL}
    try:
        return base64.b64decode(encoded[0] + "=" * (-len(encoded[0]) % 4), b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Unauthorized from error
