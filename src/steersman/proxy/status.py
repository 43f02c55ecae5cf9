"""What a proxy says of itself: whether it keeps up (/healthz, /livez; port 10256 upstream), how it works (/proxyMode; 10249).

/healthz is what load balancers ask: it is no longer 200 once the node is being taken away, so that nobody new is sent there.
Source: upstream pkg/proxy/healthcheck, KEP-3836.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from http import HTTPStatus

from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj, dig, is_deleting
from steersman.proxy.pages import NOT_FOUND, Page, listen

log = logging.getLogger(__name__)

Bind = tuple[str, int]
MODE = "nftables"
LEAVING = "ToBeDeletedByClusterAutoscaler"
_LATE = timedelta(seconds=60)
_TEXT = "text/plain; charset=utf-8"


class Status:
    """Told of every change that waits (`queued`) and of every one that is applied (`updated`)."""

    def __init__(self, clock: Clock, node: Callable[[], Obj | None]) -> None:
        self._clock, self._node = clock, node
        self._waiting: datetime | None = clock.now()
        self._updated = clock.now()
        self._servers: list[asyncio.Server] = []

    def queued(self) -> None:
        self._waiting = self._waiting or self._clock.now()

    def updated(self) -> None:
        self._waiting, self._updated = None, self._clock.now()

    def keeps_up(self) -> bool:
        """Whether no change has waited for long."""
        return self._waiting is None or self._clock.now() - self._waiting < _LATE

    async def open(self, healthz: Bind | None, metrics: Bind | None) -> None:
        """A port that is taken is told, and not worth a node's traffic."""
        for bind, page_of in ((healthz, self.health_page), (metrics, self.mode_page)):
            if bind is None:
                continue
            try:
                self._servers.append(await listen(bind[:1], bind[1], page_of, self._clock))
            except OSError as fault:
                log.error("pages not served address=%s port=%d error=%s", bind[0], bind[1], fault)

    def close(self) -> None:
        for server in self._servers:
            server.close()

    def health_page(self, path: str) -> Page:
        if path not in ("/healthz", "/livez"):
            return NOT_FOUND
        now = self._clock.now()
        # As long as nothing waits, what is applied is what there is now.
        told: Obj = {"lastUpdated": _time(self._updated if self._waiting else now), "currentTime": _time(now)}
        eligible = True
        if path == "/healthz":
            told["nodeEligible"] = eligible = is_eligible(self._node())
        status = HTTPStatus.OK if self.keeps_up() and eligible else HTTPStatus.SERVICE_UNAVAILABLE
        return Page(status, "application/json", json.dumps(told))

    def mode_page(self, path: str) -> Page:
        return {"/proxyMode": Page(HTTPStatus.OK, _TEXT, MODE), "/healthz": Page(HTTPStatus.OK, _TEXT, "ok")}.get(path, NOT_FOUND)


def is_eligible(node: Obj | None) -> bool:
    """Whether new clients may be sent to the node: it is not being deleted, and no autoscaler wants it away."""
    if node is None:
        return True
    return not is_deleting(node) and all(taint.get("key") != LEAVING for taint in dig(node, "spec", "taints", default=()) or ())


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f +0000 UTC")
