"""Bootstrap tokens as credentials: a Secret in kube-system says whether one still stands, and for whom.

Source: upstream plugin/pkg/auth/authenticator/token/bootstrap. What a token is: api/bootstraptokens.py.
"""

from __future__ import annotations

from steersman.api import bootstraptokens
from steersman.api.resources import SECRETS
from steersman.apiserver.authn.verified import NEVER, Verified, shared
from steersman.apiserver.contracts import UserInfo
from steersman.apiserver.lookup import Lookup
from steersman.machinery.clock import Clock
from steersman.machinery.meta import is_deleting


class BootstrapTokens:
    """They are for the API server itself, whose `audiences` these are."""

    def __init__(self, lookup: Lookup, audiences: tuple[str, ...], clock: Clock) -> None:
        self._lookup, self._audiences, self._clock = lookup, audiences, clock

    async def verify(self, text: str, audiences: tuple[str, ...]) -> Verified | None:
        """None: no such token, or one that is not to be accepted. Why is not told: who guesses shall not learn."""
        parts = bootstraptokens.split(text)
        if parts is None:
            return None
        secret = await self._lookup.live(SECRETS, bootstraptokens.NAMESPACE, bootstraptokens.secret_name(parts[0]))
        if secret is None or is_deleting(secret):
            return None
        token = bootstraptokens.from_secret(secret)
        if token is None or not bootstraptokens.same_secret(token.secret, parts[1]):
            return None
        meant = shared(audiences, self._audiences)
        if token.expired(self._clock.now()) or "authentication" not in token.usages or not meant:
            return None
        groups = (bootstraptokens.BOOTSTRAPPERS, *(group for group in token.groups if group != bootstraptokens.BOOTSTRAPPERS))
        user = UserInfo(bootstraptokens.USER_PREFIX + token.id, "", groups, {})
        return Verified(user, meant, token.expires or NEVER)
