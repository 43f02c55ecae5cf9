"""kopf: an operator run as people run theirs sees what is made, changed and deleted, also what was while it was dead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client as k8s
from kubernetes import utils
from kubernetes.client.exceptions import NotFoundException
from tests.e2e.harness import eventually
from tests.integration.clients import operator_of_toys
from tests.integration.clients.served import PATIENCE_S, Served

GROUP, VERSION, PLURAL = operator_of_toys.TOYS
DEFINITIONS = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: toys.kopf.example.com}
spec:
  group: kopf.example.com
  scope: Namespaced
  names: {plural: toys, kind: Toy}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema: {openAPIV3Schema: {type: object, properties: {
      spec: {type: object, properties: {size: {type: integer}}},
      status: {type: object, x-kubernetes-preserve-unknown-fields: true}}}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: kopfpeerings.kopf.dev}
spec:
  group: kopf.dev
  scope: Namespaced
  names: {plural: kopfpeerings, kind: KopfPeering}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {status: {type: object, x-kubernetes-preserve-unknown-fields: true}}}}
"""


class Operator:
    """`kopf run` in a process of its own."""

    def __init__(self, served: Served, namespace: str, log: Path, *more: str) -> None:
        words = ["-m", "kopf", "run", "-n", namespace, "-v", *more, operator_of_toys.__file__]
        environment = {**os.environ, "KUBECONFIG": str(served.kubeconfig)}
        self.log = log
        with log.open("w") as out:
            self._process = subprocess.Popen([sys.executable, *words], stdout=out, stderr=out, env=environment)
        self.says("Initial authentication has finished")

    def says(self, text: str) -> None:
        def said() -> bool:
            if self._process.poll() is not None:
                raise RuntimeError(self.log.read_text())
            return text in self.log.read_text()

        eventually(said, what=f"the operator says {text}")

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            self._process.wait(PATIENCE_S)
        finally:
            self._process.kill()
            self._process.wait()


Starter = Callable[..., Operator]


@pytest.fixture(scope="module")
def definitions(api: k8s.ApiClient) -> Iterator[None]:
    manifests = list(yaml.safe_load_all(DEFINITIONS))
    utils.create_from_yaml(api, yaml_objects=manifests)
    extensions = k8s.ApiextensionsV1Api(api)

    def established() -> bool:
        found = [extensions.read_custom_resource_definition(one["metadata"]["name"]) for one in manifests]
        return all(("Established", "True") in [(c.type, c.status) for c in one.status.conditions or ()] for one in found)

    eventually(established, what="the definitions are established")
    yield
    for one in manifests:
        extensions.delete_custom_resource_definition(one["metadata"]["name"])


@pytest.fixture
def start(served: Served, api: k8s.ApiClient, definitions: None, namespace: str, tmp_path: Path) -> Iterator[Starter]:
    """Starts operators in the namespace, which has their peering object."""
    peering = {"apiVersion": "kopf.dev/v1", "kind": "KopfPeering", "metadata": {"name": "toys"}}
    k8s.CustomObjectsApi(api).create_namespaced_custom_object("kopf.dev", "v1", namespace, "kopfpeerings", peering)
    started: list[Operator] = []

    def starting(*more: str) -> Operator:
        started.append(Operator(served, namespace, tmp_path / f"operator-{len(started)}.log", *more))
        return started[-1]

    yield starting
    for operator in started:
        operator.end()


class Toys:
    """The toys of a namespace, as a person would look at them."""

    def __init__(self, api: k8s.ApiClient, namespace: str) -> None:
        self._custom, self._core, self._namespace = k8s.CustomObjectsApi(api), k8s.CoreV1Api(api), namespace
        self._place = (GROUP, VERSION, namespace, PLURAL)

    def make(self, name: str, size: int) -> None:
        body = {"apiVersion": f"{GROUP}/{VERSION}", "kind": "Toy", "metadata": {"name": name}, "spec": {"size": size}}
        self._custom.create_namespaced_custom_object(*self._place, body)

    def resize(self, name: str, size: int) -> None:
        self._custom.patch_namespaced_custom_object(*self._place, name, {"spec": {"size": size}})

    def delete(self, name: str) -> None:
        self._custom.delete_namespaced_custom_object(*self._place, name)

    def get(self, name: str) -> Any:
        return self._custom.get_namespaced_custom_object(*self._place, name)

    def gone(self, name: str) -> bool:
        try:
            self.get(name)
        except NotFoundException:
            return True
        return False

    def until(self, name: str, what: str, holds: Callable[[Any], object]) -> Any:
        """The toy's status, once it is so."""
        eventually(lambda: holds(self.get(name).get("status", {})), what=f"{what}: {name}")
        return self.get(name)["status"]

    def events(self, name: str) -> list[str]:
        found = self._core.list_namespaced_event(self._namespace, field_selector=f"involvedObject.name={name}").items
        return [f"{event.reason}: {event.message}" for event in found]

    def child(self, name: str) -> Any:
        found = self._core.list_namespaced_config_map(self._namespace, label_selector=f"toy={name}").items
        return found[0] if found else None


