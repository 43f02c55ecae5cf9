"""An issuer over the network: its configuration document, and the keys it signs with now (OpenID Connect Discovery, RFC 7517).

Both are asked for when the first token comes, so that issuers that run in the cluster itself may come up after the server; keys
are asked for again when a token is signed with one that is not known. Not here: what a token says.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

import jwt
import orjson

from steersman.apiserver import outbound
from steersman.apiserver.authn.oidc.model import Issuer
from steersman.apiserver.tokens import InvalidToken
from steersman.client.http import make_ssl_context
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj

log = logging.getLogger(__name__)

WELL_KNOWN = "/.well-known/openid-configuration"
_TIMEOUT_S = 10.0
_AGAIN_S = 10.0
"""How long an issuer that could not be used is left alone: upstream's interval."""
_KEYS_AGAIN_S = 1.0
"""Anybody can send tokens that name unknown keys: the issuer is not asked more often than this."""
_SIGNATURE_ONLY: Any = {
    "verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False, "verify_iss": False,
    "verify_sub": False, "verify_jti": False,
}  # fmt: skip


class Provider:
    """`claims` checks the signature only."""

    def __init__(self, issuer: Issuer, clock: Clock) -> None:
        """Raises ssl.SSLError for CA data that are none."""
        self._issuer, self._clock = issuer, clock
        self._tls: ssl.SSLContext = make_ssl_context(issuer.ca_pem.encode() or None, None, None)
        self._turn = asyncio.Lock()
        self._keys_url = ""
        self._keys: list[tuple[str, Any]] = []
        self._not_before_s = float("-inf")
        self._fetched_s = float("-inf")

    async def claims(self, token: str, algorithms: Sequence[str]) -> Obj:
        """Raises InvalidToken."""
        try:
            header: Mapping[str, Any] = jwt.get_unverified_header(token)
        except jwt.PyJWTError as fault:
            raise InvalidToken(f"oidc: verify token: oidc: malformed jwt: {fault}") from fault
        algorithm = str(header.get("alg") or "")
        if algorithm not in algorithms:
            told = " ".join(f'"{item}"' for item in algorithms)
            text = f'oidc: id token signed with unsupported algorithm, expected [{told}] got "{algorithm}"'
            raise InvalidToken(f"oidc: verify token: {text}")
        kid = str(header.get("kid") or "")
        known = self._keys
        found = _verified(token, algorithm, kid, known)
        if found is None and await self._refresh(known):
            found = _verified(token, algorithm, kid, self._keys)
        if found is None:
            raise InvalidToken("oidc: verify token: failed to verify signature: failed to verify id token signature")
        return found

    async def _refresh(self, known: list[tuple[str, Any]]) -> bool:
        """Have newer keys than `known`; False if they were asked for just now. Raises InvalidToken."""
        async with self._turn:
            now_s = self._clock.monotonic()
            if self._keys is not known:
                return True
            if now_s < self._not_before_s:
                raise InvalidToken("oidc: authenticator not initialized")
            if now_s - self._fetched_s < _KEYS_AGAIN_S:
                return False
            try:
                if not self._keys_url:
                    self._keys_url = await self._discover()
                self._keys = await self._fetch_keys()
            except _Unusable as fault:
                if not self._keys:
                    self._not_before_s = now_s + _AGAIN_S
                log.warning("issuer of tokens cannot be used: issuer=%s error=%s", self._issuer.url, fault)
                lead = "oidc: verify token: failed to verify signature: fetching keys" if self._keys_url else "oidc"
                text = str(fault) if self._keys_url else "authenticator not initialized"
                raise InvalidToken(f"{lead}: {text}") from fault
            self._fetched_s = self._clock.monotonic()
            return True

    async def _discover(self) -> str:
        url = self._issuer.discovery_url or self._issuer.url.removesuffix("/") + WELL_KNOWN
        document = await self._get(url)
        said = document.get("issuer")
        if said != self._issuer.url:
            text = f'oidc: issuer did not match the issuer returned by provider, expected "{self._issuer.url}" got "{said}"'
            raise _Unusable(text)
        keys_url = document.get("jwks_uri")
        if not isinstance(keys_url, str) or not keys_url:
            raise _Unusable("its configuration names no jwks_uri")
        return keys_url

    async def _fetch_keys(self) -> list[tuple[str, Any]]:
        document = await self._get(self._keys_url)
        keys: list[tuple[str, Any]] = []
        for item in document.get("keys") or ():
            try:
                if item.get("use") in (None, "", "sig"):
                    keys.append((str(item.get("kid") or ""), jwt.PyJWK(item).key))
            except (jwt.PyJWTError, AttributeError, ValueError):
                continue  # keys of kinds that nobody here can use
        return keys

    async def _get(self, url: str) -> Obj:
        try:
            answer = await outbound.fetch("GET", url, self._tls, timeout_s=_TIMEOUT_S, headers={"Accept": "application/json"})
        except outbound.Unreachable as fault:
            raise _Unusable(str(fault)) from fault
        if answer.status != 200:
            raise _Unusable(f"{url}: status {answer.status}")
        try:
            document = orjson.loads(answer.body)
        except orjson.JSONDecodeError as fault:
            raise _Unusable(f"{url}: {fault}") from fault
        if not isinstance(document, dict):
            raise _Unusable(f"{url}: no JSON object")
        return document


class _Unusable(Exception):
    """Why configuration or keys could not be had."""


def _verified(token: str, algorithm: str, kid: str, keys: Sequence[tuple[str, Any]]) -> Obj | None:
    for name, key in keys:
        if kid and name and kid != name:
            continue
        try:
            found: Obj = jwt.decode(token, key, [algorithm], options=_SIGNATURE_ONLY)
        except (jwt.PyJWTError, TypeError, ValueError):
            continue
        return found
    return None
