"""Taking up a changed --encryption-provider-config while the server runs (--encryption-provider-config-automatic-reload).

The file is looked at, not watched: it may be a Secret's volume, a symlink, or on a network. A content that is no good is told
once and changes nothing. Source: upstream server/options/encryptionconfig/controller.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from steersman.apiserver.config import ConfigError
from steersman.apiserver.encryption.config import load
from steersman.apiserver.encryption.store import EncryptedStore
from steersman.machinery.clock import Clock

if TYPE_CHECKING:
    from prometheus_client.core import Metric

log = logging.getLogger(__name__)

LOOK_S = 5.0


class Reloading:
    """`run()` until cancelled. changed: called when another configuration is in use."""

    def __init__(self, store: EncryptedStore, path: Path, clock: Clock, changed: Callable[[], None]) -> None:
        self._store, self._path, self._clock, self._changed = store, path, clock, changed
        self._told = ""
        self.counts = {"success": 0, "failure": 0}

    async def run(self) -> None:
        # The first look is at the content: the file may have changed since the server read it.
        seen: tuple[int, ...] | None = None
        while True:
            await self._clock.sleep(LOOK_S)
            mark = self._mark()
            # After a failure it is tried again: what was missing may be a library, or the right to read.
            if mark != seen or self._told:
                seen = mark
                self._look()

    def _look(self) -> None:
        try:
            found = load(self._path)
        except ConfigError as fault:
            if str(fault) != self._told:
                self._told = str(fault)
                self.counts["failure"] += 1
                log.error("encryption configuration not taken up, the one before stays: error=%s", fault)
            return
        self._told = ""
        if found.digest == self._store.encryption.digest:
            return
        self._store.use(found)
        self.counts["success"] += 1
        log.info("encryption configuration taken up: file=%s", self._path)
        self._changed()

    def _mark(self) -> tuple[int, ...]:
        try:
            found = self._path.stat()
        except OSError:
            return ()
        return found.st_mtime_ns, found.st_size, found.st_ino

    def collect(self) -> Iterable[Metric]:
        from prometheus_client.core import CounterMetricFamily

        name = "apiserver_encryption_config_controller_automatic_reloads_total"
        family = CounterMetricFamily(name, "Configurations taken up, or not.", labels=("status",))
        for status, count in self.counts.items():
            family.add_metric((status,), count)
        yield family
