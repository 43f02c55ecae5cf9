"""The Node's conditions: the kubelet's own, beside those of others."""

from __future__ import annotations

import pytest

from steersman.kubelet import nodestatus
from steersman.machinery.meta import Obj, condition

BEFORE, NOW = "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"


@pytest.mark.parametrize(
    ("shown", "since"),
    [
        ({"type": "Ready", "status": "True", "lastTransitionTime": BEFORE}, BEFORE),
        ({"type": "Ready", "status": "False", "lastTransitionTime": BEFORE}, NOW),
        # Somebody else has written it, and no time.
        ({"type": "Ready", "status": "True"}, NOW),
        ({"type": "Ready", "status": ""}, NOW),
        ({"type": "", "status": ""}, NOW),
    ],
)
def test_a_condition_holds_since_it_last_flipped(shown: Obj, since: str) -> None:
    made = nodestatus.conditions({"conditions": [shown]}, (), (), NOW)
    ready = condition(made, "Ready")
    assert ready is not None
    assert (ready["status"], ready["lastTransitionTime"]) == ("True", since)
