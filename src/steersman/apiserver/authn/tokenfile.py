"""Static tokens: a file of lines `token,user,uid[,"group,group"]`, read once at start (--token-auth-file).

Source: upstream apiserver/pkg/authentication/token/tokenfile. The tokens last as long as the server.
"""

from __future__ import annotations

import csv
import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

from steersman.apiserver.authn.verified import Verified, shared
from steersman.apiserver.config import ConfigError
from steersman.apiserver.contracts import UserInfo

log = logging.getLogger(__name__)


class StaticTokens:
    """They are for the API server itself, whose `audiences` these are."""

    def __init__(self, users: Mapping[str, UserInfo], audiences: tuple[str, ...]) -> None:
        # By digest: how long a look-up takes tells nothing of the tokens.
        self._users = {_digest(token): user for token, user in users.items()}
        self._audiences = audiences

    async def verify(self, token: str, audiences: tuple[str, ...]) -> Verified | None:
        user = self._users.get(_digest(token))
        meant = shared(audiences, self._audiences)
        return Verified(user, meant) if user is not None and meant else None


def load(path: Path) -> dict[str, UserInfo]:
    """Raises ConfigError, OSError."""
    users: dict[str, UserInfo] = {}
    with path.open(newline="", encoding="utf-8") as file:
        try:
            rows = [row for row in csv.reader(file, skipinitialspace=True, strict=True) if row]
        except (csv.Error, UnicodeDecodeError) as fault:
            raise ConfigError(f"token file '{path}': {fault}") from fault
    for number, row in enumerate(rows, 1):
        if len(row) < 3:
            needed = "must have at least 3 columns (token, user name, user uid)"
            raise ConfigError(f"token file '{path}' {needed}, found {len(row)}")
        token, name, uid, *rest = row
        if not token:
            log.warning("token file has an empty token, which is left out: file=%s record=%d", path, number)
            continue
        if token in users:
            log.warning("token file has a token twice, the later line counts: file=%s record=%d", path, number)
        groups = tuple(group.strip() for group in rest[0].split(",")) if rest and rest[0] else ()
        users[token] = UserInfo(name, uid, groups)
    return users


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
