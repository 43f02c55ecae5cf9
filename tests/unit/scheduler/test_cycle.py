"""Single decisions: which node, or the exact words why none; plugin by plugin."""

from __future__ import annotations

import random
from typing import Any

import pytest

from steersman.machinery.meta import Obj
from steersman.scheduler.cycle import Cycle, Placed, Rejected
from steersman.scheduler.nodetable import NodeTable
from steersman.scheduler.podinfo import PodInfo, PodInfos
from steersman.scheduler.profiles import default_profile

INFOS = PodInfos()


def node(
    name: str, *, labels: dict[str, str] | None = None, spec: Obj | None = None, images: Any = (), **allocatable: str
) -> Obj:
    resources = {
        "cpu": "4",
        "memory": "8Gi",
        "pods": "10",
        **{key.replace("_", "-"): value for key, value in allocatable.items()},
    }
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": spec or {},
        "status": {"allocatable": resources, "images": list(images)},
    }


_numbers = iter(range(1_000_000))


def pod(*, container: Obj | None = None, status: Obj | None = None, **spec: Any) -> PodInfo:
    number = next(_numbers)
    spec.setdefault("containers", [{"name": "c", **(container or {})}])
    metadata = {"name": f"p{number}", "namespace": "x", "uid": f"u{number}"}
    return INFOS.make({"metadata": metadata, "spec": spec, "status": status or {}})


def requesting(**requests: str) -> Obj:
    return {"resources": {"requests": requests}}


def table_of(*nodes: Obj) -> NodeTable:
    table = NodeTable()
    for item in nodes:
        table.set_node(item)
    return table


def decide(table: NodeTable, info: PodInfo, seed: int = 1) -> Placed | Rejected:
    return Cycle(default_profile(), table, random.Random(seed)).schedule(info)


def why_not(table: NodeTable, info: PodInfo) -> str:
    outcome = decide(table, info)
    assert isinstance(outcome, Rejected)
    return outcome.message


def chosen(table: NodeTable, info: PodInfo) -> set[str]:
    """All nodes that are ever chosen: the best ones."""
    found = [decide(table, info, seed) for seed in range(20)]
    return {outcome.node for outcome in found if isinstance(outcome, Placed)}


TAINT = {"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}


def affinity(*terms: Obj) -> Obj:
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}}


def on_names(*names: str) -> Obj:
    return {"matchFields": [{"key": "metadata.name", "operator": "In", "values": list(names)}]}


def expression(key: str, operator: str, *values: str) -> Obj:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"container": requesting(cpu="5")}, "0/3 nodes are available: 1 node(s) had untolerated taint(s), 1 node(s) were "
         "unschedulable, 1 Insufficient cpu."),
        ({"container": requesting(cpu="5", memory="9Gi"), "tolerations": [{"operator": "Exists"}]},
         "0/3 nodes are available: 3 Insufficient cpu, 3 Insufficient memory."),
        ({"container": requesting(example="1"), "tolerations": [{"operator": "Exists"}]},
         "0/3 nodes are available: 3 Insufficient example."),
        ({"nodeName": "nowhere", "tolerations": [{"operator": "Exists"}]},
         "0/3 nodes are available: 3 node(s) didn't match the requested node name."),
        ({"nodeSelector": {"disk": "ssd"}, "tolerations": [{"operator": "Exists"}]},
         "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector."),
        ({"affinity": affinity(on_names("open")), "container": requesting(cpu="5")},
         "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]."),
        ({"affinity": affinity({"matchFields": [*on_names("open")["matchFields"], *on_names("tainted")["matchFields"]]})},
         "0/3 nodes are available: pod affinity terms conflict."),
        ({"affinity": affinity(), "tolerations": [{"operator": "Exists"}]},
         "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector."),
    ],
)  # fmt: skip
def test_a_pod_that_fits_nowhere_is_told_why_in_upstreams_words(spec: dict[str, Any], message: str) -> None:
    table = table_of(node("open"), node("tainted", spec={"taints": [TAINT]}), node("cordoned", spec={"unschedulable": True}))
    found = why_not(table, pod(**spec)).partition(" no new claims to deallocate, preemption: ")[0]
    # The list is sorted as text.
    listed = message.removeprefix("0/3 nodes are available: ").removesuffix(".").split(", ")
    assert found == f"0/3 nodes are available: {', '.join(sorted(listed))}."


