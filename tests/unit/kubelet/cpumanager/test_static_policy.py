"""Which CPUs containers get, on machines of several shapes; what the file says; what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from steersman.cri.messages import Resources
from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.configuration.effective import apply
from steersman.kubelet.configuration.fields import with_defaults
from steersman.kubelet.configuration.validation import problems
from steersman.kubelet.cpumanager import checkpoint, manager
from steersman.kubelet.cpumanager.checkpoint import BadState, State, checksum
from steersman.kubelet.cpumanager.cpusets import parse, show
from steersman.kubelet.cpumanager.static import Refused, StaticPolicy
from steersman.kubelet.cpumanager.topology import NotEnough, Topology, Where, read, take
from steersman.machinery.meta import Obj

SMT4 = Topology({cpu: Where(cpu % 4, 0, 0) for cpu in range(8)})
"""One socket, four cores of two threads: 0 and 4 are one."""
TWO_SOCKETS = Topology({cpu: Where(cpu // 2, cpu // 4, cpu // 4) for cpu in range(8)})
"""Two sockets of two cores of two threads: 0-3, 4-7."""
NUMA_IN_SOCKET = Topology({cpu: Where(cpu, cpu // 8, cpu // 4) for cpu in range(16)})
FLAT = Topology({cpu: Where(cpu, 0, 0) for cpu in range(4)})


def container(name: str, cpu: str = "", **more: Any) -> Obj:
    amounts = {"cpu": cpu, "memory": "1Mi"} if cpu else {}
    return {"name": name, "resources": {"requests": amounts, "limits": amounts}, **more}


def pod(uid: str, *containers: Obj, init: tuple[Obj, ...] = (), qos: str = "Guaranteed") -> Obj:
    spec = {"containers": list(containers), "initContainers": list(init)}
    return {"metadata": {"name": uid, "uid": uid, "namespace": "d"}, "spec": spec, "status": {"qosClass": qos}}


@pytest.mark.parametrize(
    ("text", "cpus", "shown"),
    [("", set(), ""), ("0", {0}, "0"), ("0-2,7", {0, 1, 2, 7}, "0-2,7"), ("3,1,2", {1, 2, 3}, "1-3"), (" 5 - 5", {5}, "5")],
)
def test_sets_of_cpus_are_read_and_written_as_linux_does(text: str, cpus: set[int], shown: str) -> None:
    assert parse(text) == cpus
    assert show(cpus) == shown


@pytest.mark.parametrize("text", ["x", "3-1", "1,,2", "-1"])
def test_what_is_no_set_of_cpus_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid"):
        parse(text)


@pytest.mark.parametrize(
    ("topology", "free", "count", "expected"),
    [
        (FLAT, "0-3", 0, ""),
        (FLAT, "0-3", 2, "0-1"),
        (SMT4, "0-7", 1, "0"),
        (SMT4, "0-7", 2, "0,4"),
        (SMT4, "0-7", 3, "0-1,4"),
        (SMT4, "1-7", 1, "4"),  # beside the thread that is taken, rather than break another core
        (SMT4, "1-7", 2, "1,5"),
        (SMT4, "1-7", 3, "1,4-5"),
        (TWO_SOCKETS, "0-7", 4, "0-3"),
        (TWO_SOCKETS, "1-7", 4, "4-7"),
        (TWO_SOCKETS, "2-7", 2, "2-3"),  # fill up the socket that is begun
        (TWO_SOCKETS, "1-7", 1, "1"),
        (TWO_SOCKETS, "0-3,6-7", 2, "6-7"),
        (TWO_SOCKETS, "0,1,3,4-7", 5, "3-7"),
        (NUMA_IN_SOCKET, "0-15", 8, "0-7"),
        (NUMA_IN_SOCKET, "1-15", 4, "4-7"),
        (NUMA_IN_SOCKET, "1-15", 12, "4-15"),
    ],
)
def test_cpus_that_lie_together_are_taken_together(topology: Topology, free: str, count: int, expected: str) -> None:
    assert show(take(topology, parse(free), count)) == expected


def test_more_than_there_is_cannot_be_taken() -> None:
    with pytest.raises(NotEnough, match="not enough cpus available to satisfy request: requested=3, available=2"):
        take(FLAT, parse("0-1"), 3)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (pod("p", container("a", "1")), {"a": "1"}),
        (pod("p", container("a", "1"), container("b", "2")), {"a": "1", "b": "2-3"}),
        (pod("p", container("a", "1500m")), {}),
        (pod("p", container("a", "1"), qos="Burstable"), {}),
        (pod("p", container("a")), {}),
        (pod("p", container("a", "2"), init=(container("i", "3"),)), {"i": "1-3", "a": "1-2"}),
        (pod("p", container("a", "2"), init=(container("s", "1", restartPolicy="Always"),)), {"s": "1", "a": "2-3"}),
    ],
    ids=["one", "two", "a fraction", "not guaranteed", "none asked", "an init container's are used again", "a sidecar's are not"],
)
def test_who_gets_cpus_of_its_own(made: Obj, expected: dict[str, str]) -> None:
    policy = StaticPolicy(FLAT, parse("0"))
    state = policy.allocate(policy.begin(None), made)
    assert {name: show(cpus) for name, cpus in state.assignments.get("p", {}).items()} == expected
    owned = frozenset().union(*map(parse, expected.values()))
    assert state.shared == FLAT.cpus - owned
    assert policy.allocate(state, made) == state, "asked again, nothing changes"
    assert policy.release(state, "p") == policy.keep_only(state, ()) == State(FLAT.cpus)


@pytest.mark.parametrize(
    ("policy", "cpu", "reason", "message"),
    [
        (StaticPolicy(FLAT, parse("0")), "4", "UnexpectedAdmissionError",
         "Allocate failed due to not enough cpus available to satisfy request: requested=4, available=3, which is unexpected"),
        (StaticPolicy(SMT4, parse("0"), whole_cores=True), "3", "SMTAlignmentError",
         "SMT Alignment Error: requested 3 cpus not multiple cpus per core = 2"),
    ],
)  # fmt: skip
def test_pods_that_cannot_be_had(policy: StaticPolicy, cpu: str, reason: str, message: str) -> None:
    with pytest.raises(Refused) as caught:
        policy.allocate(policy.begin(None), pod("p", container("a", cpu)))
    assert (caught.value.reason, caught.value.message) == (reason, message)


def test_strictly_reserved_cpus_are_nobodys() -> None:
    assert StaticPolicy(FLAT, parse("0"), strict=True).begin(None).shared == parse("1-3")


@pytest.mark.parametrize(
    ("shared", "owned", "why"),
    [
        ("0-3", "1", "overlaps with default cpuset"),
        ("", "0-3", "default cpuset cannot be empty"),
        ("1-3", "0", 'not all reserved cpus: "0" are present in defaultCpuSet: "1-3"'),
        ("0-2", "4", 'current set of available CPUs "0-3" doesn\'t match with CPUs in state "0-2,4"'),
    ],
)
def test_a_state_of_another_machine_is_refused(shared: str, owned: str, why: str) -> None:
    with pytest.raises(BadState, match=why):
        StaticPolicy(FLAT, parse("0")).begin(State(parse(shared), {"p": {"c": parse(owned)}}))


@pytest.mark.parametrize(
    ("policy", "shared", "entries", "expected"),
    [
        ("none", "", {}, 1353318690),
        ("static", "0-1", {}, 1636926438),
        ("static", "0,10-15,25-31", {"777870b5-c64f-42f5-9296-688b9dc212ba": {"container-1": "16-24"},
                                     "fb15e10a-b6a5-4aaa-8fcd-76c1aa64e6fd": {"container-1": "1-9"}}, 318470969),
        ("static", "0-1,6-13,18-23", {"28c11c89-3493-4972-bb67-7090b9d75e0d":
                                      {"mytestclient": "2-3,14-15", "mytestclient2": "4-5,16-17"}}, 1684933537),
    ],
)  # fmt: skip
def test_checksums_are_those_upstreams_kubelet_writes(
    policy: str, shared: str, entries: dict[str, dict[str, str]], expected: int
) -> None:
    assert checksum(policy, shared, entries) == expected


def config(root: Path, **given: Any) -> KubeletConfig:
    return apply(KubeletConfig(node_name="n", root_dir=root), with_defaults(given))


def static(root: Path, **given: Any) -> KubeletConfig:
    return config(root, **{"cpuManagerPolicy": "static", "kubeReserved": {"cpu": "500m"}, **given})


def test_the_file_survives_a_restart_and_a_changed_policy_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cpu_manager_state"
    first = manager.start(static(tmp_path), lambda: FLAT)
    assert json.loads(path.read_text())["defaultCpuSet"] == "0-3"
    assert first.admit(pod("p", container("a", "1"))) is None
    written = json.loads(path.read_text())
    assert (written["entries"], written["defaultCpuSet"]) == ({"p": {"a": "1"}}, "0,2-3")
    again = manager.start(static(tmp_path), lambda: FLAT)
    assert again.state == first.state
    text = 'configured policy "none" differs from state checkpoint policy "static", please drain this node and delete the CPU'
    lead = "could not restore state from checkpoint"
    with pytest.raises(BadState, match=f'{lead}: {text} manager checkpoint file ".*cpu_manager_state" before'):
        manager.start(config(tmp_path), lambda: FLAT)
    path.write_text(path.read_text().replace("2-3", "1-3"))
    with pytest.raises(BadState, match="checkpoint is corrupted"):
        manager.start(static(tmp_path), lambda: FLAT)


def test_without_the_policy_nothing_is_confined_and_the_file_says_none(tmp_path: Path) -> None:
    made = manager.start(config(tmp_path), lambda: FLAT)
    assert not made.active
    assert made.confine(pod("p", container("a", "1")), "a", Resources(cpu_shares=5)) == Resources(cpu_shares=5)
    assert json.loads((tmp_path / "cpu_manager_state").read_text()) == {
        "policyName": "none", "defaultCpuSet": "", "checksum": 1353318690,
    }  # fmt: skip


def test_containers_are_made_with_their_cpus(tmp_path: Path) -> None:
    made = manager.start(static(tmp_path), lambda: FLAT)
    both = pod("p", container("a", "2"), container("b", "500m"))
    assert made.admit(both) is None
    limits = Resources(cpu_quota=200_000, cpu_shares=2048)
    assert made.confine(both, "a", limits) == replace(limits, cpuset_cpus="1-2", cpu_quota=0)
    assert made.confine(both, "b", limits) == replace(limits, cpuset_cpus="0,3")


@pytest.mark.parametrize(
    ("given", "reserved", "why"),
    [
        ({"kubeReserved": {"cpu": "1500m"}, "systemReserved": {"cpu": "100m"}}, "0,4", ""),
        ({"reservedSystemCPUs": "1,5", "kubeReserved": {"cpu": "3"}}, "1,5", ""),
        ({"kubeReserved": {}}, "", "requires systemreserved.cpu \\+ kubereserved.cpu to be greater than zero"),
        ({"reservedSystemCPUs": "7-8"}, "", "unable to reserve the required amount of CPUs \\(size of 7-8 did not equal 2\\)"),
    ],
)
def test_what_is_reserved(tmp_path: Path, given: Obj, reserved: str, why: str) -> None:
    wanted = static(tmp_path, **{"cpuManagerPolicyOptions": {"strict-cpu-reservation": "true"}, **given})
    if why:
        with pytest.raises(BadState, match=why):
            manager.start(wanted, lambda: SMT4)
    else:
        assert manager.start(wanted, lambda: SMT4).state.shared == SMT4.cpus - parse(reserved)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"cpuManagerPolicy": "dynamic"}, 'unknown policy: "dynamic"'),
        (
            {"cpuManagerPolicy": "static", "cpuManagerPolicyOptions": {"align-by-socket": "true"}},
            "align-by-socket is not supported",
        ),
        ({"cpuManagerPolicyOptions": {"full-pcpus-only": "true"}}, "None policy: received unsupported options"),
        ({"memoryManagerPolicy": "Static"}, 'memoryManagerPolicy "Static" is not supported, only "None" is'),
        ({"topologyManagerPolicy": "restricted"}, 'topologyManagerPolicy "restricted" is not supported, only "none" is'),
        ({"reservedSystemCPUs": "a"}, "unable to parse reservedSystemCPUs"),
        ({"reservedSystemCPUs": "0", "systemReservedCgroup": "/s"}, "can't use reservedSystemCPUs"),
    ],
)
def test_configurations_that_cannot_be_honoured_are_refused(given: Obj, why: str) -> None:
    assert [text for text in problems(with_defaults(given)) if why in text]


def test_the_machine_describes_itself(tmp_path: Path) -> None:
    for cpu, (siblings, package) in enumerate([("0,2", 0), ("1,3", 1), ("0,2", 0), ("1,3", 1)]):
        about = tmp_path / "cpu" / f"cpu{cpu}" / "topology"
        about.mkdir(parents=True)
        (about / "thread_siblings_list").write_text(f"{siblings}\n")
        (about / "physical_package_id").write_text(f"{package}\n")
    (tmp_path / "cpu" / "online").write_text("0-3\n")
    for node, cpus in enumerate(("0,2", "1,3")):
        (tmp_path / "node" / f"node{node}").mkdir(parents=True)
        (tmp_path / "node" / f"node{node}" / "cpulist").write_text(f"{cpus}\n")
    assert read(tmp_path).where == {0: Where(0, 0, 0), 1: Where(1, 1, 1), 2: Where(0, 0, 0), 3: Where(1, 1, 1)}
    assert checkpoint.FILE == "cpu_manager_state"
