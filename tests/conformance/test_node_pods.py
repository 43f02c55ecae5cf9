"""[sig-node] Pods, PodTemplates, Lease, Node Lifecycle: the life of the objects themselves."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conformance.objects import SLEEP, named, pod, pod_spec
from tests.conformance.space import Space, condition, eventually
from tests.e2e.harness import ADDRESS

from steersman.api.resources import LEASES, NODES, PODS
from steersman.machinery.errors import NotFound
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, uid_of

pytestmark = pytest.mark.root

NODE = "[NodeConformance] [Conformance]"
POD_TEMPLATES = Resource("", "v1", "podtemplates", kind="PodTemplate")


@pytest.mark.conformance(f"[sig-node] Pods should get a host IP {NODE}")
def test_a_pod_has_the_address_of_its_node(space: Space) -> None:
    status = space.running(pod(SLEEP))["status"]
    assert status["hostIP"] == ADDRESS and status["hostIPs"] == [{"ip": ADDRESS}]
    assert status["podIPs"] == [{"ip": status["podIP"]}] and status["podIP"].startswith("10.244.")


@pytest.mark.conformance(f"[sig-node] Pods should be submitted and removed {NODE}")
def test_submitted_watched_and_removed(space: Space) -> None:
    assert space.list(PODS, "time=now") == []
    with space.watching(PODS, label_selector="time=now") as watching:
        # Asked to end before its shell has set the trap it would be killed: it is ready when it has.
        script = f"trap 'exit 0' TERM; touch /tmp/set; {SLEEP}"
        is_set = {"exec": {"command": ["test", "-e", "/tmp/set"]}, "periodSeconds": 1}
        spec = {"terminationGracePeriodSeconds": 30}
        space.running(pod(script, labels={"time": "now"}, spec=spec, readinessProbe=is_set))
        assert watching.next().type == "ADDED"
        assert [it["metadata"]["name"] for it in space.list(PODS, "time=now")] == ["pod"]
        space.delete(PODS, "pod", grace_period_s=30)
        last = watching.until("DELETED")
    assert last["metadata"]["deletionTimestamp"] and last["metadata"]["deletionGracePeriodSeconds"] == 30
    assert last["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
    assert space.list(PODS, "time=now") == []


@pytest.mark.conformance(f"[sig-node] Pods should be updated {NODE}")
def test_the_labels_of_a_running_pod_change(space: Space) -> None:
    space.running(pod(SLEEP, labels={"name": "foo", "time": "then"}))

    def update() -> Obj:
        """Between reading and writing the kubelet may write the status: a conflict."""
        found = space.get(PODS, "pod")
        found["metadata"]["labels"]["time"] = "later"
        return space.update(PODS, found)

    eventually(update)
    assert [it["metadata"]["name"] for it in space.list(PODS, "time=later")] == ["pod"]


@pytest.mark.conformance(f"[sig-node] Pods should allow activeDeadlineSeconds to be updated {NODE}")
def test_a_deadline_given_later_ends_the_pod(space: Space) -> None:
    found = space.running(pod(SLEEP))
    space.patch(PODS, "pod", {"spec": {"activeDeadlineSeconds": 1}}, kind="strategic")
    found = space.until(PODS, "pod", lambda it: it["status"]["phase"] == "Failed")
    assert found["status"]["reason"] == "DeadlineExceeded"


@pytest.mark.conformance("[sig-node] Pods should delete a collection of pods [Conformance]")
def test_a_collection_is_deleted(space: Space) -> None:
    for number in range(3):
        space.create(PODS, pod(SLEEP, name=f"pod-{number}", labels={"type": "Testing"}))
    assert len(space.list(PODS, "type=Testing")) == 3
    space.delete_collection(PODS, "type=Testing")
    eventually(lambda: space.list(PODS, "type=Testing") == [])


@pytest.mark.conformance("[sig-node] Pods should patch a pod status [Conformance]")
def test_a_status_is_patched(space: Space) -> None:
    space.running(pod(SLEEP))
    # What the answer shows: a moment later the kubelet may have said what it knows.
    patched = space.patch(PODS, "pod", {"status": {"message": "Patched by e2e test", "reason": "E2E"}}, subresource="status")
    assert patched["status"]["message"] == "Patched by e2e test"


@pytest.mark.conformance("[sig-node] Pods should run through the lifecycle of Pods and PodStatus [Conformance]")
def test_the_life_of_a_pod(space: Space) -> None:
    with space.watching(PODS, label_selector="test-pod-static=true") as watching:
        space.running(pod(SLEEP, labels={"test-pod-static": "true"}))
        assert watching.next().type == "ADDED"
        patch = {"metadata": {"labels": {"test-pod": "patched"}}, "spec": {"terminationGracePeriodSeconds": 1}}
        with pytest.raises(Exception, match="Forbidden: pod updates may not change fields other than"):
            space.patch(PODS, "pod", patch, kind="strategic")
        space.patch(PODS, "pod", {"metadata": patch["metadata"]}, kind="strategic")

        def update() -> Obj:
            found = space.get(PODS, "pod", subresource="status")
            assert found["metadata"]["labels"]["test-pod"] == "patched"
            for item in found["status"]["conditions"]:
                if item["type"] == "Ready":
                    item["status"] = "False"
            return space.update(PODS, found, subresource="status")

        eventually(update)
        space.delete(PODS, "pod")
        watching.until("DELETED")


@pytest.mark.conformance(
    "[sig-node] Pods Extended Pods Set QOS Class should be set on Pods with matching resource requests and limits for memory "
    "and cpu [Conformance]"
)
def test_equal_requests_and_limits_are_guaranteed(space: Space) -> None:
    resources = {"cpu": "100m", "memory": "100Mi"}
    found = space.create(PODS, pod(SLEEP, resources={"requests": resources, "limits": resources}))
    assert found["status"]["qosClass"] == "Guaranteed"


GENERATION = "[sig-node] Pods Extended (pod generation) Pod Generation"


@pytest.mark.conformance(
    f"{GENERATION} pod generation should start at 1 and increment per update [MinimumKubeletVersion:1.34] [Conformance]"
)
def test_the_generation_grows_with_each_change_of_the_spec(space: Space) -> None:
    made = space.create(PODS, pod(SLEEP))
    assert made["metadata"]["generation"] == 1
    changes: list[tuple[Any, int]] = [
        ({"spec": {"activeDeadlineSeconds": 5000}}, 2),
        ({"metadata": {"annotations": {"a": "b"}}}, 2),
        ({"spec": {"tolerations": [*made["spec"]["tolerations"], {"operator": "Exists"}]}}, 3),
        ({"spec": {"activeDeadlineSeconds": 4000}}, 4),
    ]
    for change, generation in changes:
        assert space.patch(PODS, "pod", change)["metadata"]["generation"] == generation
    space.until(PODS, "pod", lambda it: it["status"]["observedGeneration"] == 4)


@pytest.mark.conformance(f"{GENERATION} custom-set generation on new pods and graceful delete [Conformance]")
def test_a_generation_of_the_clients_own_is_ignored(space: Space) -> None:
    made = pod(SLEEP, spec={"terminationGracePeriodSeconds": 10})
    made["metadata"]["generation"] = 100
    assert space.create(PODS, made)["metadata"]["generation"] == 1
    space.until(PODS, "pod", lambda it: it["status"]["phase"] == "Running")
    with space.watching(PODS) as watching:
        space.delete(PODS, "pod")
        assert watching.until("DELETED")["metadata"]["generation"] == 2


@pytest.mark.conformance(
    f"{GENERATION} issue 500 podspec updates and verify generation and observedGeneration eventually converge "
    "[MinimumKubeletVersion:1.34] [Conformance]"
)
def test_the_kubelet_catches_up_with_many_changes(space: Space) -> None:
    space.running(pod(SLEEP, spec={"activeDeadlineSeconds": 6000}))
    for number in range(500):
        space.patch(PODS, "pod", {"spec": {"activeDeadlineSeconds": 5999 - number}})
    found = space.until(PODS, "pod", lambda it: it["status"]["observedGeneration"] == it["metadata"]["generation"])
    assert found["metadata"]["generation"] == 501


@pytest.mark.conformance("[sig-node] PodTemplates should run the lifecycle of PodTemplates [Conformance]")
def test_the_life_of_a_pod_template(space: Space) -> None:
    labels = {"podtemplate-static": "true"}
    space.create(POD_TEMPLATES, named("nginx", labels, template={"spec": pod_spec(SLEEP)}))
    space.patch(POD_TEMPLATES, "nginx", {"metadata": {"labels": {"podtemplate": "patched"}}}, kind="strategic")
    assert space.get(POD_TEMPLATES, "nginx")["metadata"]["labels"]["podtemplate"] == "patched"
    assert len(space.list(POD_TEMPLATES, "podtemplate-static=true")) == 1
    space.delete(POD_TEMPLATES, "nginx")
    assert space.list(POD_TEMPLATES) == []


@pytest.mark.conformance("[sig-node] PodTemplates should delete a collection of pod templates [Conformance]")
def test_pod_templates_are_deleted_together(space: Space) -> None:
    for number in range(3):
        made = named(f"podtemplate-{number}", {"set": "1"}, template={"spec": pod_spec(SLEEP)})
        space.create(POD_TEMPLATES, made)
    assert len(space.list(POD_TEMPLATES, "set=1")) == 3
    space.delete_collection(POD_TEMPLATES, "set=1")
    assert space.list(POD_TEMPLATES, "set=1") == []


@pytest.mark.conformance("[sig-node] PodTemplates should replace a pod template [Conformance]")
def test_a_pod_template_is_replaced(space: Space) -> None:
    made = space.create(POD_TEMPLATES, named("pt", template={"spec": pod_spec(SLEEP)}))
    made["metadata"]["annotations"] = {"updated": "true"}
    assert space.update(POD_TEMPLATES, made)["metadata"]["annotations"] == {"updated": "true"}


@pytest.mark.conformance("[sig-node] Lease lease API should be available [Conformance]")
def test_leases(space: Space) -> None:
    spec = {
        "holderIdentity": "holder",
        "leaseDurationSeconds": 30,
        "acquireTime": "2026-01-02T03:04:05.678900Z",
        "renewTime": "2026-01-02T03:04:06.000000Z",
        "leaseTransitions": 0,
    }
    space.create(LEASES, named("lease", spec=spec))
    found = space.get(LEASES, "lease")
    assert found["spec"] == spec
    found["spec"] = {**spec, "holderIdentity": "holder2", "leaseTransitions": 1}
    space.update(LEASES, found)
    assert space.get(LEASES, "lease")["spec"] == found["spec"]
    space.patch(LEASES, "lease", {"spec": {"holderIdentity": "holder3"}}, kind="strategic")
    assert space.get(LEASES, "lease")["spec"] == {**found["spec"], "holderIdentity": "holder3"}
    space.create(LEASES, named("lease2", {"deletecollection": "true"}, spec=spec))
    assert len(space.list(LEASES)) == 2
    space.delete_collection(LEASES, "deletecollection=true")
    assert [it["metadata"]["name"] for it in space.list(LEASES)] == ["lease"]
    space.delete(LEASES, "lease")
    with pytest.raises(NotFound):
        space.get(LEASES, "lease")


@pytest.mark.conformance("[sig-node] Node Lifecycle should run through the lifecycle of a node [Conformance]")
def test_the_life_of_a_node(space: Space) -> None:
    api, name = space.api, "conformance-fake-node"
    taint = {"key": "conformance", "value": "no pods here", "effect": "NoSchedule"}
    taint["value"] = "none"
    made = api.create(NODES, named(name, {"name": name}, spec={"unschedulable": True, "taints": [taint]}))
    try:
        api.patch(NODES, name, {"metadata": {"labels": {"patched": "true"}}}, kind="strategic")
        assert [uid_of(it) for it in api.list(NODES, label_selector="patched=true")["items"]] == [uid_of(made)]

        def update() -> Any:
            found = api.get(NODES, name)
            found["metadata"]["labels"]["updated"] = "true"
            return api.update(NODES, found)

        assert eventually(update)["metadata"]["labels"]["updated"] == "true"
    finally:
        api.delete(NODES, name)
    with pytest.raises(NotFound):
        api.get(NODES, name)


@pytest.mark.conformance(f"[sig-node] Pods should support retrieving logs from the container over websockets {NODE}")
def test_logs_over_a_websocket(space: Space) -> None:
    space.running(pod(f"echo container is alive; {SLEEP}"))
    path = f"/api/v1/namespaces/{space.name}/pods/pod/log?container=main"
    # That a container runs does not say how far its shell is.
    eventually(lambda: b"".join(space.api.websocket(path, "binary.k8s.io")) == b"container is alive\n")


@pytest.mark.conformance(f"[sig-node] Pods should support remote command execution over websockets {NODE}")
@pytest.mark.parametrize("protocol", ["channel.k8s.io", "v4.channel.k8s.io", "v5.channel.k8s.io"])
def test_exec_over_a_websocket(space: Space, protocol: str) -> None:
    space.running(pod(SLEEP))
    path = f"/api/v1/namespaces/{space.name}/pods/pod/exec?stdout=1&stderr=1&command=echo&command=remote+execution+test"
    frames = space.api.websocket(path, protocol)
    assert b"".join(frame[1:] for frame in frames if frame[:1] == b"\x01") == b"remote execution test\n"
    assert condition(space.get(PODS, "pod"), "Ready") == "True"
