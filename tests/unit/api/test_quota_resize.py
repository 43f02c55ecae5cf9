"""What a pod that is being resized counts in a quota."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from steersman.api import quota
from steersman.api.resources import PODS
from steersman.machinery.meta import Obj

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def cpu(amount: str) -> Obj:
    return {"requests": {"cpu": amount}}


@pytest.mark.parametrize(
    ("asked", "allocated", "actual", "counted"),
    [("1", "1", "1", "1"), ("2", "1", "1", "2"), ("1", "2", "1", "2"), ("1", "1", "2", "2"), ("1500m", "1", "2", "2")],
)
def test_the_largest_of_asked_allocated_and_actual_counts(asked: str, allocated: str, actual: str, counted: str) -> None:
    status = {"name": "c", "allocatedResources": {"cpu": allocated}, "resources": cpu(actual)}
    pod = {"spec": {"containers": [{"name": "c", "resources": cpu(asked)}]}, "status": {"containerStatuses": [status]}}
    assert str(quota.usage(PODS, pod, NOW)["requests.cpu"]) == counted


def test_what_nobody_asks_for_does_not_count() -> None:
    pod: Obj = {"spec": {"containers": [{"name": "c"}]}, "status": {"containerStatuses": [{"name": "c", "resources": {}}]}}
    assert "requests.cpu" not in quota.usage(PODS, pod, NOW)
