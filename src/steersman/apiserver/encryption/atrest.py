"""Encryption at rest as a server has it: the file loaded, the store wrapped, and its reloading if that was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from steersman.apiserver.encryption.config import load
from steersman.apiserver.encryption.reload import Reloading
from steersman.apiserver.encryption.store import EncryptedStore
from steersman.machinery.clock import Clock
from steersman.machinery.gvk import Resource
from steersman.store.interface import Store

if TYPE_CHECKING:
    from prometheus_client.core import Metric


class AtRest:
    """Raises ConfigError. resources: those of built-in kinds."""

    def __init__(self, path: Path, reload: bool, store: Store, resources: Sequence[Resource]) -> None:
        core = {resource.plural for resource in resources if not resource.group}
        groups = {resource.group for resource in resources if resource.group}
        self.store = EncryptedStore(store, load(path), core, groups)
        self._path, self._reload = path, reload
        self._reloading: Reloading | None = None

    def reloading(self, clock: Clock, changed: Callable[[], None]) -> Reloading | None:
        """What follows the file, None if nobody asked for it. changed: called when another configuration is in use."""
        if self._reload:
            self._reloading = Reloading(self.store, self._path, clock, changed)
        return self._reloading

    def collect(self) -> Iterable[Metric]:
        yield from self.store.collect()
        if self._reloading is not None:
            yield from self._reloading.collect()
