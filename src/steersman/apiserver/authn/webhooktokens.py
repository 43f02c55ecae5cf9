"""Tokens that somebody else knows: a webhook is asked with a TokenReview, and its answer is remembered for a while.

Source: upstream apiserver/plugin/pkg/authenticator/token/webhook.
"""

from __future__ import annotations

import hashlib

from steersman.apiserver.access import TokenWebhookSettings
from steersman.apiserver.authn.verified import Verified, shared
from steersman.apiserver.config import ConfigError
from steersman.apiserver.contracts import UserInfo
from steersman.apiserver.outbound import Unreachable
from steersman.apiserver.tokens import InvalidToken
from steersman.apiserver.webhook import Webhook
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj

_MEMO_LIMIT = 4096
_VERSIONS = ("v1", "v1beta1")


class WebhookTokens:
    """`audiences`: what tokens are for if the webhook doesn't say."""

    def __init__(self, settings: TokenWebhookSettings, audiences: tuple[str, ...], clock: Clock) -> None:
        """Raises ConfigError, OSError."""
        if settings.version not in _VERSIONS:
            raise ConfigError(f'unsupported authentication webhook version "{settings.version}"')
        self._webhook = Webhook(settings.config_file, clock)
        self._version, self._ttl_s = settings.version, settings.cache_ttl_s
        self._audiences, self._clock = audiences, clock
        self._answers: dict[bytes, tuple[Verified | str | None, float]] = {}

    async def verify(self, token: str, audiences: tuple[str, ...]) -> Verified | None:
        key = hashlib.sha256("\0".join((token, *audiences)).encode("utf-8", "surrogateescape")).digest()
        now_s = self._clock.monotonic()
        known = self._answers.get(key)
        if known is not None and known[1] > now_s:
            found = known[0]
        else:
            found = await self._ask(token, audiences)
            if len(self._answers) >= _MEMO_LIMIT:
                self._answers.clear()
            self._answers[key] = (found, self._clock.monotonic() + self._ttl_s)
        if isinstance(found, str):
            raise InvalidToken(found)
        return found

    async def _ask(self, token: str, audiences: tuple[str, ...]) -> Verified | str | None:
        """A text: what is wrong with the token, as the webhook has it. Raises InvalidToken if it cannot be asked."""
        spec: Obj = {"token": token, "audiences": list(audiences)}
        review = {"apiVersion": f"authentication.k8s.io/{self._version}", "kind": "TokenReview", "spec": spec}
        try:
            status = (await self._webhook.post(review)).get("status") or {}
        except Unreachable as fault:
            raise InvalidToken(str(fault)) from fault
        if not status.get("authenticated"):
            return str(status.get("error") or "") or None
        given = tuple(status.get("audiences") or ())
        meant = tuple(audience for audience in audiences if audience in given) if given else shared(audiences, self._audiences)
        if not meant:
            return None
        user = status.get("user") or {}
        extra = {key: tuple(values) for key, values in (user.get("extra") or {}).items()}
        name, uid, groups = user.get("username") or "", user.get("uid") or "", tuple(user.get("groups") or ())
        return Verified(UserInfo(name, uid, groups, extra), meant)
