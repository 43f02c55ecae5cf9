"""The webhook backend: events are POSTed in EventLists to the server that a kubeconfig file names.

A batch is tried five times, with a pause that grows; what comes meanwhile waits in a bounded queue. A server that cannot be
reached is told in the log once. Source: upstream apiserver/plugin/pkg/audit/webhook, buffered.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from urllib.parse import urlsplit

from steersman.apiserver.audit.queue import Queue
from steersman.apiserver.audit.settings import AuditSettings
from steersman.apiserver.config import ConfigError
from steersman.client import kubeconfig
from steersman.client.http import HttpTransport
from steersman.machinery.clock import Clock
from steersman.machinery.waiting import within

log = logging.getLogger(__name__)

PLUGIN = "webhook"
_TRIES = 5
_GROWTH = 1.5
_LEAVING_S = 5.0
_HEAD = b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":['


class WebhookSink:
    """`run` sends, beside the requests."""

    def __init__(self, settings: AuditSettings, clock: Clock, failed: Callable[[str, int], None]) -> None:
        """failed(plugin, events) counts what was lost. Raises ConfigError."""
        assert settings.webhook_config_file is not None
        try:
            found = kubeconfig.connection(settings.webhook_config_file)
            self._server: HttpTransport = found.transport()
        except (OSError, ValueError) as fault:
            raise ConfigError(f"initializing audit webhook: {fault}") from fault
        # The transport adds the path of the address itself, if there is one.
        address = urlsplit(found.server)
        self._target = ("" if address.path.strip("/") else "/") + (f"?{address.query}" if address.query else "")
        self._settings, self._clock, self._failed = settings, clock, failed
        self._queue = Queue(settings.batch_buffer_size, clock)
        self._ill = False

    def take(self, body: bytes) -> None:
        if not self._queue.put(body):
            self._failed(PLUGIN, 1)

    async def run(self) -> None:
        """Until cancelled; what waits then is for `close`."""
        settings = self._settings
        while True:
            batch = await self._queue.batch(settings.webhook_batch_max_size, settings.webhook_batch_max_wait_s)
            left = batch
            try:
                await self._deliver(batch)
                left = []
            finally:
                if left:
                    self._queue.put_back(left)

    async def close(self) -> None:
        """Send what waits, once, if the server is there."""
        while batch := self._queue.take(self._settings.webhook_batch_max_size):
            why: list[str] = ["no answer"]

            async def send(batch: list[bytes] = batch, why: list[str] = why) -> None:
                why[0], _ = await self._send(batch)

            await within(self._clock, _LEAVING_S, send)
            if why[0]:
                self._failed(PLUGIN, len(batch) + len(self._queue))
                break
        await self._server.close()

    async def _deliver(self, batch: list[bytes]) -> None:
        pause_s = self._settings.webhook_initial_backoff_s
        for attempt in range(_TRIES):
            if attempt:
                await self._clock.sleep(pause_s)
                pause_s *= _GROWTH
            why, again = await self._send(batch)
            if not why:
                if self._ill:
                    self._ill = False
                    log.warning("audit events are taken again by the webhook")
                return
            if not self._ill:
                self._ill = True
                log.error("audit events are not taken by the webhook, requests go on: error=%s", why)
            if not again:
                break
        self._failed(PLUGIN, len(batch))

    async def _send(self, batch: list[bytes]) -> tuple[str, bool]:
        """(what went wrong, empty if nothing; whether it may be better later)."""
        body = b"%b%b]}" % (_HEAD, b",".join(batch))
        try:
            answer = await self._server.request("POST", self._target, headers={"content-type": "application/json"}, body=body)
        except ConnectionError as fault:
            return str(fault), True
        if answer.status < 300:
            return "", False
        return f"it answers {answer.status}", answer.status == 429 or answer.status >= 500
