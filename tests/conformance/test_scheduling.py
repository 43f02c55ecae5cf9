"""[sig-scheduling] SchedulerPredicates: where pods may go."""

from __future__ import annotations

import pytest
from tests.conformance.objects import SLEEP, pod
from tests.conformance.space import Space, condition, eventually
from tests.e2e.harness import ADDRESS

from steersman.api.resources import EVENTS, NODES, PODS

pytestmark = pytest.mark.root

PREDICATES = "[sig-scheduling] SchedulerPredicates [Serial]"


def unschedulable(space: Space, name: str, why: str) -> None:
    """The pod stays pending, and its events say why."""
    eventually(lambda: any(why in it["message"] for it in space.list(EVENTS, field_selector=f"involvedObject.name={name}")))
    # Event and condition are written independently of each other.
    found = space.until(PODS, name, lambda it: condition(it, "PodScheduled") == "False")
    assert not found["spec"].get("nodeName")


@pytest.mark.conformance(f"{PREDICATES} validates resource limits of pods that are allowed to run [Conformance]")
def test_requests_beyond_what_is_left_wait(space: Space) -> None:
    resource = "conformance.example/thing"
    space.api.patch(
        NODES, "node-1", {"status": {"capacity": {resource: "5"}, "allocatable": {resource: "5"}}}, subresource="status"
    )
    try:
        for name, amount in (("filler", 4), ("additional", 2)):
            wants = {resource: str(amount)}
            space.create(PODS, pod(SLEEP, name=name, resources={"requests": wants, "limits": wants}))
            if name == "filler":
                space.until(PODS, name, lambda it: it["spec"].get("nodeName"))
        unschedulable(space, "additional", f"Insufficient {resource}")
        space.delete(PODS, "filler")
        space.until(PODS, "additional", lambda it: it["spec"].get("nodeName"))
    finally:
        none = {"status": {"capacity": {resource: None}, "allocatable": {resource: None}}}
        space.api.patch(NODES, "node-1", none, subresource="status")


@pytest.mark.conformance(f"{PREDICATES} validates that NodeSelector is respected if matching [Conformance]")
@pytest.mark.conformance(f"{PREDICATES} validates that NodeSelector is respected if not matching [Conformance]")
def test_a_node_selector_is_respected(space: Space) -> None:
    label = f"kubernetes.io/e2e-{space.name}"
    space.create(PODS, pod(SLEEP, spec={"nodeSelector": {label: "42"}}))
    unschedulable(space, "pod", "1 node(s) didn't match Pod's node affinity/selector")
    space.api.patch(NODES, "node-1", {"metadata": {"labels": {label: "42"}}})
    try:
        space.until(PODS, "pod", lambda it: it["spec"].get("nodeName") == "node-1")
    finally:
        space.api.patch(NODES, "node-1", {"metadata": {"labels": {label: None}}})


@pytest.mark.conformance(
    f"{PREDICATES} validates that there exists conflict between pods with same hostPort and protocol but one using 0.0.0.0 "
    "hostIP "
    "[Conformance]"
)
def test_a_host_port_on_all_addresses_excludes_the_others(space: Space) -> None:
    for name, address in (("all", "0.0.0.0"), ("one", ADDRESS)):
        ports = [{"containerPort": 8080, "hostPort": 54322, "hostIP": address}]
        space.create(PODS, pod(SLEEP, name=name, ports=ports))
        if name == "all":
            space.until(PODS, name, lambda it: it["spec"].get("nodeName"))
    unschedulable(space, "one", "1 node(s) didn't have free ports for the requested pod ports")
