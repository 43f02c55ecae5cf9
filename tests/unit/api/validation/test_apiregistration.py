"""What is wrong with APIServices, in upstream's words."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from steersman.api.groups.apiregistration_v1 import KINDS, LOCAL
from steersman.api.printers import TABLES
from steersman.machinery.clock import VirtualClock
from steersman.machinery.meta import Obj

KIND = KINDS[0]
SERVICE: Obj = {"namespace": "kube-system", "name": "metrics-server"}
GOOD: Obj = {"group": "m.io", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 100}


def made(name: str = "v1.m.io", **spec: Any) -> Obj:
    obj: Obj = {"metadata": {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": copy.deepcopy({**GOOD, **spec})}
    KIND.default(obj)
    KIND.strategy.prepare_create(obj)
    return obj


@pytest.mark.parametrize(
    ("spec", "name", "wrong"),
    [
        ({}, "v1.m.io", []),
        ({"group": "", "version": "v1"}, "v1.", []),
        ({"service": SERVICE, "caBundle": "YQ=="}, "v1.m.io", []),
        ({}, "v2.m.io", ['metadata.name: Invalid value: "v2.m.io": must be `spec.version+"."+spec.group`: "v1.m.io"']),
        ({"group": "", "version": "v2"}, "v2.",
         ["spec.group: Required value: only v1 may have an empty group and it better be legacy kube"]),
        ({"groupPriorityMinimum": 0}, "v1.m.io",
         ["spec.groupPriorityMinimum: Invalid value: 0: must be positive and less than 20000"]),
        ({"versionPriority": 1001}, "v1.m.io",
         ["spec.versionPriority: Invalid value: 1001: must be positive and less than 1000"]),
        ({"caBundle": "YQ=="}, "v1.m.io",
         ['spec.caBundle: Invalid value: "1 bytes": local APIServices may not have a caBundle']),
        ({"insecureSkipTLSVerify": True}, "v1.m.io",
         ["spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have insecureSkipTLSVerify"]),
        ({"service": {}}, "v1.m.io",
         ["spec.service.namespace: Required value", "spec.service.name: Required value"]),
        ({"service": {**SERVICE, "port": 65536}}, "v1.m.io",
         ["spec.service.port: Invalid value: 65536: must be between 1 and 65535, inclusive"]),
        ({"service": SERVICE, "caBundle": "YQ==", "insecureSkipTLSVerify": True}, "v1.m.io",
         ["spec.insecureSkipTLSVerify: Invalid value: true: may not be true if caBundle is present"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(spec: Obj, name: str, wrong: list[str]) -> None:
    assert [str(error) for error in KIND.strategy.validate_create(made(name, **spec))] == wrong


def test_a_version_must_be_a_label() -> None:
    errors = [str(error) for error in KIND.strategy.validate_create(made("V1.m.io", version="V1"))]
    assert len(errors) == 1 and errors[0].startswith('spec.version: Invalid value: "V1"')


def test_the_name_of_the_core_group_ends_with_a_dot() -> None:
    assert KIND.strategy.validate_name is not None
    assert KIND.strategy.validate_name("v1.") == []
    assert KIND.strategy.validate_name("a/b") != []


def test_what_is_served_here_is_available_at_once_and_other_services_speak_at_443() -> None:
    assert made()["status"]["conditions"] == [{**LOCAL, "lastTransitionTime": "2026-01-01T00:00:00Z"}]
    remote = made(service=SERVICE, status={"conditions": []})
    assert "status" not in remote
    assert remote["spec"]["service"]["port"] == 443


def test_rows_say_who_serves_and_why_not() -> None:
    now = VirtualClock().now()
    cells = TABLES["apiregistration.k8s.io", "APIService"].cells
    assert cells(made(), now)[:3] == ["v1.m.io", "Local", "True"]
    remote = made(service=SERVICE)
    assert cells(remote, now)[1:3] == ["kube-system/metrics-server", "Unknown"]
    remote["status"] = {"conditions": [{"type": "Available", "status": "False", "reason": "MissingEndpoints"}]}
    assert cells(remote, now)[2] == "False (MissingEndpoints)"
