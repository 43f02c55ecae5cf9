"""The server's Prometheus metrics, under upstream's names.

Counting is on the path of every request, so it is done in plain integers; the exposition format is made when somebody looks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from steersman.apiserver.contracts import RequestInfo
from steersman.apiserver.watchcache.feed import Feed

if TYPE_CHECKING:
    from prometheus_client.core import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0, 30.0, 60.0)
_LABELS = ("verb", "dry_run", "group", "version", "resource", "subresource", "scope", "component")
_LONG_LABELS = (_LABELS[0], *_LABELS[2:])
_READ_ONLY = frozenset(("get", "list"))
_VERBS = {"update": "PUT", "create": "POST"}


class _Series:
    """Requests of one kind: how many by code, and how long they took."""

    __slots__ = ("labels", "codes", "buckets", "sum_s")

    def __init__(self, labels: tuple[str, ...]) -> None:
        self.labels = labels
        self.codes: dict[int, int] = {}
        self.buckets = [0] * (len(_BUCKETS) + 1)
        self.sum_s = 0.0


class Metrics:
    """One per server: several may live in one process. A prometheus_client collector, by its `collect`."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._series: dict[tuple[str, ...], _Series] = {}
        self._long_running: dict[tuple[str, ...], int] = {}
        self._reading = self._writing = 0
        self.more: list[Callable[[], Iterable[Metric]]] = []
        """What other parts of the server count."""

    def began(self, info: RequestInfo) -> None:
        if info.verb in _READ_ONLY or not info.is_resource:
            self._reading += 1
        else:
            self._writing += 1

    def done(self, info: RequestInfo, code: int, seconds: float | None) -> None:
        """seconds None: a long-running request, which is counted but not timed. code 0: the client went away."""
        if info.verb in _READ_ONLY or not info.is_resource:
            self._reading -= 1
        else:
            self._writing -= 1
        key = (info.verb, info.group, info.version, info.plural, info.subresource, info.name and "n", info.namespace and "s")
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = _Series(_values(info))
        series.codes[code] = series.codes.get(code, 0) + 1
        if seconds is not None:
            series.buckets[bisect_left(_BUCKETS, seconds)] += 1
            series.sum_s += seconds

    def long_running(self, info: RequestInfo, change: int) -> None:
        values = _values(info)
        key = (values[0], *values[2:])
        self._long_running[key] = self._long_running.get(key, 0) + change

    def render(self) -> bytes:
        # Imported by the first who looks: counting does without.
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterable[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        requests = CounterMetricFamily("apiserver_request_total", "Requests by resource and code.", labels=(*_LABELS, "code"))
        durations = HistogramMetricFamily("apiserver_request_duration_seconds", "Response latency.", labels=_LABELS)
        for series in self._series.values():
            for code, count in series.codes.items():
                requests.add_metric((*series.labels, str(code)), count)
            total, cumulated = 0, []
            for bound, count in zip((*_BUCKETS, "+Inf"), series.buckets, strict=True):
                total += count
                cumulated.append((str(bound), total))
            durations.add_metric(series.labels, cumulated, series.sum_s)
        yield requests
        yield durations
        running = GaugeMetricFamily("apiserver_longrunning_requests", "Watches, execs and the like.", labels=_LONG_LABELS)
        for labels, count in self._long_running.items():
            running.add_metric(labels, count)
        yield running
        inflight = GaugeMetricFamily("apiserver_current_inflight_requests", "Requests being served.", labels=["request_kind"])
        inflight.add_metric(["readOnly"], self._reading)
        inflight.add_metric(["mutating"], self._writing)
        yield inflight
        objects = GaugeMetricFamily("apiserver_storage_objects", "Stored objects by kind.", labels=["resource"])
        for cache in self._feed.caches:
            objects.add_metric([cache.form.resource.qualified], cache.count)
        yield objects
        for collect in self.more:
            yield from collect()


def _values(info: RequestInfo) -> tuple[str, ...]:
    scope = "" if not info.is_resource else "resource" if info.name else "namespace" if info.namespace else "cluster"
    verb = _VERBS.get(info.verb, info.verb.upper())
    return (verb, "", info.group, info.version, info.plural, info.subresource, scope, "apiserver")
