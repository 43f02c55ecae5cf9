"""Tokens of service accounts that are kept in Secrets: good while the Secret has them, for the API server's own audiences.

Source: upstream pkg/serviceaccount/legacy.go. A use is noted in the Secret's labels, once a day; one that is marked invalid is
refused. What they say: api/accounttokens.py. Who makes them: controllers/serviceaccounttokens.py.
"""

from __future__ import annotations

import binascii
import hmac
import logging
from base64 import b64decode
from collections.abc import Callable

from steersman.api import accounttokens
from steersman.api.resources import SECRETS, SERVICE_ACCOUNTS
from steersman.apiserver.authn.serviceaccounts import PREFIX, groups_of
from steersman.apiserver.authn.verified import NEVER, Verified, shared
from steersman.apiserver.contracts import UserInfo
from steersman.apiserver.lookup import Lookup
from steersman.apiserver.tokens import InvalidToken, TokenAuthority
from steersman.client.interface import Client
from steersman.machinery.clock import Clock
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Obj, is_deleting, labels_of, name_of, namespace_of, uid_of

log = logging.getLogger(__name__)

_GONE = "Token has been invalidated"


class LegacyTokens:
    """client: writes when a token was last used; None: nobody notes it. audiences: the server's own."""

    def __init__(
        self, authority: TokenAuthority, lookup: Lookup, audiences: tuple[str, ...], clock: Clock, client: Client | None
    ) -> None:
        self._authority, self._lookup, self._audiences = authority, lookup, audiences
        self._clock, self._client = clock, client

    async def verify(self, token: str, audiences: tuple[str, ...]) -> Verified | None:
        claims = self._authority.verify(token, (accounttokens.ISSUER,))
        if claims is None:
            return None
        meant = shared(audiences, self._audiences)
        if not meant:
            raise InvalidToken(f"token audiences [{' '.join(self._audiences)}] is invalid for the target audiences {audiences}")
        said = _said(claims)
        namespace, account_name = said["namespace"], said["serviceAccountName"]
        secret = await self._lookup.live(SECRETS, namespace, said["secretName"])
        if secret is None or is_deleting(secret):
            raise InvalidToken(_GONE)
        if not _has(secret, token):
            raise InvalidToken("Token does not match server's copy")
        account = await self._lookup.live(SERVICE_ACCOUNTS, namespace, account_name)
        if account is None:
            raise InvalidToken(f'serviceaccounts "{account_name}" not found')
        if is_deleting(account):
            raise InvalidToken(f"service account {namespace}/{account_name} has been deleted")
        if uid_of(account) != said["serviceAccountUID"]:
            raise InvalidToken(f"service account UID ({uid_of(account)}) does not match claim ({said['serviceAccountUID']})")
        await self._note_use(secret)
        if labels_of(secret).get(accounttokens.INVALID_SINCE):
            raise InvalidToken(
                f"the token in secret {namespace}/{name_of(secret)} for service account {namespace}/{account_name} has been "
                "marked invalid. Use tokens from the TokenRequest API or manually created secret-based tokens, or remove the "
                f"'{accounttokens.INVALID_SINCE}' label from the secret to temporarily allow use of this token"
            )
        user = UserInfo(f"{PREFIX}{namespace}:{account_name}", uid_of(account), groups_of(namespace))
        return Verified(user, meant, NEVER, self._standing(said, token))

    def _standing(self, said: dict[str, str], token: str) -> Callable[[], bool]:
        secrets, accounts = self._lookup.listers(SECRETS), self._lookup.listers(SERVICE_ACCOUNTS)

        def stands() -> bool:
            secret = secrets.get(said["namespace"], said["secretName"])
            account = accounts.get(said["namespace"], said["serviceAccountName"])
            if secret is None or account is None or is_deleting(secret) or is_deleting(account):
                return False
            marked = accounttokens.INVALID_SINCE in labels_of(secret)
            return not marked and uid_of(account) == said["serviceAccountUID"] and _has(secret, token)

        return stands

    async def _note_use(self, secret: Obj) -> None:
        """A failure is no reason to refuse anybody."""
        today = self._clock.now().strftime(accounttokens.DAY)
        if self._client is None or labels_of(secret).get(accounttokens.LAST_USED) == today:
            return
        patch = {"metadata": {"labels": {accounttokens.LAST_USED: today}}}
        try:
            await self._client.patch(SECRETS, name_of(secret), patch, namespace_of(secret))
        except (StatusError, ConnectionError) as fault:
            where = f"{namespace_of(secret)}/{name_of(secret)}"
            log.warning("the use of a token is not noted: secret=%s error=%s", where, fault)


def _said(claims: Obj) -> dict[str, str]:
    """Raises InvalidToken for a token that does not say enough."""
    if not claims.get("sub"):
        raise InvalidToken("sub claim is missing")
    said: dict[str, str] = {}
    for what, claim in accounttokens.CLAIMS.items():
        value = claims.get(claim)
        if not isinstance(value, str) or not value:
            raise InvalidToken(f"{what} claim is missing")
        said[what] = value
    if claims["sub"] != f"{PREFIX}{said['namespace']}:{said['serviceAccountName']}":
        raise InvalidToken("sub claim is invalid")
    return said


def _has(secret: Obj, token: str) -> bool:
    try:
        kept = b64decode((secret.get("data") or {}).get(accounttokens.TOKEN) or "")
    except binascii.Error:
        return False
    return hmac.compare_digest(kept, token.encode())
