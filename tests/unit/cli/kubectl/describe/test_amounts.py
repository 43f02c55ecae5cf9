from __future__ import annotations

from typing import Any

import pytest

from steersman.cli.kubectl.describe.amounts import requests_and_limits, total
from steersman.cli.kubectl.describe.pods import qos_class
from steersman.machinery.meta import Obj


def _container(name: str = "c", *, cpu: str = "", limit: str = "", **more: Any) -> Obj:
    resources: Obj = {}
    if cpu:
        resources["requests"] = {"cpu": cpu}
    if limit:
        resources["limits"] = {"cpu": limit}
    return {"name": name, "resources": resources, **more}


def _texts(pod: Obj) -> tuple[dict[str, str], dict[str, str]]:
    requests, limits = requests_and_limits(pod)
    return {name: str(amount) for name, amount in requests.items()}, {name: str(amount) for name, amount in limits.items()}


@pytest.mark.parametrize(
    ("spec", "requests", "limits"),
    [
        pytest.param(
            {"containers": [_container(cpu="100m"), _container(cpu="200m", limit="1")]}, "300m", "1", id="containers add up",
        ),
        pytest.param(
            {"containers": [_container(cpu="100m")], "initContainers": [_container(cpu="500m"), _container(cpu="400m")]},
            "500m", None, id="the largest init container counts where it asks for more",
        ),
        pytest.param(
            {
                "containers": [_container(cpu="100m")],
                "initContainers": [_container(cpu="50m", restartPolicy="Always"), _container(cpu="200m")],
            },
            "250m", None, id="a sidecar runs beside the init containers after it",
        ),
        pytest.param(
            {"containers": [_container(cpu="100m")], "initContainers": [_container(cpu="50m", restartPolicy="Always")]},
            "150m", None, id="a sidecar runs beside the containers",
        ),
        pytest.param(
            {"containers": [_container(cpu="100m")], "overhead": {"cpu": "10m"}}, "110m", None, id="overhead makes no limit",
        ),
        pytest.param(
            {"containers": [_container(cpu="100m", limit="200m")], "overhead": {"cpu": "10m"}},
            "110m", "210m", id="overhead raises a limit that is there",
        ),
    ],
)  # fmt: skip
def test_a_pod_asks_for_what_it_needs_at_its_height(spec: Obj, requests: str, limits: str | None) -> None:
    assert _texts({"spec": spec}) == ({"cpu": requests}, {"cpu": limits} if limits else {})


def test_what_was_allocated_counts_while_a_resize_is_on_its_way() -> None:
    pod: Obj = {
        "spec": {"containers": [_container(cpu="100m")]},
        "status": {"containerStatuses": [{"name": "c", "allocatedResources": {"cpu": "300m"}}]},
    }
    assert _texts(pod)[0] == {"cpu": "300m"}
    pod["spec"] = {"containers": [_container(cpu="900m")]}
    assert _texts(pod)[0] == {"cpu": "900m"}
    pod["status"]["resize"] = "Infeasible"
    assert _texts(pod)[0] == {"cpu": "300m"}


def test_totals_are_sums_over_pods() -> None:
    requests, limits = total([{"spec": {"containers": [_container(cpu="1500m", limit="2")]}}] * 2)
    assert (str(requests["cpu"]), str(limits["cpu"])) == ("3", "4")


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "0"}}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1000m", "memory": "1Gi"}}, "Guaranteed"),
        ({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}}, "Burstable"),
        ({"limits": {"cpu": "1"}}, "Burstable"),
    ],
)
def test_the_qos_class_follows_from_the_resources(resources: Obj, expected: str) -> None:
    assert qos_class({"containers": [{"resources": resources}]}) == expected
