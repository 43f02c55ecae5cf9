"""What is counted of policies, and how metrics show it.

Source: upstream apiserver pkg/admission/plugin/policy/{validating,mutating}/metrics. How long it takes is told of the plugins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_NO_ERROR = "no_error"
_ERRORS = (("compilation", "compile_error"), ("validation failed due to running out of cost budget", "out_of_budget"))


def error_of(message: str) -> str:
    """The type of an error, by what it says; a refusal is one too."""
    return next((kind for lead, kind in _ERRORS if message.startswith(lead)), "invalid_error")


class Counts:
    """Of policies of one sort: `validating`, whose checks are told with what was done, or `mutating`."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.checks: Counter[tuple[str, ...]] = Counter()

    def failed(self, policy: str, binding: str, message: str, *action: str) -> None:
        """action: deny, warn or audit, of a validating policy."""
        self.checks[(policy, binding, error_of(message), *action)] += 1

    def passed(self, policy: str, binding: str) -> None:
        self.checks[policy, binding, _NO_ERROR] += 1


def families(all_counts: Sequence[Counts]) -> Iterable[Metric]:
    from prometheus_client.core import CounterMetricFamily

    for counts in all_counts:
        labels = ["policy", "policy_binding", "error_type"] + (["enforcement_action"] if counts.kind == "validating" else [])
        name = f"apiserver_{counts.kind}_admission_policy_check"
        family = CounterMetricFamily(name, f"Checks by {counts.kind} admission policies.", labels=labels)
        for key, count in counts.checks.items():
            family.add_metric(list(key), count)
        yield family
