"""apiserver_flowcontrol_*: what is counted of levels and flow schemas, for Prometheus.

Source: upstream util/flowcontrol/metrics/metrics.go, less what describes upstream's own queue machinery moment by moment (the
utilisation histograms, dispatch_r, latest_s and the s bounds).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from steersman.apiserver.flowcontrol.control import FlowControl
from steersman.apiserver.flowcontrol.levels import Counts, Level
from steersman.machinery.counting import Histogram

_LEVEL = ("priority_level",)
_BOTH = ("priority_level", "flow_schema")
_PREFIX = "apiserver_flowcontrol_"

_LEVEL_GAUGES: tuple[tuple[str, str, Callable[[Level], float]], ...] = (
    ("nominal_limit_seats", "Seats by the shares of the level.", lambda level: level.limits.nominal),
    ("lower_limit_seats", "Seats that the level never lends.", lambda level: level.limits.least),
    ("upper_limit_seats", "Seats that the level has at most, with what it may borrow.", lambda level: level.limits.most),
    ("current_limit_seats", "Seats that the level has now.", lambda level: level.limits.current),
    ("request_concurrency_limit", "Seats by the shares of the level.", lambda level: level.limits.nominal),
    ("demand_seats_high_watermark", "Most seats wanted in the last adjustment period.", lambda level: level.demand.high),
    ("demand_seats_average", "Mean of the seats wanted in the last adjustment period.", lambda level: level.demand.average),
    ("demand_seats_stdev", "Deviation of the seats wanted in the last adjustment period.", lambda level: level.demand.deviation),
    ("demand_seats_smoothed", "Seats wanted, smoothed over time.", lambda level: level.demand.value),
    ("target_seats", "Seats that borrowing aims at.", lambda level: level.demand.value),
    ("current_r", "Seat-seconds that each queue at work could have had.", lambda level: level.queues.r),
)
_GAUGES: tuple[tuple[str, str, Callable[[Counts], float]], ...] = (
    ("current_inqueue_requests", "Requests waiting in queues.", lambda counts: counts.waiting),
    ("current_executing_requests", "Requests being served; watches until they have begun.", lambda counts: counts.executing),
    ("current_executing_seats", "Seats of the requests being served.", lambda counts: counts.seats),
    ("request_concurrency_in_use", "Seats of the requests being served.", lambda counts: counts.seats),
)
_HISTOGRAMS: tuple[tuple[str, str, str, Callable[[Counts], tuple[tuple[str, Histogram], ...]]], ...] = (
    ("request_wait_duration_seconds", "Time in queues.", "execute", lambda counts: counts.waits),
    ("request_execution_seconds", "Time being served; of watches until they have begun.", "type", lambda counts: counts.runs),
    ("request_queue_length_after_enqueue", "Length of the queue a request came into.", "", lambda counts: counts.lengths),
    ("work_estimated_seats", "Seats that requests were taken to need.", "", lambda counts: counts.widths),
)


def collect(control: FlowControl) -> Iterable[Metric]:
    levels = [control.levels[name] for name in sorted(control.levels)]
    for name, text, value in _LEVEL_GAUGES:
        yield _gauge(name, text, _LEVEL, (((level.name,), value(level)) for level in levels))
    flows = [((level.name, schema), counts) for level in levels for schema, counts in level.counts.items()]
    for name, text, of in _GAUGES:
        yield _gauge(name, text, _BOTH, ((labels, of(counts)) for labels, counts in flows))
    dispatched = CounterMetricFamily(f"{_PREFIX}dispatched_requests_total", "Requests that were served.", labels=_BOTH)
    rejected = CounterMetricFamily(f"{_PREFIX}rejected_requests_total", "Requests turned away.", labels=(*_BOTH, "reason"))
    for labels, counts in flows:
        dispatched.add_metric(labels, counts.dispatched)
        for reason, number in counts.rejected.items():
            rejected.add_metric((*labels, reason), number)
    yield dispatched
    yield rejected
    for name, text, label, histograms in _HISTOGRAMS:
        family = HistogramMetricFamily(_PREFIX + name, text, labels=(*_BOTH, label) if label else _BOTH)
        for labels, counts in flows:
            for value_of_label, histogram in histograms(counts):
                if sum(histogram.counts):
                    where = (*labels, value_of_label) if label else labels
                    family.add_metric(where, list(histogram.cumulated()), histogram.sum)
        yield family


def _gauge(name: str, text: str, labels: tuple[str, ...], values: Iterator[tuple[tuple[str, ...], float]]) -> Metric:
    family = GaugeMetricFamily(_PREFIX + name, text, labels=labels)
    for label_values, value in values:
        family.add_metric(label_values, value)
    return family
