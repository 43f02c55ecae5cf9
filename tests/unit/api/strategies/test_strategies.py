"""What create and update reset, keep and count."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from steersman.api.groups import BUILTIN
from steersman.api.kinds import KindSpec
from steersman.machinery.meta import Obj

Change = Callable[[Obj], object]


def spec_of(kind: str, group: str = "") -> KindSpec:
    return next(spec for spec in BUILTIN if spec.kind == kind and spec.resource.group == group)


def made(spec: KindSpec, fields: Obj) -> Obj:
    obj: Obj = {"metadata": {"name": "x"}, **copy.deepcopy(fields)}
    spec.default(obj)
    spec.strategy.prepare_create(obj)
    return obj


def updated(spec: KindSpec, old: Obj, change: Change) -> Obj:
    new = copy.deepcopy(old)
    change(new)
    spec.strategy.prepare_update(new, old)
    return new


POD, SERVICE, NAMESPACE = spec_of("Pod"), spec_of("Service"), spec_of("Namespace")
DEPLOYMENT, DAEMON_SET = spec_of("Deployment", "apps"), spec_of("DaemonSet", "apps")
SLICE = spec_of("EndpointSlice", "discovery.k8s.io")


@pytest.mark.parametrize(
    ("limits", "requests", "qos"),
    [
        ({}, {}, "BestEffort"),
        ({"acme.com/gpu": "1"}, {}, "BestEffort"),
        ({}, {"cpu": "1"}, "Burstable"),
        ({"cpu": "1", "memory": "1Gi"}, {}, "Guaranteed"),
        ({"cpu": "1", "memory": "1Gi"}, {"cpu": "500m"}, "Burstable"),
        ({"cpu": "1"}, {}, "Burstable"),
    ],
)
def test_a_new_pod_is_pending_and_has_its_quality_of_service(limits: Obj, requests: Obj, qos: str) -> None:
    container = {"name": "a", "image": "b", "resources": {"limits": limits, "requests": requests}}
    pod = made(POD, {"spec": {"containers": [container]}, "status": {"phase": "Running", "podIP": "1.2.3.4"}})
    assert pod["status"] == {"phase": "Pending", "qosClass": qos}
    assert pod["metadata"]["generation"] == 1


def test_a_gated_pod_says_why_it_is_not_scheduled() -> None:
    condition = made(POD, {"spec": {"containers": [], "schedulingGates": [{"name": "g"}]}})["status"]["conditions"][0]
    assert (condition["type"], condition["status"], condition["reason"]) == ("PodScheduled", "False", "SchedulingGated")


def test_label_keys_become_part_of_the_selector() -> None:
    term = {"labelSelector": {}, "topologyKey": "zone", "matchLabelKeys": ["hash", "none"], "mismatchLabelKeys": ["tenant"]}
    affinity = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    pod: Obj = {
        "metadata": {"name": "x", "namespace": "default", "labels": {"hash": "1", "tenant": "2"}},
        "spec": {"affinity": affinity, "containers": [{"name": "a", "image": "b"}]},
    }
    new = made(POD, pod)
    merged = new["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0]["labelSelector"]
    assert merged["matchExpressions"] == [
        {"key": "hash", "operator": "In", "values": ["1"]},
        {"key": "tenant", "operator": "NotIn", "values": ["2"]},
    ]
    assert POD.strategy.validate_create(new) == []


def test_fields_behind_gates_that_are_off_are_dropped() -> None:
    containers = [{"name": "a", "image": "b", "lifecycle": {"stopSignal": "SIGTERM"}}]
    spec = made(POD, {"spec": {"containers": containers, "schedulingGroup": {}}})["spec"]
    assert "schedulingGroup" not in spec
    assert spec["containers"][0]["lifecycle"] == {}


@pytest.mark.parametrize(
    ("asked", "pod", "seconds"),
    [
        (None, {"spec": {"nodeName": "n", "terminationGracePeriodSeconds": 30}}, 30),
        (5, {"spec": {"nodeName": "n", "terminationGracePeriodSeconds": 30}}, 5),
        (0, {"spec": {"nodeName": "n", "terminationGracePeriodSeconds": 30}}, 0),
        (-1, {"spec": {"nodeName": "n"}}, 1),
        (5, {"spec": {}}, 0),
        (5, {"spec": {"nodeName": "n"}, "status": {"phase": "Succeeded"}}, 0),
    ],
)
def test_pods_end_gracefully_only_on_a_node(asked: int | None, pod: Obj, seconds: int) -> None:
    assert POD.strategy.graceful_seconds is not None
    assert POD.strategy.graceful_seconds(pod, asked) == seconds


@pytest.mark.parametrize(
    ("spec", "fields", "change", "generation"),
    [
        (DEPLOYMENT, {}, lambda new: new["spec"].update(replicas=3), 2),
        (DEPLOYMENT, {}, lambda new: new["spec"].update(paused=False), 1),
        (DEPLOYMENT, {}, lambda new: new["metadata"].update(annotations={"a": "b"}), 2),
        (DEPLOYMENT, {}, lambda new: new["metadata"].update(labels={"a": "b"}), 1),
        (DEPLOYMENT, {}, lambda new: new["metadata"].update(generation=9), 1),
        (SLICE, {"addressType": "IPv4"}, lambda new: new["metadata"].update(labels={"a": "b"}), 2),
        (SLICE, {"addressType": "IPv4"}, lambda new: new["metadata"].update(annotations={"a": "b"}), 1),
        (SLICE, {"addressType": "IPv4"}, lambda new: new.update(ports=[{"port": 1}]), 2),
        (SERVICE, {}, lambda new: new["spec"].update(selector={"a": "b"}), None),
    ],
)
def test_generations_count_what_the_kind_counts(spec: KindSpec, fields: Obj, change: Change, generation: int | None) -> None:
    assert updated(spec, made(spec, fields), change)["metadata"].get("generation") == generation


@pytest.mark.parametrize("kind", ["Pod", "Service", "Node", "PersistentVolume", "PersistentVolumeClaim", "ResourceQuota"])
def test_status_and_spec_are_written_apart(kind: str) -> None:
    spec = spec_of(kind)
    old = {**made(spec, {}), "status": {"phase": "Old"}}
    old.setdefault("spec", {})["a"] = 1
    main = updated(spec, old, lambda new: (new["spec"].update(a=2), new.update(status={"phase": "New"})))
    assert (main["spec"]["a"], main["status"]) == (2, {"phase": "Old"})
    status = copy.deepcopy(old)
    status["spec"]["a"] = 2
    status["status"]["phase"] = "New"
    status["metadata"]["labels"] = {"l": "m"}
    spec.strategy.prepare_status_update(status, old)
    assert (status["spec"]["a"], status["status"]["phase"], status["metadata"]["labels"]) == (1, "New", {"l": "m"})


def test_namespaces_are_born_active_with_their_finalizer_and_keep_it() -> None:
    namespace = made(NAMESPACE, {"status": {"phase": "Terminating"}})
    assert namespace["status"] == {"phase": "Active"}
    assert namespace["spec"] == {"finalizers": ["kubernetes"]}
    assert namespace["metadata"]["labels"] == {"kubernetes.io/metadata.name": "x"}
    new = updated(NAMESPACE, namespace, lambda new: (new["spec"].clear(), new["metadata"].pop("labels")))
    assert new["spec"] == {"finalizers": ["kubernetes"]}
    assert new["metadata"]["labels"] == {"kubernetes.io/metadata.name": "x"}


def test_daemon_sets_show_how_often_their_template_changed() -> None:
    key = "deprecated.daemonset.template.generation"
    old = made(DAEMON_SET, {})
    assert old["metadata"]["annotations"] == {key: "1"}
    same = updated(DAEMON_SET, old, lambda new: new["metadata"].update(annotations={key: "7"}))
    assert same["metadata"]["annotations"] == {key: "1"}
    other = updated(DAEMON_SET, old, lambda new: new["spec"]["template"].update(metadata={"labels": {"a": "b"}}))
    assert other["metadata"]["annotations"] == {key: "2"}


def test_a_data_source_that_nothing_provides_is_dropped() -> None:
    spec = spec_of("PersistentVolumeClaim")
    known = {"kind": "PersistentVolumeClaim", "name": "a"}
    assert made(spec, {"spec": {"dataSource": known}})["spec"]["dataSourceRef"] == known
    assert "dataSource" not in made(spec, {"spec": {"dataSource": {"kind": "Foo", "name": "a", "apiGroup": "x.io"}}})["spec"]


@pytest.mark.parametrize(
    ("spec", "obj", "warnings"),
    [
        (POD, {"spec": {"nodeSelector": {"beta.kubernetes.io/os": "linux"}}}, [
            'spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead'
        ]),
        (POD, {"spec": {"containers": [{"name": "a", "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}]}}, [
            'spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply'
        ]),
        (POD, {"spec": {"containers": [{"name": "a", "resources": {"limits": {"memory": "1500m"}}}]}}, [
            'spec.containers[0].resources.limits[memory]: fractional byte value "1500m" is invalid, must be an integer'
        ]),
        (DEPLOYMENT, {"metadata": {"name": "a.b"}, "spec": {}}, [
            "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; "
            "a DNS label is recommended: [must not contain dots]"
        ]),
        (spec_of("PersistentVolume"), {"spec": {"persistentVolumeReclaimPolicy": "Recycle"}}, [
            "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is "
            "to use dynamic provisioning."
        ]),
    ],
)  # fmt: skip
def test_what_is_probably_not_meant_is_warned_of(spec: KindSpec, obj: Obj, warnings: list[str]) -> None:
    assert spec.strategy.warnings is not None
    assert spec.strategy.warnings(obj, None) == warnings
