"""/metrics: what the server has counted, under upstream's names, in Prometheus' text form.

Source: upstream endpoints/metrics, storage/etcd3/metrics, authentication and authorization metrics, component-base. What the
watch cache and other parts count comes from them. `python -m tools.metrics_page` lists all of it in docs/metrics.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import PROCESS_COLLECTOR, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric, UnknownMetricFamily

from steersman.apiserver import version
from steersman.apiserver.metrics import AdmissionTimes, Metrics, Series
from steersman.machinery.counting import Histogram

_LABELS = ("verb", "dry_run", "group", "version", "resource", "subresource", "scope", "component")
_WITHOUT_DRY_RUN = (_LABELS[0], *_LABELS[2:])
_STORE_LABELS = ("operation", "group", "resource")
Labels = tuple[str, ...]
_SLI_FROM = 2
"""The SLI's buckets are those of the duration but for the two shortest."""


class _All:
    """A prometheus_client collector."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return collect(self._metrics)


def render(metrics: Metrics) -> bytes:
    registry = CollectorRegistry()
    registry.register(_All(metrics))
    return generate_latest(registry)


def collect(metrics: Metrics) -> Iterator[Metric]:
    """Every family of this server."""
    yield from _requests(_together((found.labels, found) for found in metrics.series.values()))
    yield from _now(metrics)
    yield from _access(metrics)
    yield from _admission(metrics.admission)
    yield from _store(metrics)
    yield from _objects(metrics)
    for more in metrics.more:
        yield from more()
    yield from PROCESS_COLLECTOR.collect()
    build = GaugeMetricFamily("kubernetes_build_info", "The version that is spoken.", labels=("major", "minor", "git_version"))
    build.add_metric(("1", "36", f"{version.GIT_VERSION}+steersman"), 1)
    yield build


def _together(series: Iterable[tuple[Labels, Series]]) -> dict[Labels, Series]:
    """What has the same labels is one sample."""
    found: dict[Labels, Series] = {}
    for labels, one in series:
        found.setdefault(labels, Series(one.key)).add(one)
    return found


def _requests(series: dict[Labels, Series]) -> Iterator[Metric]:
    total = CounterMetricFamily("apiserver_request_total", "Requests by kind and code.", labels=(*_LABELS, "code"))
    seconds = HistogramMetricFamily("apiserver_request_duration_seconds", "How long requests took.", labels=_LABELS)
    for labels, found in series.items():
        for code, count in found.codes.items():
            total.add_metric((*labels, str(code)), count)
        if found.seconds.count:
            add_histogram(seconds, labels, found.seconds.whole())
    yield total
    yield seconds
    kind = _WITHOUT_DRY_RUN[:-1]
    aborts = CounterMetricFamily("apiserver_request_aborts_total", "Requests whose clients went away.", labels=kind)
    text = "How long requests took; without watches and the like."
    sli = HistogramMetricFamily("apiserver_request_sli_duration_seconds", text, labels=_WITHOUT_DRY_RUN)
    sizes = HistogramMetricFamily("apiserver_response_sizes", "Bytes of what was read.", labels=_WITHOUT_DRY_RUN)
    for labels, found in _together(((labels[0], *labels[2:]), one) for labels, one in series.items()).items():
        if found.aborted:
            aborts.add_metric(labels[:-1], found.aborted)
        if found.seconds.count:
            sli.add_metric(labels, list(found.seconds.whole().cumulated())[_SLI_FROM:], found.seconds.sum)
        if found.sizes.count:
            add_histogram(sizes, labels, found.sizes)
    yield aborts
    yield sli
    yield sizes


def _now(metrics: Metrics) -> Iterator[Metric]:
    running = GaugeMetricFamily("apiserver_longrunning_requests", "Watches, logs and the like.", labels=_WITHOUT_DRY_RUN)
    for labels, count in metrics.long_running.items():
        running.add_metric(labels, count)
    yield running
    inflight = GaugeMetricFamily("apiserver_current_inflight_requests", "Requests being served.", labels=("request_kind",))
    inflight.add_metric(("readOnly",), metrics.reading)
    inflight.add_metric(("mutating",), metrics.writing)
    yield inflight


def _access(metrics: Metrics) -> Iterator[Metric]:
    # Without a type: of a counter prometheus_client would write the name with _total, and upstream has it without.
    known = UnknownMetricFamily("authentication_attempts", "Requests by whether it is known who asks.", labels=("result",))
    known.add_metric(("success",), metrics.authenticated)
    known.add_metric(("failure",), metrics.unauthenticated)
    yield known
    allowed = CounterMetricFamily("authorization_attempts_total", "Requests by whether they were allowed.", labels=("result",))
    allowed.add_metric(("allowed",), metrics.allowed)
    allowed.add_metric(("denied",), metrics.denied)
    yield allowed


def _admission(times: AdmissionTimes) -> Iterator[Metric]:
    labels = ("operation", "rejected", "type")
    text = "How long admission took."
    steps = HistogramMetricFamily("apiserver_admission_step_admission_duration_seconds", text, labels=labels)
    for (phase, operation, refused), histogram in times.steps.items():
        add_histogram(steps, (operation, str(refused).lower(), phase), histogram)
    text = "How long each admission plugin took."
    each = HistogramMetricFamily("apiserver_admission_controller_admission_duration_seconds", text, labels=("name", *labels))
    for (name, phase, operation), quick in times.plugins.items():
        add_histogram(each, (name, operation, "false", phase), quick.whole())
    for (name, phase, operation), histogram in times.refusals.items():
        add_histogram(each, (name, operation, "true", phase), histogram)
    return iter((steps, each))


def _store(metrics: Metrics) -> Iterator[Metric]:
    seconds = HistogramMetricFamily("etcd_request_duration_seconds", "How long writes to the store took.", labels=_STORE_LABELS)
    total = CounterMetricFamily("etcd_requests_total", "Writes to the store.", labels=_STORE_LABELS)
    errors = CounterMetricFamily("etcd_request_errors_total", "Writes that the store could not do.", labels=_STORE_LABELS)
    for labels, histogram in metrics.store.seconds.items():
        add_histogram(seconds, labels, histogram)
        total.add_metric(labels, histogram.count + metrics.store.failed.get(labels, 0))
    for labels, count in metrics.store.failed.items():
        errors.add_metric(labels, count)
    return iter((seconds, total, errors))


def _objects(metrics: Metrics) -> Iterator[Metric]:
    stored = GaugeMetricFamily("apiserver_storage_objects", "Stored objects by kind.", labels=("resource",))
    there = GaugeMetricFamily("apiserver_resource_objects", "Stored objects by kind.", labels=("group", "resource"))
    events = CounterMetricFamily(
        "apiserver_watch_events_total", "Events sent to watchers.", labels=("group", "version", "resource")
    )
    slow = CounterMetricFamily(
        "apiserver_terminated_watchers_total", "Watchers that did not keep up.", labels=("group", "resource")
    )
    text = "Deprecated APIs that were asked for."
    labels = ("group", "version", "resource", "subresource", "removed_release")
    deprecated = GaugeMetricFamily("apiserver_requested_deprecated_apis", text, labels=labels)
    seen: set[tuple[str, str]] = set()
    for served in metrics.registry.served:
        resource = served.resource
        short = (resource.group, resource.plural)
        for subresource in sorted(served.deprecated_uses):
            deprecated.add_metric((resource.group, resource.version, resource.plural, subresource, ""), 1)
        if served.events_sent:
            events.add_metric((resource.group, resource.version, resource.plural), served.events_sent)
        if served.stored and short not in seen:
            seen.add(short)
            stored.add_metric((resource.qualified,), served.cache.count)
            there.add_metric(short, served.cache.count)
            if served.cache.watchers_lost:
                slow.add_metric(short, served.cache.watchers_lost)
    return iter((stored, there, events, slow, deprecated))


def add_histogram(family: HistogramMetricFamily, labels: Iterable[str], histogram: Histogram) -> None:
    family.add_metric(tuple(labels), list(histogram.cumulated()), histogram.sum)
