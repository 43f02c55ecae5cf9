"""All issuers of a server as one authenticator; a configuration file that changes is taken up while the server runs.

Upstream looks at the file every minute. Here it is looked at when a token comes that nobody has verified before, or somebody
anonymous, at most that often: a server that nobody talks to does nothing.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Collection
from pathlib import Path

from steersman.apiserver.access import AuthenticationSettings
from steersman.apiserver.authn.oidc import parse
from steersman.apiserver.authn.oidc.model import Anonymous, Configuration
from steersman.apiserver.authn.oidc.tokens import IssuedTokens
from steersman.apiserver.authn.verified import Verified
from steersman.apiserver.config import ConfigError
from steersman.apiserver.tokens import InvalidToken
from steersman.machinery.clock import Clock

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 60.0


class Issuers:
    """`disallowed`: the server's own issuers, whose tokens are no business of others."""

    def __init__(
        self, settings: AuthenticationSettings, disallowed: Collection[str], audiences: tuple[str, ...], clock: Clock
    ) -> None:
        """Raises ConfigError, OSError."""
        self._settings, self._disallowed = settings, disallowed
        self._audiences, self._clock = audiences, clock
        self._file = settings.config_file
        self._stamp = _stamp(self._file)
        self._look_at_s = clock.monotonic() + _LOOK_EVERY_S
        self._use(self._load())

    async def verify(self, token: str, audiences: tuple[str, ...]) -> Verified | None:
        self._look()
        faults = []
        for issuer in self._issuers:
            try:
                found = await issuer.verify(token, audiences)
            except InvalidToken as fault:
                faults.append(str(fault))
                continue
            if found is not None:
                return found
        if faults:
            raise InvalidToken(faults[0])
        return None

    def anonymous(self, path: str) -> bool:
        """Whether somebody without credentials may go on to this path."""
        self._look()
        return self._anonymous.allows(path)

    def _load(self) -> Configuration:
        if self._settings.oidc is not None:
            return Configuration((parse.of_flags(self._settings.oidc, self._disallowed),))
        assert self._file is not None
        found = parse.load(self._file, self._disallowed)
        if found.anonymous is not None and self._settings.anonymous is not None:
            why = "--anonymous-auth flag cannot be set when anonymous field is configured in authentication configuration"
            raise ConfigError(why)
        return found

    def _use(self, found: Configuration) -> None:
        """Raises ConfigError."""
        try:
            self._issuers = [IssuedTokens(issuer, self._audiences, self._clock) for issuer in found.issuers]
        except (ssl.SSLError, ValueError) as fault:
            raise ConfigError(f"certificate authority of an issuer: {fault}") from fault
        self._anonymous = found.anonymous or Anonymous()

    def _look(self) -> None:
        now_s = self._clock.monotonic()
        if self._file is None or now_s < self._look_at_s:
            return
        self._look_at_s = now_s + _LOOK_EVERY_S
        stamp = _stamp(self._file)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._use(self._load())
        except (ConfigError, OSError) as fault:
            log.error("authentication configuration not taken up, the one before stays: error=%s", fault)
        else:
            log.info("authentication configuration taken up: file=%s issuers=%d", self._file, len(self._issuers))


def _stamp(path: Path | None) -> tuple[int, int]:
    """(0, 0) for a file that is not there now."""
    try:
        found = path.stat() if path is not None else None
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_size) if found is not None else (0, 0)
