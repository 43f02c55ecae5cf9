"""Where the pipeline asks whether a request is recorded; and audit as a server has it, put together from its settings."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING

from steersman.apiserver.audit import event
from steersman.apiserver.audit.logfile import LogSink
from steersman.apiserver.audit.policy import LEVELS, NONE, load
from steersman.apiserver.audit.settings import AuditSettings
from steersman.apiserver.audit.trail import Trail
from steersman.apiserver.audit.webhook import WebhookSink
from steersman.apiserver.config import ConfigError
from steersman.apiserver.contracts import Authenticator, Explain, RequestInfo, UserInfo
from steersman.apiserver.http import Request
from steersman.apiserver.requestinfo import parse
from steersman.machinery.clock import Clock
from steersman.machinery.errors import Unauthorized
from steersman.machinery.lasting import lasting

if TYPE_CHECKING:
    from prometheus_client.core import Metric


class Auditor:
    """Implements contracts.Auditing."""

    def __init__(self, settings: AuditSettings, explain: Explain, clock: Clock) -> None:
        """explain: why the authorizer has allowed something. Raises ConfigError."""
        assert settings.policy_file is not None
        if wrong := settings.problems():
            raise ConfigError(wrong[0] if len(wrong) == 1 else f"[{', '.join(wrong)}]")
        self._policy = load(settings.policy_file)
        self._explain, self._clock = explain, clock
        self._log = LogSink(settings, clock, self._lost) if settings.log_path else None
        self._webhook = WebhookSink(settings, clock, self._lost) if settings.webhook_config_file else None
        self.events = 0
        self.errors: dict[str, int] = {}
        self.levels = dict.fromkeys(LEVELS, 0)

    def begin(self, request: Request, info: RequestInfo, user: UserInfo) -> Trail | None:
        trail = self._trail(request, info, user)
        if trail is not None:
            trail.received()
        return trail

    def unauthenticated(self, request: Request) -> None:
        """A request whose credentials are no good; it will be answered 401."""
        info = parse(request.method, request.path, request.query_pairs if request.raw_query else ())
        trail = self._trail(request, info, None)
        if trail is not None:
            request.audit = trail
            trail.refused(event.authentication_failure(request))

    def _trail(self, request: Request, info: RequestInfo, user: UserInfo | None) -> Trail | None:
        verdict = self._policy.evaluate(info, user)
        self.levels[NONE if verdict is None else verdict.level] += 1
        if verdict is None:
            return None
        id_ = request.headers.get("audit-id") or str(uuid.uuid4())
        return Trail(id_, request, info, user, verdict, self)

    def tell(self, body: bytes) -> None:
        """Take an event: its JSON, without kind and apiVersion. Neither waits nor fails."""
        self.events += 1
        for sink in (self._log, self._webhook):
            if sink is not None:
                sink.take(body)

    def noticing(self, inner: Authenticator) -> Authenticator:
        return _Noticing(inner, self)

    def explain(self, user: UserInfo, info: RequestInfo) -> str:
        return self._explain(user, info)

    def now(self) -> str:
        return event.micro_time(self._clock.now())

    def _lost(self, plugin: str, events: int) -> None:
        self.errors[plugin] = self.errors.get(plugin, 0) + events

    # --- life ---

    def start(self, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Before the first request. The tasks are the caller's to cancel."""
        sinks = [sink.run for sink in (self._log, self._webhook) if sink is not None]
        return [tasks.create_task(lasting("audit", run, self._clock)) for run in sinks]

    async def close(self) -> None:
        """After the last request, when the tasks have ended: write and send what waits."""
        if self._log is not None:
            self._log.close()
        if self._webhook is not None:
            await self._webhook.close()

    def collect(self) -> Iterable[Metric]:
        from prometheus_client.core import CounterMetricFamily

        yield CounterMetricFamily("apiserver_audit_event_total", "Audit events generated.", value=self.events)
        levels = CounterMetricFamily("apiserver_audit_level_total", "Requests by audit level.", labels=("level",))
        for level, count in self.levels.items():
            levels.add_metric((level,), count)
        yield levels
        errors = CounterMetricFamily("apiserver_audit_error_total", "Audit events that were lost.", labels=("plugin",))
        for plugin, count in self.errors.items():
            errors.add_metric((plugin,), count)
        yield errors


class _Noticing:
    """An Authenticator whose refusals are recorded."""

    def __init__(self, inner: Authenticator, auditor: Auditor) -> None:
        self._inner, self._auditor = inner, auditor

    async def authenticate(self, request: Request) -> UserInfo:
        try:
            return await self._inner.authenticate(request)
        except Unauthorized:
            self._auditor.unauthenticated(request)
            raise
