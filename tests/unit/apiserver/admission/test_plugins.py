"""The mutating plugins and NamespaceLifecycle, one request at a time."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from tests.fakes.listers import FakeListers

from steersman.api.groups import BUILTIN
from steersman.api.resources import (
    CLUSTER_ROLES,
    LEASES,
    NAMESPACES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    PRIORITY_CLASSES,
    SERVICE_ACCOUNTS,
    SERVICES,
    STORAGE_CLASSES,
)
from steersman.apiserver.admission.default_toleration_seconds import DefaultTolerationSeconds
from steersman.apiserver.admission.namespace_lifecycle import NamespaceLifecycle
from steersman.apiserver.admission.persistent_volume_claim_resize import PersistentVolumeClaimResize
from steersman.apiserver.admission.pod_resize_validator import PodResizeValidator
from steersman.apiserver.admission.pod_topology_labels import PodTopologyLabels
from steersman.apiserver.admission.priority import Priority
from steersman.apiserver.admission.service_account import ServiceAccount
from steersman.apiserver.admission.taint_nodes_by_condition import TaintNodesByCondition
from steersman.apiserver.contracts import AdmissionPlugin, AdmissionRequest, MutationInterface, UserInfo, ValidationInterface
from steersman.apiserver.lookup import Lookup
from steersman.machinery.clock import VirtualClock
from steersman.machinery.errors import StatusError
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

JANE = UserInfo("jane")
MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


def request(operation: str, resource: Resource, obj: Obj | None, old: Obj | None = None, name: str = "web") -> AdmissionRequest:
    namespace = "default" if resource.namespaced else ""
    return AdmissionRequest(operation, resource, "", namespace, name, obj, old, JANE)


def run(plugin: AdmissionPlugin, asked: AdmissionRequest) -> str:
    """ "" if it passes, else the code and text of the refusal."""

    async def scenario() -> None:
        if isinstance(plugin, MutationInterface):
            await plugin.admit(asked)
        if isinstance(plugin, ValidationInterface):
            await plugin.validate(asked)

    try:
        asyncio.run(scenario())
    except StatusError as error:
        return f"{error.code} {error.message}"
    return ""


def namespace(name: str, phase: str = "Active") -> tuple[Resource, Obj]:
    return NAMESPACES, {"metadata": {"name": name}, "status": {"phase": phase}}


def pod(**spec: Any) -> Obj:
    return {"metadata": {"name": "web", "namespace": "default"}, "spec": {"containers": [{"name": "c"}], **spec}}


def test_the_plugins_know_their_kinds_by_the_names_they_are_served_under() -> None:
    served = {spec.resource for spec in BUILTIN}
    assert served >= {NAMESPACES, NODES, PODS, PRIORITY_CLASSES, SERVICE_ACCOUNTS, SERVICES, CLUSTER_ROLES, LEASES}


# --- NamespaceLifecycle


@pytest.mark.parametrize(
    ("phase", "operation", "answer"),
    [
        ("Active", "CREATE", ""),
        (
            "Terminating", "CREATE",
            '403 services "web" is forbidden: unable to create new content in namespace default because it is being terminated',
        ),
        ("Terminating", "UPDATE", ""),
        ("Terminating", "DELETE", ""),
        (None, "CREATE", '404 namespaces "default" not found'),
        (None, "DELETE", ""),
    ],
)  # fmt: skip
def test_content_is_made_only_in_a_namespace_that_lives(phase: str | None, operation: str, answer: str) -> None:
    listers = FakeListers(namespace("default", phase)) if phase else FakeListers()
    asked = request(operation, SERVICES, {"metadata": {"name": "web"}})
    assert run(NamespaceLifecycle(Lookup(listers), VirtualClock()), asked) == answer


def test_a_namespace_made_a_moment_ago_is_found() -> None:
    listers = FakeListers()
    listers.late.append(namespace("default"))
    assert run(NamespaceLifecycle(Lookup(listers), VirtualClock()), request("CREATE", SERVICES, {"metadata": {}})) == ""


def test_a_namespace_deleted_a_moment_ago_takes_nothing_although_the_cache_still_has_it_active() -> None:
    listers = FakeListers(namespace("default"), namespace("mine"))
    plugin = NamespaceLifecycle(Lookup(listers), VirtualClock())
    assert run(plugin, request("DELETE", NAMESPACES, None, name="mine")) == ""
    listers.late.append(namespace("mine", "Terminating"))
    asked = AdmissionRequest("CREATE", SERVICES, "", "mine", "web", {"metadata": {"name": "web"}}, None, JANE)
    assert run(plugin, asked).startswith('403 services "web" is forbidden: unable to create new content')


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
def test_the_first_namespaces_are_not_deleted(name: str) -> None:
    plugin = NamespaceLifecycle(Lookup(FakeListers(namespace(name))), VirtualClock())
    answer = run(plugin, request("DELETE", NAMESPACES, None, name=name))
    assert answer == f'403 namespaces "{name}" is forbidden: this namespace may not be deleted'


# --- ServiceAccount


def service_account(**fields: Any) -> FakeListers:
    return FakeListers((SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": "default"}, **fields}))


def admit_pod(listers: FakeListers, obj: Obj) -> str:
    return run(ServiceAccount(Lookup(listers), VirtualClock(), random.Random(1)), request("CREATE", PODS, obj))


def test_a_pod_runs_as_default_with_a_token_volume_mounted_where_nothing_is() -> None:
    other = {"name": "own", "mountPath": MOUNT}
    obj = pod(initContainers=[{"name": "i"}], containers=[{"name": "c"}, {"name": "d", "volumeMounts": [other]}])
    assert admit_pod(service_account(imagePullSecrets=[{"name": "pull"}]), obj) == ""
    spec = obj["spec"]
    assert (spec["serviceAccountName"], spec["serviceAccount"]) == ("default", "default")
    assert spec["imagePullSecrets"] == [{"name": "pull"}]
    (volume,) = spec["volumes"]
    assert volume["name"].startswith("kube-api-access-") and len(volume["name"]) == len("kube-api-access-") + 5
    assert volume["projected"]["defaultMode"] == 420
    assert [next(iter(source)) for source in volume["projected"]["sources"]] == [
        "serviceAccountToken",
        "configMap",
        "downwardAPI",
    ]
    assert volume["projected"]["sources"][0]["serviceAccountToken"] == {"expirationSeconds": 3607, "path": "token"}
    mount = {"name": volume["name"], "readOnly": True, "mountPath": MOUNT}
    assert spec["initContainers"][0]["volumeMounts"] == [mount]
    assert [container["volumeMounts"] for container in spec["containers"]] == [[mount], [other]]


@pytest.mark.parametrize(
    ("account", "of_pod", "mounted"),
    [(None, None, True), (False, None, False), (False, True, True), (True, False, False)],
)
def test_automounting_is_the_pods_word_else_the_accounts_else_yes(
    account: bool | None, of_pod: bool | None, mounted: bool
) -> None:
    listers = service_account() if account is None else service_account(automountServiceAccountToken=account)
    obj = pod() if of_pod is None else pod(automountServiceAccountToken=of_pod)
    assert admit_pod(listers, obj) == ""
    assert ("volumes" in obj["spec"]) is mounted


def test_a_missing_account_refuses_the_pod() -> None:
    text = '403 pods "web" is forbidden: error looking up service account default/ci: serviceaccount "ci" not found'
    assert admit_pod(FakeListers(), pod(serviceAccountName="ci")) == text


def test_the_default_account_of_a_new_namespace_is_waited_for() -> None:
    async def scenario() -> None:
        clock, listers = VirtualClock(), FakeListers()
        plugin = ServiceAccount(Lookup(listers), clock, random.Random(1))
        obj = pod()
        async with asyncio.TaskGroup() as group:
            group.create_task(plugin.admit(request("CREATE", PODS, obj)))
            await clock.advance(0.02)
            listers(SERVICE_ACCOUNTS).put({"metadata": {"name": "default", "namespace": "default"}})
            await clock.advance(0.1)
        assert "volumes" in obj["spec"]

    asyncio.run(scenario())


def test_a_mirror_pod_has_no_account_and_no_secrets() -> None:
    mirror = pod(serviceAccountName="x")
    mirror["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "1"}
    refused = '403 pods "web" is forbidden: a mirror pod may not reference '
    assert admit_pod(service_account(), mirror) == f"{refused}service accounts"
    mirror["spec"] = {"containers": [], "imagePullSecrets": [{"name": "x"}]}
    assert admit_pod(service_account(), mirror) == f"{refused}secrets"


# --- Priority


def priority_class(name: str, value: int, **fields: Any) -> tuple[Resource, Obj]:
    return PRIORITY_CLASSES, {"metadata": {"name": name}, "value": value, **fields}


CLASSES = (
    priority_class("high", 1000, preemptionPolicy="Never"),
    priority_class("usual", 10, globalDefault=True),
    priority_class("rival", 20, globalDefault=True),
)


@pytest.mark.parametrize(
    ("classes", "spec", "expected"),
    [
        ((), {}, {"priority": 0, "preemptionPolicy": "PreemptLowerPriority"}),
        (CLASSES, {}, {"priority": 10, "preemptionPolicy": "PreemptLowerPriority", "priorityClassName": "usual"}),
        (
            CLASSES, {"priorityClassName": "high", "priority": 1000},
            {"priority": 1000, "preemptionPolicy": "Never", "priorityClassName": "high"},
        ),
    ],
)  # fmt: skip
def test_a_pods_priority_is_its_classs_else_the_default_classs_else_zero(classes: Any, spec: Obj, expected: Obj) -> None:
    obj = pod(**spec)
    assert run(Priority(Lookup(FakeListers(*classes))), request("CREATE", PODS, obj)) == ""
    assert {key: obj["spec"].get(key) for key in expected} == expected


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"priorityClassName": "none"}, "no PriorityClass with name none was found"),
        (
            {"priorityClassName": "high", "priority": 5},
            "the integer value of priority (5) must not be provided in pod spec; priority admission controller computed 1000 "
            "from the given PriorityClass name",
        ),
    ],
)
def test_a_priority_that_no_class_gives_is_refused(spec: Obj, text: str) -> None:
    plugin = Priority(Lookup(FakeListers(*CLASSES)))
    assert run(plugin, request("CREATE", PODS, pod(**spec))) == f'403 pods "web" is forbidden: {text}'


def test_an_update_keeps_what_create_filled_in() -> None:
    obj, old = pod(), pod(priority=7, preemptionPolicy="Never")
    assert run(Priority(Lookup(FakeListers())), request("UPDATE", PODS, obj, old)) == ""
    assert (obj["spec"]["priority"], obj["spec"]["preemptionPolicy"]) == (7, "Never")


def test_there_is_one_default_class_and_the_systems_own_stay() -> None:
    plugin = Priority(Lookup(FakeListers(CLASSES[1])))
    another = {"metadata": {"name": "more"}, "globalDefault": True, "value": 1}
    refused = 'priorityclasses.scheduling.k8s.io "{}" is forbidden: '
    assert run(plugin, request("CREATE", PRIORITY_CLASSES, another, name="more")) == (
        "403 " + refused.format("more") + "PriorityClass usual is already marked as default. Only one default can exist"
    )
    assert run(plugin, request("UPDATE", PRIORITY_CLASSES, CLASSES[1][1], CLASSES[1][1], name="usual")) == ""
    system = "system-node-critical"
    assert run(plugin, request("DELETE", PRIORITY_CLASSES, None, name=system)) == (
        "403 " + refused.format(system) + "this is a system priority class and cannot be deleted"
    )


# --- DefaultTolerationSeconds, TaintNodesByCondition

NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"


@pytest.mark.parametrize(
    ("given", "added"),
    [
        ([], [NOT_READY, UNREACHABLE]),
        ([{"key": NOT_READY, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}], [UNREACHABLE]),
        ([{"key": NOT_READY, "operator": "Exists", "effect": "NoSchedule"}], [NOT_READY, UNREACHABLE]),
        ([{"operator": "Exists"}], []),
    ],
)
def test_a_pod_tolerates_a_failing_node_for_five_minutes_unless_it_says_otherwise(given: list[Obj], added: list[str]) -> None:
    obj = pod(tolerations=list(given))
    assert run(DefaultTolerationSeconds(), request("CREATE", PODS, obj)) == ""
    made = [{"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300} for key in added]
    assert obj["spec"]["tolerations"] == given + made


def test_a_new_node_is_tainted_until_it_is_ready_once() -> None:
    node: Obj = {"metadata": {"name": "web"}}
    for _ in range(2):
        assert run(TaintNodesByCondition(), request("CREATE", NODES, node)) == ""
    assert node["spec"]["taints"] == [{"key": NOT_READY, "effect": "NoSchedule"}]


# --- PersistentVolumeClaimResize


def claim(size: str, phase: str = "Bound", storage_class: str = "fast") -> Obj:
    return {
        "metadata": {"name": "data"},
        "spec": {"storageClassName": storage_class, "resources": {"requests": {"storage": size}}},
        "status": {"phase": phase},
    }


NOT_RESIZABLE = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"


@pytest.mark.parametrize(
    ("new", "old", "expands", "answer"),
    [
        (claim("2Gi"), claim("1Gi"), True, ""),
        (claim("1Gi"), claim("1Gi", phase="Pending"), False, ""),
        (claim("1Gi"), claim("1024Mi", phase="Pending"), False, ""),
        (claim("2Gi"), claim("1Gi", phase="Pending"), True, "Only bound persistent volume claims can be expanded"),
        (claim("2Gi"), claim("1Gi"), False, NOT_RESIZABLE),
        (claim("2Gi", storage_class=""), claim("1Gi", storage_class=""), True, NOT_RESIZABLE),
        (claim("2Gi", storage_class="gone"), claim("1Gi", storage_class="gone"), True, NOT_RESIZABLE),
        (claim("2Gi", storage_class="fast"), claim("1Gi", storage_class="slow"), True, NOT_RESIZABLE),
    ],
)
def test_a_claim_grows_if_it_is_bound_and_its_class_allows_it(new: Obj, old: Obj, expands: bool, answer: str) -> None:
    listers = FakeListers((STORAGE_CLASSES, {"metadata": {"name": "fast"}, "allowVolumeExpansion": expands}))
    asked = request("UPDATE", PERSISTENT_VOLUME_CLAIMS, new, old, name="data")
    expected = f'403 persistentvolumeclaims "data" is forbidden: {answer}' if answer else ""
    assert run(PersistentVolumeClaimResize(Lookup(listers)), asked) == expected


# --- PodTopologyLabels

ZONE, REGION = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"
PLACED: tuple[Resource, Obj] = (
    NODES,
    {"metadata": {"name": "n1", "labels": {ZONE: "z", REGION: "r", "kubernetes.io/os": "linux"}}},
)


def test_a_binding_carries_the_zone_of_its_node() -> None:
    binding: Obj = {"metadata": {"name": "web"}, "target": {"kind": "Node", "name": "n1"}}
    asked = AdmissionRequest("CREATE", PODS, "binding", "default", "web", binding, None, JANE)
    assert run(PodTopologyLabels(Lookup(FakeListers(PLACED))), asked) == ""
    assert binding["metadata"]["labels"] == {ZONE: "z", REGION: "r"}


def test_a_pod_made_on_a_node_shows_its_zone_whatever_it_says() -> None:
    made = pod(nodeName="n1")
    made["metadata"]["labels"] = {ZONE: "other", "a": "b"}
    assert run(PodTopologyLabels(Lookup(FakeListers(PLACED))), request("CREATE", PODS, made)) == ""
    assert made["metadata"]["labels"] == {ZONE: "z", REGION: "r", "a": "b"}


@pytest.mark.parametrize("node", ["", "gone"])
def test_a_pod_without_a_known_node_shows_none(node: str) -> None:
    made = pod(nodeName=node)
    assert run(PodTopologyLabels(Lookup(FakeListers(PLACED))), request("CREATE", PODS, made)) == ""
    assert "labels" not in made["metadata"]


# --- PodResizeValidator


def resized(cpu: str, generation: int = 2, node: str = "n1") -> Obj:
    asked = pod(nodeName=node)
    asked["metadata"]["generation"] = generation
    asked["spec"]["containers"][0]["resources"] = {"requests": {"cpu": cpu, "memory": "2Gi"}}
    return asked


@pytest.mark.parametrize(
    ("new", "system", "answer"),
    [
        (resized("1"), "linux", ""),
        (
            resized("2500m"), "linux",
            "node didn't have enough allocatable resources: cpu, requested: 2500, allocatable: 2000",
        ),
        (resized("1"), "windows", 'pod resize is only supported on linux nodes, node "n1" is "windows"'),
        (resized("9", generation=1), "windows", ""),
        (resized("9", node=""), "windows", ""),
        (resized("1", node="gone"), "linux", 'node "gone" not found'),
    ],
)  # fmt: skip
def test_a_pod_is_resized_to_what_its_node_has(new: Obj, system: str, answer: str) -> None:
    node = {
        "metadata": {"name": "n1", "labels": {"kubernetes.io/os": system}},
        "status": {"allocatable": {"cpu": "2", "memory": "4Gi"}},
    }
    asked = AdmissionRequest("UPDATE", PODS, "resize", "default", "web", new, resized("1", 1), JANE)
    expected = f'403 pods "web" is forbidden: {answer}' if answer else ""
    assert run(PodResizeValidator(Lookup(FakeListers((NODES, node)))), asked) == expected
