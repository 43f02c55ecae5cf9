"""An answer of the kubelet's server that is only a status and a sentence."""

from __future__ import annotations

NOT_FOUND = "404 page not found"


class Refused(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
