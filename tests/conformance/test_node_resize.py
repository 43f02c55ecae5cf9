"""[sig-node] Pod InPlace Resize Container: pods whose cpu and memory change while they run (KEP-1287)."""

from __future__ import annotations

from functools import partial

import pytest
from tests.conformance.objects import SLEEP, container
from tests.conformance.space import Space, eventually

from steersman.api.resources import PODS
from steersman.kubelet.resize.amounts import same
from steersman.machinery.meta import Obj, condition

pytestmark = pytest.mark.root

LEAD = "[sig-node] Pod InPlace Resize Container"
SINCE = "[MinimumKubeletVersion:1.34] [Conformance]"
MIB = 1 << 20


def sized(cpu: str = "", memory: str = "", cpu_limit: str = "", memory_limit: str = "") -> Obj:
    """A resources block of what is given."""
    sides = {"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": cpu_limit, "memory": memory_limit}}
    made = {side: {key: amount for key, amount in listed.items() if amount} for side, listed in sides.items()}
    return {side: listed for side, listed in made.items() if listed}


def fixed(cpu: str, memory: str) -> Obj:
    """Requests equal to limits."""
    return sized(cpu, memory, cpu, memory)


def start(space: Space, listed: list[Obj]) -> Obj:
    containers = [container(SLEEP, name=f"c{number}", resources=each) for number, each in enumerate(listed, 1)]
    spec = {"terminationGracePeriodSeconds": 0, "containers": containers}
    return space.running({"metadata": {"name": "pod"}, "spec": spec})


def shown(pod: Obj) -> dict[str, Obj]:
    """What the status says is in force, by container."""
    return {item["name"]: item.get("resources") or {} for item in pod["status"]["containerStatuses"]}


def is_resized(pod: Obj, listed: list[Obj]) -> bool:
    wanted = {f"c{number}": each for number, each in enumerate(listed, 1)}
    going_on = [kind for kind in ("PodResizePending", "PodResizeInProgress") if condition(pod, kind) is not None]
    return same(shown(pod), wanted) and not going_on and pod["status"]["observedGeneration"] == pod["metadata"]["generation"]


def resized(space: Space, listed: list[Obj]) -> Obj:
    """Patch, wait until it is in force, and look at the containers' cgroups."""
    before = space.get(PODS, "pod")
    wanted = [{"name": f"c{number}", "resources": each} for number, each in enumerate(listed, 1)]
    patched = space.patch(PODS, "pod", {"spec": {"containers": wanted}}, kind="strategic", subresource="resize")
    assert patched["metadata"]["generation"] == before["metadata"]["generation"] + 1
    after = space.until(PODS, "pod", lambda it: is_resized(it, listed))
    for was, now in zip(before["status"]["containerStatuses"], after["status"]["containerStatuses"], strict=True):
        assert (now["containerID"], now["restartCount"]) == (was["containerID"], 0)
    for item, each in zip(after["status"]["containerStatuses"], listed, strict=True):
        assert same({"": {"requests": item.get("allocatedResources") or {}}}, {"": {"requests": each.get("requests") or {}}})
    for number, each in enumerate(listed, 1):
        limits_hold(space, f"c{number}", each)
    return after


def limits_hold(space: Space, name: str, resources: Obj) -> None:
    """The kernel's own numbers, of cgroup v1 or v2."""
    limits = resources.get("limits") or {}
    if memory := limits.get("memory"):
        files = "/sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max"
        said = space.exec("pod", "sh", "-c", f"cat {files} 2>/dev/null; true", container=name).split()
        assert said == [str(int(memory.removesuffix("Mi")) * MIB)]
    if cpu := limits.get("cpu"):
        files = "/sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max"
        said = space.exec("pod", "sh", "-c", f"cat {files} 2>/dev/null; true", container=name).split()
        assert said[0] == str(max(int(cpu.removesuffix("m")) * 100, 1000))


def there_and_back(space: Space, before: list[Obj], after: list[Obj]) -> None:
    start(space, before)
    resized(space, after)
    resized(space, before)


@pytest.mark.conformance(
    f"{LEAD} guaranteed pods with multiple containers "
    f"3 containers - increase cpu & mem on c1, c2, decrease cpu & mem on c3 - net increase {SINCE}"
)
def test_three_containers_with_a_net_increase(space: Space) -> None:
    before = [fixed("20m", "35Mi"), fixed("22m", "37Mi"), fixed("24m", "39Mi")]
    there_and_back(space, before, [fixed("25m", "40Mi"), fixed("27m", "42Mi"), fixed("19m", "34Mi")])


