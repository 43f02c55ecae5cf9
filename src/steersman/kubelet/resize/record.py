"""What a pod was allocated and what is in force, kept in its folder: a kubelet that restarts must not take a resize that was
never accepted for granted, nor one that was not carried out yet.

Source: upstream pkg/kubelet/allocation/state, which keeps one file for all pods.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from steersman.kubelet.resize.amounts import Allocation

log = logging.getLogger(__name__)

_NAME = "allocated_resources.json"


class Record:
    """`actuated` has containers that run with something else than allocated; nothing said of one means that it does not."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _NAME
        self._kept: tuple[Allocation, Allocation] | None = None

    def load(self) -> tuple[Allocation, Allocation] | None:
        """(allocated, actuated), or None if there is nothing that can be read."""
        try:
            found = json.loads(self._path.read_bytes())
            self._kept = dict(found["allocated"]), dict(found["actuated"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("allocated resources not read path=%s error=%s", self._path, error)
            return None
        return dict(self._kept[0]), dict(self._kept[1])

    def save(self, allocated: Allocation, actuated: Allocation) -> None:
        """Nothing is written if it is known already. Raises OSError."""
        different = {name: amounts for name, amounts in actuated.items() if amounts != allocated.get(name)}
        if self._kept == (allocated, different):
            return
        self._path.parent.mkdir(0o750, parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps({"allocated": allocated, "actuated": different}))
        os.replace(fresh, self._path)
        self._kept = dict(allocated), different
