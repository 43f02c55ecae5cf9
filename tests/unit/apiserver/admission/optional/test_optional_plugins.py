"""Plugins that are off unless asked for: what they change and refuse, in upstream's words."""

from __future__ import annotations

import asyncio
import copy
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.fakes.client import FakeClient
from tests.fakes.listers import FakeListers

from steersman.api.resources import EVENTS, NAMESPACES, PODS, SERVICES
from steersman.apiserver import admission, authz
from steersman.apiserver.access import AdmissionSettings
from steersman.apiserver.config import ConfigError
from steersman.apiserver.contracts import AdmissionPlugin, AdmissionRequest, MutationInterface, UserInfo, ValidationInterface
from steersman.machinery.clock import VirtualClock
from steersman.machinery.errors import StatusError
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

JANE = UserInfo("jane")
NODE_SELECTOR = "scheduler.alpha.kubernetes.io/node-selector"
TOLERATIONS = "scheduler.alpha.kubernetes.io/defaultTolerations"
WHITELIST = "scheduler.alpha.kubernetes.io/tolerationsWhitelist"


class World:
    """A server's chain with that plugin, of which only it is asked."""

    def __init__(self, name: str, directory: Path | None = None, configuration: Obj | None = None, **annotations: str) -> None:
        self.clock, self.client = VirtualClock(), FakeClient()
        listers = FakeListers((NAMESPACES, {"metadata": {"name": "ns", "annotations": annotations}}))
        file = None
        if directory is not None:
            file = directory / "admission.json"
            plugins = [{"name": name, "configuration": configuration}]
            version = "apiserver.config.k8s.io/v1"
            file.write_bytes(orjson.dumps({"apiVersion": version, "kind": "AdmissionConfiguration", "plugins": plugins}))
        settings = AdmissionSettings(enable_plugins=(name,), control_config_file=file)
        found = admission.chain(listers, self.clock, authz.build(listers), settings, self.client)
        self.plugin: AdmissionPlugin = next(plugin for plugin in found if plugin.name == name)

    async def ask(self, request: AdmissionRequest) -> str:
        try:
            if isinstance(self.plugin, MutationInterface):
                await self.plugin.admit(request)
            if isinstance(self.plugin, ValidationInterface):
                await self.plugin.validate(request)
        except StatusError as error:
            return error.message
        return ""

    def run(self, resource: Resource, new: Obj | None, old: Obj | None = None, *, namespace: str = "ns") -> str:
        operation = "DELETE" if new is None else "CREATE" if old is None else "UPDATE"
        name = (new or old or {})["metadata"]["name"]
        return asyncio.run(self.ask(AdmissionRequest(operation, resource, "", namespace, name, new, old, JANE)))


def pod(**spec: Any) -> Obj:
    return {"metadata": {"name": "p", "namespace": "ns"}, "spec": {"containers": [{"name": "c", "image": "i"}], **spec}}


def test_images_are_always_pulled() -> None:
    world = World("AlwaysPullImages")
    made = pod(initContainers=[{"name": "x", "image": "j"}], volumes=[{"name": "v", "image": {"reference": "k"}}])
    assert world.run(PODS, made) == ""
    spec = made["spec"]
    assert spec["containers"][0]["imagePullPolicy"] == spec["initContainers"][0]["imagePullPolicy"] == "Always"
    assert spec["volumes"][0]["image"]["pullPolicy"] == "Always"
    request = AdmissionRequest("CREATE", PODS, "", "ns", "p", pod(), None, JANE)
    assert isinstance(world.plugin, ValidationInterface)
    with pytest.raises(StatusError) as caught:
        asyncio.run(world.plugin.validate(request))
    assert caught.value.message == (
        'pods "p" is forbidden: spec.containers[0].imagePullPolicy: Unsupported value: "": supported values: "Always"'
    )
    same = pod()
    assert world.run(PODS, same, pod()) == "" and "imagePullPolicy" not in same["spec"]["containers"][0]


@pytest.mark.parametrize(
    ("new", "old", "allowed"),
    [
        (["192.0.2.1"], None, False),
        ([], None, True),
        (["192.0.2.1"], ["192.0.2.1", "192.0.2.2"], True),
        (["192.0.2.3"], ["192.0.2.1"], False),
    ],
)
def test_services_take_no_addresses(new: list[str], old: list[str] | None, allowed: bool) -> None:
    def service(ips: list[str]) -> Obj:
        return {"metadata": {"name": "s"}, "spec": {"externalIPs": ips}}

    text = World("DenyServiceExternalIPs").run(SERVICES, service(new), None if old is None else service(old))
    assert text == ("" if allowed else 'services "s" is forbidden: Use of external IPs is denied by admission control')


