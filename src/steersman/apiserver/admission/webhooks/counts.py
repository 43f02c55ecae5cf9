"""What is counted of webhooks, and how metrics show it (upstream apiserver/pkg/admission/metrics)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from steersman.machinery.counting import Histogram

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_SECONDS = (0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0, 25.0)


class Counts:
    """Of webhooks of one type: `admit` or `validating`."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.seconds: dict[tuple[str, str, bool], Histogram] = {}
        self.requests: Counter[tuple[str, str, bool, int]] = Counter()
        self.rejections: Counter[tuple[str, str, str, int]] = Counter()
        self.open: Counter[str] = Counter()
        self.exclusions: Counter[tuple[str, str]] = Counter()
        self.condition_errors: Counter[tuple[str, str]] = Counter()

    def asked(self, name: str, operation: str, seconds: float, *, rejected: bool, code: int) -> None:
        key = (name, operation, rejected)
        found = self.seconds.get(key)
        if found is None:
            found = self.seconds[key] = Histogram(_SECONDS)
        found.observe(seconds)
        self.requests[(*key, min(code, 600))] += 1

    def rejection(self, name: str, operation: str, error: str, code: int) -> None:
        """error: no_error, calling_webhook_error, apiserver_internal_error."""
        self.rejections[name, operation, error, min(code, 600)] += 1

    def failed_open(self, name: str) -> None:
        self.open[name] += 1

    def excluded(self, name: str, operation: str) -> None:
        """By a match condition."""
        self.exclusions[name, operation] += 1

    def condition_failed(self, name: str, operation: str) -> None:
        self.condition_errors[name, operation] += 1


def families(all_counts: Sequence[Counts]) -> Iterable[Metric]:
    """Those of both types of webhooks together."""
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, UnknownMetricFamily

    lead = "apiserver_admission_webhook_"
    times = HistogramMetricFamily(
        f"{lead}admission_duration_seconds",
        "How long webhooks took.",
        labels=("name", "type", "operation", "rejected"),
    )
    requests = CounterMetricFamily(
        f"{lead}request", "Requests to webhooks.", labels=("name", "type", "operation", "code", "rejected")
    )
    rejections = UnknownMetricFamily(
        f"{lead}rejection_count",
        "Requests that were refused because of webhooks.",
        labels=("name", "type", "operation", "error_type", "rejection_code"),
    )
    opened = UnknownMetricFamily(
        f"{lead}fail_open_count", "Requests let through though a webhook failed.", labels=("name", "type")
    )
    labels = ("name", "kind", "type", "operation")
    lead = "apiserver_admission_match_condition_"
    excluded = CounterMetricFamily(f"{lead}exclusions", "Webhooks not asked because of a match condition.", labels=labels)
    faults = CounterMetricFamily(f"{lead}evaluation_errors", "Match conditions without a value.", labels=labels)
    for counts in all_counts:
        kind = counts.kind
        for (name, operation, rejected), found in counts.seconds.items():
            times.add_metric([name, kind, operation, _text(rejected)], list(found.cumulated()), found.sum)
        for (name, operation, rejected, code), count in counts.requests.items():
            requests.add_metric([name, kind, operation, str(code), _text(rejected)], count)
        for (name, operation, error, code), count in counts.rejections.items():
            rejections.add_metric([name, kind, operation, error, str(code)], count)
        for name, count in counts.open.items():
            opened.add_metric([name, kind], count)
        for family, told in ((excluded, counts.exclusions), (faults, counts.condition_errors)):
            for (name, operation), count in told.items():
                family.add_metric([name, "webhook", kind, operation], count)
    return (times, requests, rejections, opened, excluded, faults)


def _text(value: bool) -> str:
    return "true" if value else "false"
