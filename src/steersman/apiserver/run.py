"""An API server, composed: store, caches, registry, the parts that decide who may do what, pipeline, HTTPS.

The lowest place that knows them all. Storage is passed in (cluster/ chooses it); the parts that decide are parts.py's,
or a test's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from steersman.api.groups import BUILTIN
from steersman.api.kinds import KindSpec
from steersman.api.resources import CUSTOM_RESOURCE_DEFINITIONS, PODS
from steersman.apiserver import compaction, local, readiness, version
from steersman.apiserver.admission import policies, webhooks
from steersman.apiserver.aggregation.aggregator import Aggregator
from steersman.apiserver.config import ServerConfig
from steersman.apiserver.contracts import LOOPBACK, Call, FlowControl
from steersman.apiserver.crd.definitions import Definitions
from steersman.apiserver.debugging import Debugging
from steersman.apiserver.dispatch import serves
from steersman.apiserver.documents import Documents
from steersman.apiserver.ending import refusal
from steersman.apiserver.flowcontrol.inflight import MaxInFlight
from steersman.apiserver.flowcontrol.service import priority_and_fairness
from steersman.apiserver.handlers.context import Admission, Api
from steersman.apiserver.health import Health
from steersman.apiserver.http import Handler, Response
from steersman.apiserver.metrics import Metrics
from steersman.apiserver.metricsapi.handlers import MetricsAPI
from steersman.apiserver.metricsapi.poller import Poller, asking
from steersman.apiserver.nodeproxy.backend import Backends
from steersman.apiserver.nodeproxy.handlers import NodeProxy
from steersman.apiserver.parts import MakeParts, Parts, build_auditor, build_encryption, default_parts
from steersman.apiserver.pipeline import Pipeline
from steersman.apiserver.presence import Presence
from steersman.apiserver.registry import Attached, Registry
from steersman.apiserver.routes import Routes, install_basic
from steersman.apiserver.server import HTTPServer
from steersman.apiserver.subresources import binding
from steersman.apiserver.subresources.componentstatuses import ComponentStatuses
from steersman.apiserver.watchcache.feed import Feed
from steersman.client.interface import Client
from steersman.client.rest import RestClient
from steersman.machinery.clock import Clock
from steersman.machinery.lasting import lasting
from steersman.store.interface import Store

if TYPE_CHECKING:
    from steersman.apiserver.encryption.reload import Reloading

__all__ = ["APIServer", "Parts"]

log = logging.getLogger(__name__)


class APIServer:
    """`start()` and `stop()` from the same task. `handler` serves requests in process, `client` is the server's own."""

    def __init__(
        self,
        config: ServerConfig,
        store: Store,
        clock: Clock,
        *,
        specs: Sequence[KindSpec] = BUILTIN,
        parts: MakeParts | None = None,
    ) -> None:
        """Raises ConfigError for files that cannot be used."""
        encryption = build_encryption(config, store, specs)
        if encryption is not None:
            store = encryption.store
        self.config, self.store, self.clock = config, store, clock
        self.feed = Feed(store, clock, config.watch_cache_events)
        self.registry = Registry(self.feed)
        self.health = Health()
        self.routes = Routes()
        self.metrics = Metrics(self.registry, partial(serves, self.registry, self.routes), clock)
        self._stack = AsyncExitStack()
        self._tasks: asyncio.TaskGroup | None = None
        self._running: list[asyncio.Task[None]] = []
        self._ready = self._ending = False
        for spec in specs:
            self.registry.install(spec if spec.ttl_s is None else replace(spec, ttl_s=config.event_ttl_s))
        # The loopback client goes through the pipeline, which needs the parts, some of which need the client.
        self.client: Client = RestClient(local.transport(self._as_loopback), user_agent="steersman-apiserver")
        made = (parts or default_parts)(config, store, self.registry.lister, self.client, clock)
        self._bootstrap, self._published = made.bootstrap, made.published
        self._tasks_beside = made.tasks
        for plugin in made.admission:
            if isinstance(plugin, Attached):
                plugin.attach(self.registry)
        self.metrics.more.append(lambda: webhooks.collect(made.admission))
        self.metrics.more.append(lambda: policies.collect(made.admission))
        self._stack.callback(webhooks.close, made.admission)
        self._presence: Presence | None = None
        self._keeping: asyncio.Task[None] | None = None
        admitting = Admission(made.admission, self.metrics.admission, made.charging)
        self.api = Api(
            store, self.feed, self.registry, admitting, made.authorizer, clock, self._spawn,
            shortest_watch_s=config.serving.min_request_timeout_s, store_times=self.metrics.store,
        )  # fmt: skip
        self._fairness = priority_and_fairness(
            config.serving, self.registry, self.feed, local.transport(self._as_loopback), clock
        )
        if self._fairness is not None:
            limits: FlowControl = self._fairness.control
            self._fairness.install(self.routes)
            self.metrics.more.append(self._fairness.collect)
        else:
            limits = MaxInFlight(config.serving.max_requests_inflight, config.serving.max_mutating_requests_inflight)
        auditor = build_auditor(config, made.explain, clock)
        authenticator = made.authenticator if auditor is None else auditor.noticing(made.authenticator)
        longest_s = config.serving.request_timeout_s
        self.pipeline = Pipeline(self.api, authenticator, self.routes, self.metrics, limits, auditor, longest_s)
        self._auditor = auditor
        if auditor is not None:
            self.metrics.more.append(auditor.collect)
        self._reloading: Reloading | None = None
        if encryption is not None:
            self.api.stale = encryption.store.stale
            self._reloading = encryption.reloading(clock, self.feed.load_unreadable)
            self.metrics.more.append(encryption.collect)
        self._loopback: Handler = self.pipeline.acting_as(LOOPBACK)
        self._http = HTTPServer(config, self.pipeline.handle, clock)
        readiness.add_checks(
            self.health,
            store,
            clock,
            is_ready=lambda: self._ready,
            is_aggregating=lambda: self._aggregator.ready.is_set(),
            is_ending=lambda: self._ending,
        )
        if config.serving.profiling:
            Debugging(clock).install(self.routes)
        install_basic(self.routes, self.health, self.metrics, version.body)
        address = f"{config.advertise_address}:{config.secure_port}"
        shown = (config.proxy_client_cert, config.proxy_client_key)
        self._aggregator = Aggregator(self.registry, self.feed, self.client, clock, shown)
        self.api.remotes = self._aggregator.handlers
        documents = Documents(self.registry, address, version.GIT_VERSION, self._aggregator.others, self._aggregator.handlers)
        documents.install(self.routes)
        for path, serve in made.paths.items():
            self.routes.add(path, serve)
        for resource, hook in made.hooks.items():
            self.registry.add_hook(resource, hook)
        self.registry.handle("", "bindings", "", "POST", self._bind)
        self.registry.handle("", "componentstatuses", "", "GET", ComponentStatuses(store, self.registry, clock).serve)
        for (group, plural, subresource), handler in made.posts.items():
            self.registry.handle(group, plural, subresource, "POST", handler)
        backends = Backends(config)
        NodeProxy(backends, self.registry, self.api.rng).install()
        self._poller = Poller(self.registry.lister, asking(backends), clock)
        MetricsAPI(self.registry, self._poller, clock).install()

    @property
    def handler(self) -> Handler:
        return self.pipeline.handle

    @property
    def port(self) -> int:
        return self._http.port

    @property
    def ending(self) -> bool:
        """Whether it was told to stop."""
        return self._ending

    async def _as_loopback(self, request: Any) -> Any:
        return await self._loopback(request)

    async def start(self, *, listen: bool = True) -> None:
        """Load the caches, listen (unless only in-process clients are served), be ready. Raises OSError, Unavailable."""
        self._tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
        try:
            await self._start(self._tasks, listen)
        except BaseException:
            await self.stop()
            raise

    async def _start(self, tasks: asyncio.TaskGroup, listen: bool) -> None:
        if self._auditor is not None:
            self._running += self._auditor.start(tasks)
        if listen:
            await self._http.bind(tasks)
        self._running.append(tasks.create_task(self.feed.run()))
        await self.feed.started.wait()
        for served in self.registry.served:
            if served.stored:
                await served.cache.ready.wait()
        if self.registry.knows_version(CUSTOM_RESOURCE_DEFINITIONS.group, CUSTOM_RESOURCE_DEFINITIONS.version):
            definitions = Definitions(self.registry, self.feed, self.client, self.clock)
            self._running.append(tasks.create_task(definitions.run()))
            await definitions.ready.wait()
        bound = replace(self.config, secure_port=self.port or self.config.secure_port)
        if self._bootstrap is not None:
            await self._bootstrap(bound)
        for work in self._tasks_beside:
            self._run_beside("part", work)
        if self._fairness is not None:
            self._running += await self._fairness.start(tasks, make_objects=self._bootstrap is not None)
        if self._published:
            self._presence = Presence(self.store, self.feed, self.client, bound, self.clock)
            await self._presence.join()
            self._keeping = tasks.create_task(lasting("presence", self._presence.run, self.clock))
        if listen:
            await self._http.start()
        self._run_beside("compaction", lambda: compaction.run(self.store, self.clock))
        self._run_beside("metrics of nodes", self._poller.run)
        self._run_beside("aggregation", lambda: self._aggregator.run(make_objects=self._bootstrap is not None))
        await self._aggregator.ready.wait()
        if self._reloading is not None:
            self._run_beside("encryption configuration", self._reloading.run)
        self._ready = True
        log.info("api server ready: address=%s port=%d", self.config.bind_address, self.port)

    def _run_beside(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Until the server ends: what fails in one of these costs no client its connection."""
        assert self._tasks is not None
        self._running.append(self._tasks.create_task(lasting(name, work, self.clock)))

    async def serve(self) -> None:
        """Start, and run until cancelled."""
        await self.start()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Refuse readiness, lead nobody here any more, let requests finish, end watches, stop the rest."""
        serving = self.config.serving
        self._ending = True
        if self._presence is not None and self._keeping is not None:
            self._keeping.cancel()
            await self._presence.leave()
        if self._ready and self._http.listening:
            await self.clock.sleep(serving.shutdown_delay_s)
        self._ready = False
        self._http.refuse(refusal(come_back=serving.shutdown_send_retry_after), listen=serving.shutdown_send_retry_after)
        await self._http.drain(serving.request_timeout_s)
        for cache in self.feed.caches:
            for watcher in cache.watchers():
                watcher.end()
        await self._http.stop(serving.shutdown_watch_grace_s)
        for task in self._running:
            task.cancel()
        await self._stack.aclose()
        if self._auditor is not None:
            await self._auditor.close()

    async def _bind(self, call: Call) -> Response:
        """POST bindings is the older name of POST pods/<name>/binding."""
        pods = self.registry.lookup("", "v1", PODS.plural)
        assert pods is not None
        return await binding.bind(self.api, call, pods)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> Callable[[], object]:
        assert self._tasks is not None
        return self._tasks.create_task(work).cancel
