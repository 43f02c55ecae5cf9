"""/metrics of a scheduler or controller manager: what its queues, its client and its election counted, under upstream's names.

Source: upstream component-base/metrics/prometheus/{workqueue,restclient,clientgo/leaderelection}, pkg/scheduler/metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from prometheus_client import PROCESS_COLLECTOR, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from steersman.cluster.observed import Observed
from steersman.loop.queue import WorkQueue
from steersman.machinery.counting import Histogram
from steersman.machinery.meta import Key
from steersman.scheduler.counting import SchedulingCounts

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_QUEUE = ("name",)
T = TypeVar("T")
Values = Sequence[tuple[Sequence[str], T]]
"""Each with its labels' values."""


class _Collector:
    """As prometheus_client wants it."""

    def __init__(self, observed: Observed) -> None:
        self._observed = observed

    def collect(self) -> Iterable[Metric]:
        return collect(self._observed)


def render(observed: Observed) -> bytes:
    registry = CollectorRegistry()
    registry.register(_Collector(observed))
    return generate_latest(registry)


def collect(observed: Observed) -> Iterator[Metric]:
    if observed.scheduling is not None:
        yield from _scheduling(observed.scheduling)
    yield from _queues(observed.queues)
    yield from _requests(observed)
    if observed.leads is not None:
        leads = GaugeMetricFamily("leader_election_master_status", "Whether it leads.", labels=("name",))
        leads.add_metric((observed.name,), int(observed.leads))
        yield leads
    yield from PROCESS_COLLECTOR.collect()


def _queues(queues: dict[str, WorkQueue[Key]]) -> Iterator[Metric]:
    unfinished, longest = "workqueue_unfinished_work_seconds", "workqueue_longest_running_processor_seconds"
    yield _gauge("workqueue_depth", "Keys that wait.", _QUEUE, _each(queues, len))
    yield _gauge(unfinished, "Time that unfinished work took so far.", _QUEUE, _each(queues, lambda it: sum(it.unfinished_s)))
    yield _gauge(longest, "The longest of it.", _QUEUE, _each(queues, lambda it: max(it.unfinished_s, default=0.0)))
    yield _counter("workqueue_adds_total", "Keys that were added.", _QUEUE, _each(queues, lambda it: it.counts.adds))
    text = "Keys that came again after a failure."
    yield _counter("workqueue_retries_total", text, _QUEUE, _each(queues, lambda it: it.counts.retries))
    waited, worked = _each(queues, lambda it: it.counts.waited), _each(queues, lambda it: it.counts.worked)
    yield _histogram("workqueue_queue_duration_seconds", "How long keys waited.", _QUEUE, waited)
    yield _histogram("workqueue_work_duration_seconds", "How long keys were worked on.", _QUEUE, worked)


def _each(queues: dict[str, WorkQueue[Key]], value: Callable[[WorkQueue[Key]], T]) -> Values[T]:
    return [((name,), value(queue)) for name, queue in queues.items()]


def _requests(observed: Observed) -> Iterator[Metric]:
    codes = [((str(code), host, method), count) for (host, method, code), count in observed.requests.codes.items()]
    yield _counter("rest_client_requests_total", "Requests to the API server.", ("code", "host", "method"), codes)
    took = list(observed.requests.seconds.items())
    yield _histogram("rest_client_request_duration_seconds", "How long answers took to begin.", ("host", "verb"), took)


def _scheduling(counts: SchedulingCounts) -> Iterator[Metric]:
    labels = ("profile", "result")
    attempts = [((counts.profile, result), took) for result, took in counts.counts.attempts.items()]
    total = [(where, took.count) for where, took in attempts]
    yield _counter("scheduler_schedule_attempts_total", "Attempts to schedule pods.", labels, total)
    text = "How long attempts took, without the binding."
    yield _histogram("scheduler_scheduling_attempt_duration_seconds", text, labels, attempts)
    pending = [((place,), count) for place, count in counts.pending().items()]
    yield _gauge("scheduler_pending_pods", "Pods that wait, by where.", ("queue",), pending)
    yield CounterMetricFamily("scheduler_preemption_attempts_total", "Preemptions.", value=counts.counts.preemptions)
    yield _histogram("scheduler_preemption_victims", "Pods that gave way at once.", (), [((), counts.counts.victims)])


def _gauge(name: str, text: str, labels: Sequence[str], values: Values[float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for where, value in values:
        family.add_metric(where, value)
    return family


def _counter(name: str, text: str, labels: Sequence[str], values: Values[float]) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for where, value in values:
        family.add_metric(where, value)
    return family


def _histogram(name: str, text: str, labels: Sequence[str], values: Values[Histogram]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels)
    for where, histogram in values:
        family.add_metric(where, list(histogram.cumulated()), histogram.sum)
    return family
