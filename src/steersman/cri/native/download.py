"""The file of a blob that is being downloaded: hashed, measured, and told of in the log as it grows."""

from __future__ import annotations

import hashlib
import logging
import os
from typing import Any, Self

from steersman.cri.interface import RuntimeFault
from steersman.cri.native.manifests import Descriptor, bad
from steersman.machinery.clock import Clock

log = logging.getLogger(__name__)

_SLOW_S, _SLOW_BYTES = 300.0, 64 << 10
"""Who sends less than so many bytes in that time is as good as silent."""
_REPORT_S = 10.0


class Download:
    """A blob's file while it comes in. `done`: bytes that are there."""

    def __init__(self, wanted: Descriptor, path: str, clock: Clock) -> None:
        self._wanted, self._clock, self._hash = wanted, clock, hashlib.sha256()
        self.done = 0
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._judged = self._reported = (clock.monotonic(), 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: Any) -> None:
        os.close(self._fd)

    def add(self, data: bytes) -> None:
        """Raises RuntimeFault when it is too much, or comes too slowly; OSError."""
        if self.done + len(data) > self._wanted.size:
            raise bad(f"blob {self._wanted.digest} is longer than its manifest says ({self._wanted.size} bytes)")
        self._hash.update(data)
        _write_all(self._fd, data)
        self.done += len(data)
        now_s = self._clock.monotonic()
        since_s, count = self._judged
        if now_s - since_s >= _SLOW_S:
            if self.done - count < _SLOW_BYTES:
                text = f"only {self.done - count} bytes in {_SLOW_S:g} seconds"
                raise RuntimeFault(f"blob {self._wanted.digest}: {text}", reason="RegistryUnavailable")
            self._judged = (now_s, self.done)
        if now_s - self._reported[0] >= _REPORT_S:
            rate = (self.done - self._reported[1]) / (now_s - self._reported[0])
            self._reported = (now_s, self.done)
            log.info(
                "downloading digest=%s bytes=%d of=%d bytes_per_s=%.0f", self._wanted.digest, self.done, self._wanted.size, rate
            )

    def check(self) -> None:
        """Raises RuntimeFault if it is not what was wanted."""
        if self.done < self._wanted.size:
            raise bad(f"blob {self._wanted.digest} is shorter than its manifest says ({self.done} of {self._wanted.size} bytes)")
        if f"sha256:{self._hash.hexdigest()}" != self._wanted.digest:
            raise bad(f"blob {self._wanted.digest} has other content than its digest says")


def _write_all(fd: int, data: bytes) -> None:
    """A disk that is nearly full takes a part, and refuses only the rest. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
