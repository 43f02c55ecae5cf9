"""Extended resources that others advertise on a Node."""

from __future__ import annotations

import pytest

from steersman.kubelet import extended

OWN = {"cpu": "2", "example.com/own": "1"}


@pytest.mark.parametrize(
    ("capacity", "offered", "wanted"),
    [
        pytest.param({"cpu": "2"}, {"cpu": "1"}, {}, id="nothing of others"),
        pytest.param({"cpu": "2", "example.com/a": "5"}, {"cpu": "2"}, {"example.com/a": "5"}, id="new"),
        pytest.param({"example.com/a": "5"}, {"example.com/a": "4"}, {"example.com/a": "5"}, id="changed"),
        pytest.param({"cpu": "2"}, {"example.com/a": "5"}, {"example.com/a": None}, id="taken away"),
        pytest.param({"example.com/own": "1"}, {"example.com/own": "0"}, {}, id="the kubelet's own"),
        pytest.param({"hugepages-2Mi": "0", "attachable.kubernetes.io/x": "1"}, {}, {}, id="not extended"),
    ],
)
def test_all_of_an_extended_resource_is_allocatable(
    capacity: dict[str, str], offered: dict[str, str], wanted: dict[str, str | None]
) -> None:
    shown = {"capacity": capacity, "allocatable": offered}
    assert extended.allocatable(shown, OWN) == wanted
    assert extended.is_settled(shown, OWN) is (not wanted)
    settled = {key: value for key, value in {**offered, **wanted}.items() if value is not None}
    assert extended.is_settled({"capacity": capacity, "allocatable": settled}, OWN)
