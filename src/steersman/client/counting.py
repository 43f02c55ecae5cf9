"""What upstream's rest_client_* tell: requests by method and code, and how long their answers took to begin."""

from __future__ import annotations

from steersman.machinery.counting import Histogram

_SECONDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)


class RequestCounts:
    """Of one transport, or of several that were given the same. A host is `name:port`."""

    def __init__(self) -> None:
        self.codes: dict[tuple[str, str, int], int] = {}
        """(host, method, code) -> how many."""
        self.seconds: dict[tuple[str, str], Histogram] = {}

    def answered(self, host: str, method: str, code: int, seconds: float) -> None:
        key = (host, method, code)
        self.codes[key] = self.codes.get(key, 0) + 1
        took = self.seconds.get((host, method))
        if took is None:
            took = self.seconds[host, method] = Histogram(_SECONDS)
        took.observe(seconds)