def test_who_asks_for_a_special_resource_tolerates_its_taint() -> None:
    made = pod(containers=[{"name": "c", "resources": {"requests": {"cpu": "1", "example.com/gpu": "1"}}}])
    assert World("ExtendedResourceToleration").run(PODS, made) == ""
    assert made["spec"]["tolerations"] == [{"key": "example.com/gpu", "operator": "Exists"}]
    again = copy.deepcopy(made)
    assert World("ExtendedResourceToleration").run(PODS, again) == "" and again == made


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("kubernetes.io/hostname", ""),
        (
            "zone",
            'pods "p" is forbidden: affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey zone but only key '
            "kubernetes.io/hostname is allowed",
        ),
    ],
)
def test_pods_keep_others_from_their_own_node_only(key: str, text: str) -> None:
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": key}]}}
    assert World("LimitPodHardAntiAffinityTopology").run(PODS, pod(affinity=affinity)) == text


def test_a_namespace_must_exist_or_is_made() -> None:
    assert World("NamespaceExists").run(PODS, pod(), namespace="none") == 'namespaces "none" not found'
    assert World("NamespaceExists").run(PODS, pod()) == ""
    world = World("NamespaceAutoProvision")

    async def scenario() -> list[str]:
        for operation, namespace, dry in (
            ("CREATE", "ns", False),
            ("CREATE", "new", False),
            ("CREATE", "dry", True),
            ("DELETE", "x", False),
        ):
            request = AdmissionRequest(operation, PODS, "", namespace, "p", pod(), None, JANE, dry)
            assert await world.ask(request) == ""
        return [item["metadata"]["name"] for item in (await world.client.list(NAMESPACES))["items"]]

    assert asyncio.run(scenario()) == ["new"]


SELECTORS = {"podNodeSelectorPluginConfig": {"clusterDefaultNodeSelector": "pool=any", "ns": "pool=blue,disk=ssd"}}
CONFLICT = 'pods "p" is forbidden: pod node label selector conflicts with its namespace node label selector'
NOT_LISTED = 'pods "p" is forbidden: pod node label selector labels conflict with its namespace whitelist'


@pytest.mark.parametrize(
    ("said", "asked", "found"),
    [
        ("pool=blue", {}, {"pool": "blue"}),
        ("pool=blue", {"disk": "ssd"}, {"pool": "blue", "disk": "ssd"}),
        ("pool=blue", {"pool": "red"}, CONFLICT),
        ("pool=blue", {"disk": "spinning"}, NOT_LISTED),
        ("", {}, None),
        (None, {}, NOT_LISTED),
        ("nonsense", {}, 'pods "p" is forbidden: invalid selector: [nonsense]'),
    ],
)
def test_a_namespaces_pods_go_where_it_says(tmp_path: Path, said: str | None, asked: Obj, found: Any) -> None:
    annotations = {} if said is None else {NODE_SELECTOR: said}
    made = pod(**({"nodeSelector": asked} if asked else {}))
    text = World("PodNodeSelector", tmp_path, SELECTORS, **annotations).run(PODS, made)
    assert (text or made["spec"].get("nodeSelector")) == found


ANY = {"operator": "Exists"}
GPU = {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}
GPU_A = {"key": "gpu", "operator": "Equal", "value": "a", "effect": "NoSchedule"}
SHORT = {"key": "x", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}
LONG = {**SHORT, "tolerationSeconds": 50}
MEMORY = {"key": "node.kubernetes.io/memory-pressure", "operator": "Exists", "effect": "NoSchedule"}
_CONFLICT = "pod tolerations (possibly merged with namespace default tolerations) conflict with its namespace whitelist"
REFUSED = f'pods "p" is forbidden: {_CONFLICT}'