def test_without_nodes_the_message_says_so_and_any_plugin_may_be_woken_by_a_node() -> None:
    outcome = decide(NodeTable(), pod())
    assert isinstance(outcome, Rejected)
    assert (outcome.message, "NodeName" in outcome.plugins) == ("no nodes available to schedule pods", True)


def test_a_full_node_counts_pods_and_every_lacking_resource() -> None:
    table = table_of(node("n", pods="1"))
    table.add_pod(pod(container=requesting(cpu="3")), "n")
    outcome = decide(table, pod(container=requesting(cpu="2")))
    assert isinstance(outcome, Rejected)
    assert outcome.message == (
        "0/1 nodes are available: 1 Insufficient cpu, 1 Too many pods. "
        "no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
    )
    assert outcome.plugins == {"NodeResourcesFit"}


@pytest.mark.parametrize(
    ("toleration", "fits"),
    [
        ({"key": "dedicated", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"}, True),
        ({"key": "dedicated", "value": "gpu"}, True),
        ({"key": "dedicated", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"key": "dedicated", "value": "cpu"}, False),
        ({"key": "dedicated", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "other", "operator": "Exists"}, False),
    ],
)
def test_taints_are_tolerated_by_key_value_and_effect(toleration: Obj, fits: bool) -> None:
    table = table_of(node("n", spec={"taints": [TAINT]}))
    assert isinstance(decide(table, pod(tolerations=[toleration])), Placed) is fits


@pytest.mark.parametrize(
    ("term", "names"),
    [
        (expression("zone", "In", "a", "b"), {"a1", "a2", "b"}),
        (expression("zone", "In", "a"), {"a1", "a2"}),
        (expression("zone", "In", "nowhere"), set()),
        (expression("zone", "NotIn", "a"), {"b", "none"}),
        (expression("zone", "Exists"), {"a1", "a2", "b"}),
        (expression("zone", "DoesNotExist"), {"none"}),
        (expression("unheard", "DoesNotExist"), {"a1", "a2", "b", "none"}),
        (expression("unheard", "NotIn", "x"), {"a1", "a2", "b", "none"}),
        (expression("size", "Gt", "5"), {"a2"}),
        (expression("size", "Lt", "6"), {"a1"}),
        ({}, set()),
        ({**expression("zone", "In", "a"), **on_names("a2", "b")}, {"a2"}),
        ({"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["a1", "a2"]}]}, {"b", "none"}),
    ],
)
def test_node_affinity_operators(term: Obj, names: set[str]) -> None:
    table = table_of(
        node("a1", labels={"zone": "a", "size": "5"}),
        node("a2", labels={"zone": "a", "size": "6"}),
        node("b", labels={"zone": "b", "size": "many"}),
        node("none"),
    )
    fitting = {name for name in table.names() if isinstance(decide(_alone(table, name), pod(affinity=affinity(term))), Placed)}
    assert fitting == names
    assert chosen(table, pod(affinity=affinity(term))) <= names


def _alone(table: NodeTable, name: str) -> NodeTable:
    """The table without the other nodes: exercises removal, too."""
    nodes = {
        "a1": node("a1", labels={"zone": "a", "size": "5"}),
        "a2": node("a2", labels={"zone": "a", "size": "6"}),
        "b": node("b", labels={"zone": "b", "size": "many"}),
        "none": node("none"),
    }
    alone = table_of(*nodes.values())
    for other in nodes.keys() - {name}:
        alone.remove_node(other)
    return alone


@pytest.mark.parametrize(
    ("used", "wanted", "fits"),
    [
        ({"hostPort": 80}, {"hostPort": 80}, False),
        ({"hostPort": 80}, {"hostPort": 81}, True),
        ({"hostPort": 80}, {"hostPort": 80, "protocol": "UDP"}, True),
        ({"hostPort": 80, "hostIP": "10.0.0.1"}, {"hostPort": 80, "hostIP": "10.0.0.2"}, True),
        ({"hostPort": 80, "hostIP": "10.0.0.1"}, {"hostPort": 80}, False),
    ],
)
def test_host_ports_clash_by_protocol_port_and_address(used: Obj, wanted: Obj, fits: bool) -> None:
    table = table_of(node("n"))
    first = pod(container={"ports": [used]})
    table.add_pod(first, "n")
    assert isinstance(decide(table, pod(container={"ports": [wanted]})), Placed) is fits
    table.remove_pod(first.uid)
    assert isinstance(decide(table, pod(container={"ports": [wanted]})), Placed)


@pytest.mark.parametrize(
    ("spec", "cpu_milli"),
    [
        ({"containers": [requesting(cpu="1"), requesting(cpu="500m")]}, 1500),
        ({"containers": [requesting(cpu="1")], "initContainers": [requesting(cpu="3")]}, 3000),
        ({"containers": [requesting(cpu="1")], "initContainers": [{**requesting(cpu="500m"), "restartPolicy": "Always"}]}, 1500),
        (
            {
                "containers": [requesting(cpu="1")],
                "initContainers": [{**requesting(cpu="500m"), "restartPolicy": "Always"}, requesting(cpu="2")],
            },
            2500,
        ),
        ({"containers": [requesting(cpu="1")], "overhead": {"cpu": "250m"}}, 1250),
        ({"containers": [requesting(cpu="1")], "resources": {"requests": {"cpu": "700m"}}}, 700),
    ],
)
def test_a_pods_request_is_the_most_it_ever_needs_at_once(spec: dict[str, Any], cpu_milli: int) -> None:
    assert pod(**spec).demand.requests == {"cpu": cpu_milli}


def test_a_pod_being_resized_counts_with_the_largest_of_what_it_wants_and_has() -> None:
    status = {"containerStatuses": [{"name": "c", "allocatedResources": {"cpu": "2"}, "resources": {"requests": {"cpu": "3"}}}]}
    assert pod(container=requesting(cpu="1"), status=status).demand.requests == {"cpu": 3000}


def test_the_emptier_node_is_chosen() -> None:
    table = table_of(node("busy"), node("idle"))
    table.add_pod(pod(container=requesting(cpu="1", memory="2Gi")), "busy")
    assert chosen(table, pod(container=requesting(cpu="1", memory="2Gi"))) == {"idle"}


def test_preferences_and_soft_taints_outweigh_small_differences_of_load() -> None:
    table = table_of(
        node("ssd", labels={"disk": "ssd"}),
        node("soft", spec={"taints": [{**TAINT, "effect": "PreferNoSchedule"}]}),
        node("plain"),
    )
    table.add_pod(pod(container=requesting(cpu="1", memory="2Gi")), "ssd")
    preference = {
        "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 5, "preference": expression("disk", "In", "ssd")}]
    }
    assert chosen(table, pod(affinity={"nodeAffinity": preference})) == {"ssd"}
    assert chosen(table, pod()) == {"plain"}


def test_a_node_that_has_the_image_is_preferred_with_or_without_its_tag_named() -> None:
    big = {"names": ["registry/app:latest"], "sizeBytes": 900 * 1024 * 1024}
    table = table_of(node("with", images=[big]), node("without"))
    assert chosen(table, pod(container={"image": "registry/app"})) == {"with"}


def test_ties_are_broken_by_chance() -> None:
    assert chosen(table_of(node("a"), node("b"), node("c")), pod()) == {"a", "b", "c"}


def test_a_nominated_node_is_taken_if_it_fits_whatever_its_score() -> None:
    table = table_of(node("busy"), node("idle"))
    table.add_pod(pod(container=requesting(cpu="3")), "busy")
    nominated = {"nominatedNodeName": "busy"}
    assert chosen(table, pod(container=requesting(cpu="1"), status=nominated)) == {"busy"}
    assert chosen(table, pod(container=requesting(cpu="2"), status=nominated)) == {"idle"}


def test_pods_of_one_kind_see_what_those_before_them_took() -> None:
    table = table_of(node("a", pods="3"), node("b", pods="2"))
    cycle = Cycle(default_profile(), table, random.Random(1))
    outcomes = []
    for _ in range(6):
        info = pod(container=requesting(cpu="100m"))
        outcome = cycle.schedule(info)
        if isinstance(outcome, Placed):
            table.add_pod(info, outcome.node)
        outcomes.append(outcome)
    assert sorted(outcome.node for outcome in outcomes if isinstance(outcome, Placed)) == ["a", "a", "a", "b", "b"]
    assert isinstance(outcomes[5], Rejected)


def test_a_pod_bound_to_a_node_not_yet_known_counts_when_the_node_comes_and_after_it_comes_back() -> None:
    table = table_of(node("other"))
    table.add_pod(pod(container=requesting(cpu="4")), "n")
    for _ in range(2):
        table.set_node(node("n"))
        assert chosen(table, pod(container=requesting(cpu="1"))) == {"other"}
        table.remove_node("n")