def test_a_toy_is_built_kept_resized_and_broken_with_all_that_belongs_to_it(
    api: k8s.ApiClient, namespace: str, start: Starter
) -> None:
    start()
    toys = Toys(api, namespace)
    toys.make("bear", 1)
    status = toys.until(
        "bear",
        "created, with timer and index",
        lambda s: (s.get("phase"), s.get("ticks"), s.get("known")) == ("Built", 3, ["bear-child"]),
    )
    assert status["created"] == {"child": "bear-child"}
    bear = toys.get("bear")
    assert bear["metadata"]["finalizers"] == ["kopf.example.com/finalizer"]
    (owner,) = toys.child("bear").metadata.owner_references
    assert (owner.kind, owner.name, owner.uid, owner.controller) == ("Toy", "bear", bear["metadata"]["uid"], True)
    eventually(
        lambda: {"Built: a toy of size 1", "Playing: the daemon runs"} <= set(toys.events("bear")), what="it is told as Events"
    )
    toys.resize("bear", 2)
    toys.until("bear", "resized at the second attempt", lambda s: s.get("resized") == "1->2")
    toys.delete("bear")
    eventually(lambda: toys.gone("bear"), what="it is gone")
    eventually(
        lambda: {"Broken: no more to play with", "Tidied: the daemon ends"} <= set(toys.events("bear")),
        what="that is told as well",
    )
    eventually(lambda: toys.child("bear") is None, what="its child is collected")


def test_an_operator_that_was_killed_takes_up_what_happened_meanwhile(api: k8s.ApiClient, namespace: str, start: Starter) -> None:
    first = start()
    toys = Toys(api, namespace)
    for name in ("kept", "changed", "deleted"):
        toys.make(name, 1)
    for name in ("kept", "changed", "deleted"):
        toys.until(name, "built", lambda s: s.get("phase") == "Built" and s.get("ticks") == 3)
    first.end(signal.SIGKILL)
    toys.resize("changed", 5)
    toys.delete("deleted")
    toys.make("new", 7)
    assert toys.get("deleted")["metadata"]["deletionTimestamp"]
    # Who was killed has not left the peering: the next is of more importance, or it would wait.
    start("--priority", "10")
    toys.until("kept", "resumed", lambda s: s.get("resumed") == 1)
    toys.until("changed", "resized", lambda s: s.get("resized") == "1->5")
    eventually(lambda: toys.gone("deleted"), what="what was deleted is gone")
    assert "resumed" not in toys.until("new", "built", lambda s: s.get("phase") == "Built")


def test_of_two_operators_the_more_important_works(api: k8s.ApiClient, namespace: str, start: Starter) -> None:
    low = start()
    low.says("Keep-alive in 'toys'")
    high = start("--priority", "100")
    low.says("Pausing operations in favour of")
    peers = k8s.CustomObjectsApi(api).get_namespaced_custom_object("kopf.dev", "v1", namespace, "kopfpeerings", "toys")["status"]
    assert sorted(peer["priority"] for peer in peers.values()) == [0, 100]
    toys = Toys(api, namespace)
    toys.make("ball", 1)
    toys.until("ball", "built", lambda s: s.get("phase") == "Built")
    high.says("/ball] Handler 'created' succeeded")
    assert "/ball] Handler" not in low.log.read_text()
    high.end()
    low.says("Resuming operations after the pause")
    toys.make("car", 2)
    toys.until("car", "built", lambda s: s.get("phase") == "Built")
    low.says("/car] Handler 'created' succeeded")


def test_pods_are_seen_and_annotated(api: k8s.ApiClient, namespace: str, start: Starter) -> None:
    start()
    core = k8s.CoreV1Api(api)
    spec = k8s.V1PodSpec(containers=[k8s.V1Container(name="c", image="nginx")], termination_grace_period_seconds=0)
    pod = k8s.V1Pod(metadata=k8s.V1ObjectMeta(name="watched", labels={"watched-by": "toys"}), spec=spec)
    core.create_namespaced_pod(namespace, pod)

    def annotated() -> bool:
        found = core.read_namespaced_pod("watched", namespace)
        return (found.metadata.annotations or {}).get("kopf.example.com/seen") == "yes" and found.status.phase == "Running"

    eventually(annotated, what="the pod runs, and is annotated")
