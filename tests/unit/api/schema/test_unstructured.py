"""The words for objects that a strategic merge patch has made undecodable."""

from __future__ import annotations

from typing import Any

import pytest

from steersman.api.schema.loader import PREFIX
from steersman.api.schema.unstructured import fault

POD = f"{PREFIX}api.core.v1.Pod"


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"priority": 1.0, "nodeName": None, "hostNetwork": True}, None),
        ("x", "cannot restore struct from: string"),
        ({"containers": {}}, "cannot restore slice from map"),
        ({"containers": [5]}, "cannot restore struct from: int64"),
        ({"nodeSelector": [True]}, "cannot restore map from slice"),
        ({"nodeSelector": {"a": 1}}, "cannot convert int64 to string"),
        ({"nodeName": True}, "unrecognized type: string"),
        ({"priority": "5"}, "unrecognized type: int32"),
        ({"priority": 1.5}, "cannot convert float64 to int32"),
        ({"hostNetwork": "yes"}, "unrecognized type: bool"),
    ],
)
def test_the_first_fault_is_told(spec: Any, text: str | None) -> None:
    assert fault({"spec": spec}, POD) == text


def test_values_that_read_themselves_complain_themselves() -> None:
    complaint = fault({"spec": {"containers": [{"resources": {"limits": {"cpu": "x"}}}]}}, POD)
    assert complaint is not None and complaint.startswith("quantities must match the regular expression")