@pytest.mark.parametrize(
    ("default", "allowed", "asked", "found"),
    [
        ([GPU], None, [], [GPU]),
        ([GPU], None, [GPU_A], [GPU]),
        ([GPU_A], None, [GPU_A], [GPU_A]),
        ([GPU_A], None, [ANY], [ANY]),
        ([SHORT], None, [LONG], [LONG]),
        (None, [GPU], [GPU_A], [GPU_A]),
        (None, [GPU_A], [GPU], REFUSED),
        (None, [SHORT], [LONG], REFUSED),
        (None, [LONG], [SHORT], [SHORT]),
        (None, [ANY], [GPU, LONG], [GPU, LONG]),
        (None, None, [GPU], [GPU]),
    ],
)
def test_a_namespaces_pods_tolerate_what_it_says(default: Any, allowed: Any, asked: Any, found: Any) -> None:
    said: dict[str, Any] = {
        key: orjson.dumps(value).decode() for key, value in ((TOLERATIONS, default), (WHITELIST, allowed)) if value
    }
    made = pod(**({"tolerations": asked} if asked else {}))
    assert (World("PodTolerationRestriction", **said).run(PODS, made) or made["spec"].get("tolerations")) == found


def test_a_pod_that_reserves_memory_tolerates_that_it_is_short_and_the_cluster_has_defaults(tmp_path: Path) -> None:
    configuration = {
        "apiVersion": "podtolerationrestriction.admission.k8s.io/v1alpha1",
        "kind": "Configuration",
        "default": [GPU],
        "whitelist": [GPU, MEMORY],
    }
    made = pod(containers=[{"name": "c", "resources": {"requests": {"memory": "1Mi"}}}])
    world = World("PodTolerationRestriction", tmp_path, configuration)
    assert world.run(PODS, made) == "" and made["spec"]["tolerations"] == [GPU, MEMORY]
    assert world.run(PODS, pod(tolerations=[LONG])) == REFUSED


def limits(*kinds: str, qps: int = 1, burst: int = 2) -> Obj:
    items = [{"type": kind, "qps": qps, "burst": burst} for kind in kinds]
    return {"apiVersion": "eventratelimit.admission.k8s.io/v1alpha1", "kind": "Configuration", "limits": items}


def event(component: str = "kubelet") -> Obj:
    about = {"kind": "Pod", "namespace": "ns", "name": "p", "uid": "u", "apiVersion": "v1"}
    return {"metadata": {"name": "e"}, "source": {"component": component}, "involvedObject": about}


def test_so_many_events_a_second_are_taken(tmp_path: Path) -> None:
    world = World("EventRateLimit", tmp_path, limits("Namespace"))
    assert [world.run(EVENTS, event(), namespace="a") for _ in range(3)] == [
        "", "", "Too many requests: limit reached on type Namespace for key a"
    ]  # fmt: skip
    assert world.run(EVENTS, event(), namespace="b") == ""
    asyncio.run(world.clock.advance(1))
    assert [bool(world.run(EVENTS, event(), namespace="a")) for _ in range(2)] == [False, True]


@pytest.mark.parametrize(("kind", "key"), [("Server", "{}"), ("User", "jane"), ("SourceAndObject", "kubeletPodnspuv1")])
def test_events_are_counted_by(tmp_path: Path, kind: str, key: str) -> None:
    world = World("EventRateLimit", tmp_path, limits(kind, burst=1))
    assert world.run(EVENTS, event(), namespace="a") == ""
    assert world.run(EVENTS, event(), namespace="b") == f"Too many requests: limit reached on type {kind} for key {key}"
    assert (world.run(EVENTS, event("other"), namespace="a") == "") is (kind == "SourceAndObject")
    assert world.run(PODS, pod()) == ""


@pytest.mark.parametrize(
    ("name", "configuration", "why"),
    [
        ("EventRateLimit", None, "a Configuration of eventratelimit.admission.k8s.io/v1alpha1 was expected"),
        ("EventRateLimit", limits(), "limits: Invalid value"),
        ("EventRateLimit", limits("Never"), 'limits.0..type: Unsupported value: "Never"'),
        ("EventRateLimit", limits("User", qps=0), "limits.0..qps: Invalid value: 0: must be positive"),
        ("PodNodeSelector", {"podNodeSelectorPluginConfig": {"a": "b"}}, "podNodeSelectorPluginConfig: invalid selector: .b."),
        ("PodTolerationRestriction", {"kind": "Other"}, "a Configuration of podtolerationrestriction"),
    ],
)
def test_what_a_file_says_wrong_is_told(tmp_path: Path, name: str, configuration: Obj | None, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        World(name, tmp_path, configuration)


def test_the_last_one_denies_everything_and_the_first_nothing() -> None:
    assert World("AlwaysDeny").run(PODS, pod()) == 'pods "p" is forbidden: admission control is denying all modifications'
    assert World("AlwaysAdmit").run(PODS, pod()) == ""
