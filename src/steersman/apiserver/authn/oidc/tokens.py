"""JWTs of one issuer as credentials: verified, for us, of now, and mapped to a user.

Source: upstream apiserver/plugin/pkg/authenticator/token/oidc; go-oidc for the checks and their texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import jwt

from steersman.apiserver.authn.oidc import claims as mapping
from steersman.apiserver.authn.oidc.model import JWTAuthenticator
from steersman.apiserver.authn.oidc.provider import Provider
from steersman.apiserver.authn.verified import Verified, shared
from steersman.apiserver.tokens import InvalidToken
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj

_NOT_BEFORE_LEEWAY_S = 300
_GOOGLE = "accounts.google.com"
_UNVERIFIED: Any = {"verify_signature": False}


class IssuedTokens:
    """They are for the API server itself, whose `audiences` these are; which ones the issuer must name is in the settings."""

    def __init__(self, settings: JWTAuthenticator, audiences: tuple[str, ...], clock: Clock) -> None:
        self._settings, self._audiences, self._clock = settings, audiences, clock
        self._provider = Provider(settings.issuer, clock)

    async def verify(self, token: str, audiences: tuple[str, ...]) -> Verified | None:
        meant = shared(audiences, self._audiences)
        if not meant or _claimed_issuer(token) != self._settings.issuer.url:
            return None
        found = await self._provider.claims(token, self._settings.algorithms)
        _check_audience(found, self._settings.issuer.audiences)
        expires = self._check_times(found)
        return Verified(mapping.user_of(self._settings, found), meant, expires)

    def _check_times(self, found: Obj) -> datetime:
        now = self._clock.now()
        expires = _time(found.get("exp"))
        if expires <= now:
            raise InvalidToken(
                f"oidc: verify token: oidc: token is expired (Token Expiry: {expires:%Y-%m-%d %H:%M:%S +0000 UTC})"
            )
        if "nbf" in found:
            begins = _time(found["nbf"])
            if (begins - now).total_seconds() > _NOT_BEFORE_LEEWAY_S:
                shown = [f"{time:%Y-%m-%d %H:%M:%S +0000 UTC}" for time in (now, begins)]
                text = f"current time {shown[0]} before the nbf (not before) time: {shown[1]}"
                raise InvalidToken(f"oidc: verify token: oidc: {text}")
        return expires


def _claimed_issuer(token: str) -> str:
    """Not to be trusted: says only whose matter the token is."""
    if token.count(".") != 2:
        return ""
    try:
        claimed = jwt.decode(token, options=_UNVERIFIED).get("iss")
    except (jwt.PyJWTError, ValueError):
        return ""
    if not isinstance(claimed, str):
        return ""
    return f"https://{_GOOGLE}" if claimed == _GOOGLE else claimed


def _check_audience(found: Obj, wanted: Sequence[str]) -> None:
    given = found.get("aud")
    listed = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    if any(audience in listed for audience in wanted):
        return
    told = " ".join(f'"{item}"' for item in listed)
    expected = (
        f'audience "{wanted[0]}"' if len(wanted) == 1 else f"audience in [{' '.join(f'{chr(34)}{w}{chr(34)}' for w in wanted)}]"
    )
    raise InvalidToken(f"oidc: verify token: oidc: expected {expected} got [{told}]")


def _time(seconds: object) -> datetime:
    """Of a NumericDate; the epoch for anything else."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        seconds = 0
    try:
        return datetime.fromtimestamp(seconds, tz=UTC)
    except (OverflowError, OSError, ValueError):
        return datetime.fromtimestamp(0, tz=UTC)
