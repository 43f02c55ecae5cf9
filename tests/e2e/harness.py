"""What every end-to-end test uses: the throwaway cluster, and waiting for what comes true in its own time."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import resources
from typing import Any

from tools.throwaway import ADDRESS, Cluster, Failed

from steersman.machinery.errors import StatusError

__all__ = ["ADDRESS", "Cluster", "Failed", "Stopwatch", "eventually", "example_manifest", "told"]


class Stopwatch:
    """Real time since it was made."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begun


def eventually(holds: Callable[[], Any], *, within_s: float = 180, what: str = "") -> Any:
    """The first true value of `holds`; the last failure or value is told when time runs out.

    The limit ends what would never come true. It says nothing of how fast that should be, on whatever machine this runs.
    """
    deadline = time.monotonic() + within_s
    last: object = None
    while True:
        try:
            found = holds()
            if found:
                return found
            last = found
        except (Failed, StatusError, KeyError, IndexError, ValueError) as fault:
            last = fault
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:.0f} s: {what or holds} (last: {last})")
        time.sleep(0.05)


def told(say: Callable[[], str], *texts: str) -> None:
    """Wait until all of that is in what `say` gives: events and logs come out after what they tell of."""

    def missing() -> list[str]:
        said = say()
        return [text for text in texts if text not in said]

    eventually(lambda: not missing(), what=f"all of {texts}")


def example_manifest() -> str:
    """The manifest of `steersman example`, without its fixed node port, to be applied in any namespace."""
    text = resources.files("steersman.cluster.example").joinpath("hello.yaml").read_text()
    return text.replace(", nodePort: 30080", "")
