"""The server's Prometheus metrics, under upstream's names. Children are looked up once per label set and remembered."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from steersman.apiserver.contracts import RequestInfo
from steersman.apiserver.watchcache.feed import Feed

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0, 30.0, 60.0)
_LABELS = ("verb", "dry_run", "group", "version", "resource", "subresource", "scope", "component")
_READ_ONLY = frozenset(("get", "list"))
_VERBS = {"update": "PUT", "create": "POST"}


class _Objects(Collector):
    """apiserver_storage_objects: counted when somebody looks."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def collect(self) -> Iterable[GaugeMetricFamily]:
        family = GaugeMetricFamily("apiserver_storage_objects", "Number of stored objects by kind.", labels=["resource"])
        for cache in self._feed.caches:
            family.add_metric([cache.form.resource.qualified], cache.count)
        yield family


class Metrics:
    """One per server: several may live in one process."""

    def __init__(self, feed: Feed) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "apiserver_request", "Requests by verb, resource and response code.", (*_LABELS, "code"), registry=self._registry
        )
        self._durations = Histogram(
            "apiserver_request_duration_seconds",
            "Response latency, without long-running requests.",
            _LABELS,
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._long_running = Gauge(
            "apiserver_longrunning_requests", "Watches, execs and the like.", _LABELS[:1] + _LABELS[2:], registry=self._registry
        )
        self._inflight = Gauge(
            "apiserver_current_inflight_requests", "Requests being served.", ("request_kind",), registry=self._registry
        )
        self._registry.register(_Objects(feed))
        self._known_requests: dict[tuple[str, ...], Counter] = {}
        self._known_durations: dict[tuple[str, ...], Histogram] = {}
        self._reading = self._inflight.labels("readOnly")
        self._writing = self._inflight.labels("mutating")

    def inflight(self, info: RequestInfo) -> Gauge:
        return self._reading if info.verb in _READ_ONLY or not info.is_resource else self._writing

    def done(self, info: RequestInfo, code: int, seconds: float) -> None:
        key = (info.verb, info.group, info.version, info.plural, info.subresource, info.name and "n", info.namespace and "s")
        durations = self._known_durations.get(key)
        if durations is None:
            durations = self._known_durations[key] = self._durations.labels(*_values(info))
        durations.observe(seconds)
        counted = (*key, str(code))
        counter = self._known_requests.get(counted)
        if counter is None:
            counter = self._known_requests[counted] = self._requests.labels(*_values(info), str(code))
        counter.inc()

    def long_running(self, info: RequestInfo) -> Gauge:
        values = _values(info)
        return self._long_running.labels(values[0], *values[2:])

    def render(self) -> bytes:
        return generate_latest(self._registry)


def _values(info: RequestInfo) -> tuple[str, ...]:
    scope = "" if not info.is_resource else "resource" if info.name else "namespace" if info.namespace else "cluster"
    verb = _VERBS.get(info.verb, info.verb.upper())
    return (verb, "", info.group, info.version, info.plural, info.subresource, scope, "apiserver")
