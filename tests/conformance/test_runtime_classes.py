"""[sig-node] RuntimeClass: which pods are refused and what the others get. The API of the kind: test_api_operations.py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.conformance.objects import SLEEP, pod
from tests.conformance.space import Space, eventually

from steersman.api.resources import EVENTS, PODS, RUNTIME_CLASSES
from steersman.machinery.errors import Forbidden
from steersman.machinery.meta import Obj

pytestmark = pytest.mark.root

RUNTIME_CLASS = "[sig-node] RuntimeClass should"


@contextmanager
def runtime_class(space: Space, **fields: Obj) -> Iterator[str]:
    """A class named after the namespace: classes are the cluster's."""
    made = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": space.name}, "handler": "crun", **fields}
    space.api.create(RUNTIME_CLASSES, made)
    try:
        yield space.name
    finally:
        space.api.delete(RUNTIME_CLASSES, space.name)


def of_class(name: str) -> Obj:
    return pod(SLEEP, spec={"runtimeClassName": name})


@pytest.mark.conformance(f"{RUNTIME_CLASS} reject a Pod requesting a non-existent RuntimeClass [NodeConformance] [Conformance]")
@pytest.mark.conformance(f"{RUNTIME_CLASS} reject a Pod requesting a deleted RuntimeClass [NodeConformance] [Conformance]")
def test_a_pod_of_a_class_that_is_not_there_is_refused(space: Space) -> None:
    with pytest.raises(Forbidden, match='RuntimeClass "never-there" not found'):
        space.create(PODS, of_class("never-there"))
    with runtime_class(space) as name:
        pass
    # Who reads waits for what is written, in the cache that pods are judged by too.
    assert not space.exists(RUNTIME_CLASSES, name)
    with pytest.raises(Forbidden, match=f'RuntimeClass "{name}" not found'):
        space.create(PODS, of_class(name))


@pytest.mark.conformance(
    f"{RUNTIME_CLASS} schedule a Pod requesting a RuntimeClass and initialize its Overhead [NodeConformance] [Conformance]"
)
def test_a_pod_pays_the_overhead_of_its_class(space: Space) -> None:
    with runtime_class(space, overhead={"podFixed": {"cpu": "10m", "memory": "1Mi"}}) as name:
        made = space.create(PODS, of_class(name))
        assert made["spec"]["overhead"] == {"cpu": "10m", "memory": "1Mi"}
        space.until(PODS, "pod", lambda it: it["spec"].get("nodeName"))


@pytest.mark.conformance(
    f"{RUNTIME_CLASS} schedule a Pod requesting a RuntimeClass without PodOverhead [NodeConformance] [Conformance]"
)
def test_a_pod_of_a_class_without_overhead_has_none(space: Space) -> None:
    with runtime_class(space) as name:
        made = space.create(PODS, of_class(name))
        assert "overhead" not in made["spec"]
        space.until(PODS, "pod", lambda it: it["spec"].get("nodeName"))


def test_a_class_chooses_how_its_pods_are_run_and_what_the_node_does_not_have_is_told(space: Space) -> None:
    with runtime_class(space) as name:
        space.running(of_class(name))
        space.delete(PODS, "pod")
        space.gone(PODS, "pod")
    made = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": space.name}, "handler": "never-there"}
    space.api.create(RUNTIME_CLASSES, made)
    try:
        space.create(PODS, of_class(space.name))
        why = 'Failed to create pod sandbox: failed to get sandbox runtime: no runtime for "never-there" is configured'
        eventually(
            lambda: any(why in each["message"] for each in space.list(EVENTS) if each["reason"] == "FailedCreatePodSandBox")
        )
    finally:
        space.api.delete(RUNTIME_CLASSES, space.name)
