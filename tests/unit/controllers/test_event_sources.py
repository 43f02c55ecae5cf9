"""Whom `kubectl describe` names behind an event: upstream's words, which are not always the controller's name."""

from __future__ import annotations

import pytest

from steersman.controllers import build

SOURCES = {
    "disruption-controller": "controllermanager",
    "endpoints-controller": "endpoint-controller",
    "endpointslice-controller": "endpoint-slice-controller",
    "endpointslice-mirroring-controller": "endpoint-slice-mirroring-controller",
    "ephemeral-volume-controller": "ephemeral_volume",
    "horizontal-pod-autoscaler-controller": "horizontal-pod-autoscaler",
    "node-ipam-controller": "cidrAllocator",
    "node-lifecycle-controller": "node-controller",
    "persistentvolume-binder-controller": "persistentvolume-controller",
    "replicationcontroller-controller": "replication-controller",
    **dict.fromkeys(("attachdetach-controller", "cronjob-controller", "daemonset-controller", "deployment-controller"), ""),
    **dict.fromkeys(("job-controller", "replicaset-controller", "statefulset-controller", "taint-eviction-controller"), ""),
}


@pytest.mark.parametrize(("controller", "source"), SOURCES.items())
def test_events_come_from_whom_upstream_says(controller: str, source: str) -> None:
    names = {spec.name: spec.reports_as for spec in build("", "10.244.0.0/16")}
    assert names[controller] == source