@pytest.mark.conformance(
    f"{LEAD} guaranteed pods with multiple containers "
    f"3 containers - increase cpu & mem on c1, decrease cpu & mem on c2, c3 - net decrease {SINCE}"
)
def test_three_containers_with_a_net_decrease(space: Space) -> None:
    before = [fixed("20m", "35Mi"), fixed("22m", "37Mi"), fixed("24m", "39Mi")]
    there_and_back(space, before, [fixed("25m", "40Mi"), fixed("17m", "32Mi"), fixed("19m", "34Mi")])


@pytest.mark.conformance(
    f"{LEAD} guaranteed pods with multiple containers "
    f"3 containers - increase: CPU (c1,c3), memory (c2, c3) ; decrease: CPU (c2) {SINCE}"
)
def test_three_containers_each_another_way(space: Space) -> None:
    before = [fixed("20m", "35Mi"), fixed("22m", "37Mi"), fixed("24m", "39Mi")]
    there_and_back(space, before, [fixed("25m", "35Mi"), fixed("17m", "42Mi"), fixed("29m", "44Mi")])


@pytest.mark.conformance(
    f"{LEAD} burstable pods - extended 6 containers - various operations performed (including adding limits and requests) {SINCE}"
)
def test_limits_and_requests_are_added(space: Space) -> None:
    start(space, [sized("20m"), sized("", "35Mi"), sized("20m", "35Mi"), sized("20m"), sized("", "35Mi"), {}])
    resized(space, [
        sized("25m", cpu_limit="35m"), sized("", "30Mi", memory_limit="50Mi"), sized("20m", "30Mi"),
        sized("15m", "35Mi"), sized("20m", "40Mi"), sized("20m", "35Mi"),
    ])  # fmt: skip


@pytest.mark.conformance(f"{LEAD} burstable pods - extended resize with equivalents {SINCE}")
def test_amounts_that_are_the_same_to_the_kernel(space: Space) -> None:
    there_and_back(space, [sized("2m", cpu_limit="10m")], [sized("1m", cpu_limit="5m")])


@pytest.mark.conformance(f"{LEAD} resize pod via the replace endpoint {SINCE}")
def test_the_resize_is_replaced_and_read(space: Space) -> None:
    start(space, [fixed("20m", "35Mi")])

    def replace() -> Obj:
        """Between reading and writing the kubelet may write the status: a conflict."""
        sent = space.get(PODS, "pod", subresource="resize")
        sent["spec"]["containers"][0]["resources"] = fixed("25m", "40Mi")
        return space.update(PODS, sent, subresource="resize")

    eventually(replace)
    space.until(PODS, "pod", lambda it: is_resized(it, [fixed("25m", "40Mi")]))
    eventually(lambda: space.get(PODS, "pod", subresource="resize") == space.get(PODS, "pod"))
    limits_hold(space, "c1", fixed("25m", "40Mi"))


def test_a_container_is_restarted_with_other_memory(space: Space) -> None:
    policy = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
    one = container(SLEEP, name="c1", resources=fixed("20m", "35Mi"), resizePolicy=policy)
    space.running({"metadata": {"name": "pod"}, "spec": {"terminationGracePeriodSeconds": 0, "containers": [one]}})
    for restarts, amounts in enumerate([fixed("20m", "45Mi"), fixed("20m", "30Mi")], 1):
        wanted = {"spec": {"containers": [{"name": "c1", "resources": amounts}]}}
        space.patch(PODS, "pod", wanted, kind="strategic", subresource="resize")
        found = space.until(PODS, "pod", partial(is_resized, listed=[amounts]))
        assert found["status"]["containerStatuses"][0]["restartCount"] == restarts
        limits_hold(space, "c1", amounts)


def test_a_resize_that_does_not_fit_waits_for_room(space: Space) -> None:
    node_cpu = int(space.kubectl("get", "nodes", "-o", "jsonpath={.items[0].status.allocatable.cpu}"))
    start(space, [sized(f"{node_cpu * 300}m")])
    other = container(SLEEP, name="main", resources=sized(f"{node_cpu * 300}m"))
    space.running({"metadata": {"name": "other"}, "spec": {"terminationGracePeriodSeconds": 0, "containers": [other]}})
    wanted = {"spec": {"containers": [{"name": "c1", "resources": sized(f"{node_cpu * 800}m")}]}}
    space.patch(PODS, "pod", wanted, kind="strategic", subresource="resize")
    found = space.until(PODS, "pod", lambda it: condition(it, "PodResizePending") is not None)
    pending = condition(found, "PodResizePending") or {}
    assert pending["reason"] == "Deferred" and pending["message"].startswith("Node didn't have enough resource: cpu, requested: ")
    space.delete(PODS, "other")
    space.until(PODS, "pod", lambda it: is_resized(it, [sized(f"{node_cpu * 800}m")]))
