"""An AuthorizationConfiguration is taken up when its file changes. One that cannot be used changes nothing.

Source: upstream pkg/kubeapiserver/authorizer/reload.go. The file is looked at when somebody asks, once a minute at most.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from steersman.apiserver.authz.authorization import Authorization
from steersman.apiserver.config import ConfigError
from steersman.apiserver.contracts import RequestInfo, UserInfo, Verdict
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 60.0


class Reloading(Authorization):
    """read: the authorization that the file asks for now; raises ConfigError, OSError."""

    def __init__(self, file: Path, read: Callable[[], Authorization], clock: Clock) -> None:
        self._file, self._read, self._clock = file, read, clock
        self._stamp = _stamp(file)
        self._look_at_s = clock.monotonic() + _LOOK_EVERY_S
        self._current = read()
        super().__init__((self._current,), self._current.rbac)

    async def authorize(self, user: UserInfo, info: RequestInfo) -> tuple[Verdict, str]:
        self._look()
        return await self._current.authorize(user, info)

    def listed(self, user: UserInfo, namespace: str) -> tuple[Sequence[Obj], list[str], bool]:
        self._look()
        return self._current.listed(user, namespace)

    def _look(self) -> None:
        now_s = self._clock.monotonic()
        if now_s < self._look_at_s:
            return
        self._look_at_s = now_s + _LOOK_EVERY_S
        stamp = _stamp(self._file)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._current = self._read()
        except (ConfigError, OSError) as fault:
            log.error("authorization configuration not taken up, the one before stays: error=%s", fault)
        else:
            log.info("authorization configuration taken up: file=%s", self._file)


def _stamp(path: Path) -> tuple[int, int]:
    """(0, 0) for a file that is not there now."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size
