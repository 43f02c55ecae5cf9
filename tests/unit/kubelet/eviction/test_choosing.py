"""Which pod goes when the node runs short, what it is told, and which pods exceed their own limits."""

from __future__ import annotations

from typing import Any

import pytest

from steersman.kubelet.admission import under_pressure
from steersman.kubelet.eviction import limits, wording
from steersman.kubelet.eviction.ranking import PodUse, Use, ranked
from steersman.kubelet.eviction.signals import Amount, Reading, Threshold
from steersman.machinery.meta import Obj

MIB = 1 << 20


def pod(name: str = "p", requests: Obj | None = None, limits: Obj | None = None, priority: int = 0, **spec: Any) -> Obj:
    resources = {"requests": requests or {}, "limits": limits or {}}
    return {
        "metadata": {"name": name, "uid": name, "resourceVersion": "1"},
        "spec": {"priority": priority, "containers": [{"name": "c", "resources": resources}], **spec},
    }


def uses(found: Obj, **use: int) -> PodUse:
    return PodUse(found, {"c": Use(**use)})


RANKS = {
    "who uses more than requested goes before who does not, whatever the priorities": (
        "memory.available", False, [
            uses(pod("within", {"memory": "1Gi"}, priority=-5), memory=900 * MIB),
            uses(pod("over", {"memory": "10Mi"}, priority=1000), memory=11 * MIB),
        ], ["over", "within"],
    ),
    "among those, the less important first": (
        "memory.available", False, [
            uses(pod("high", priority=10), memory=900 * MIB), uses(pod("low", priority=1), memory=1 * MIB),
        ], ["low", "high"],
    ),
    "among equals, who exceeds by more": (
        "memory.available", False, [
            uses(pod("much asked", {"memory": "800Mi"}), memory=900 * MIB), uses(pod("none asked"), memory=200 * MIB),
        ], ["none asked", "much asked"],
    ),
    "critical pods stay": (
        "memory.available", False, [uses(pod("critical", priority=2_000_000_000), memory=MIB), uses(pod("p"), memory=1)], ["p"],
    ),
    "on one disk all that is written counts": (
        "nodefs.available", False, [uses(pod("logs"), local=10), uses(pod("layers"), written=20)], ["layers", "logs"],
    ),
    "with a disk for images, logs and volumes count on the other": (
        "nodefs.available", True, [uses(pod("layers"), written=20), uses(pod("logs"), local=10)], ["logs", "layers"],
    ),
    "and writable layers on theirs": (
        "imagefs.available", True, [uses(pod("logs"), local=30), uses(pod("layers"), written=20)], ["layers", "logs"],
    ),
    "inodes are counted, not bytes": (
        "nodefs.inodesFree", False, [
            uses(pod("big"), local=99, local_inodes=1), uses(pod("many"), local=1, local_inodes=50),
        ], ["many", "big"],
    ),
    "processes: the less important, then who has more": (
        "pid.available", False, [
            uses(pod("few"), processes=1), uses(pod("many"), processes=9), uses(pod("low", priority=-1), processes=0),
        ], ["low", "many", "few"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("signal", "dedicated", "found", "order"), RANKS.values(), ids=RANKS)
def test_the_order_in_which_pods_go(signal: str, dedicated: bool, found: list[PodUse], order: list[str]) -> None:
    assert [each.pod["metadata"]["name"] for each in ranked(found, signal, dedicated=dedicated)] == order


def test_a_pod_is_told_in_upstreams_words() -> None:
    use = uses(pod(requests={"memory": "10Mi"}), memory=20 * MIB)
    threshold = Threshold("memory.available", Amount(100 * MIB))
    text, annotations = wording.low(use, threshold, Reading(90 * MIB, 1 << 30), dedicated=False)
    assert text == (
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 90Mi. "
        "Container c was using 20Mi, request is 10Mi, has larger consumption of memory. "
    )
    assert annotations == {
        "starved_resource": "memory", "offending_containers": "c", "offending_containers_usage": "20Mi",
    }  # fmt: skip


def test_who_keeps_to_its_requests_is_not_blamed() -> None:
    use = uses(pod(requests={"ephemeral-storage": "1Gi"}), local=5)
    threshold = Threshold("nodefs.available", Amount(share=0.1))
    text, annotations = wording.low(use, threshold, Reading(4096, 102400), dedicated=False)
    assert text == "The node was low on resource: ephemeral-storage. Threshold quantity: 10Ki, available: 4Ki. "
    assert annotations == {"starved_resource": "ephemeral-storage"}


VOLUME = [{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}]
LIMITS: dict[str, tuple[PodUse, str | None]] = {
    "an emptyDir over its limit": (
        PodUse(pod(volumes=VOLUME), {}, {"v": (MIB + 1, 1)}),
        'Usage of EmptyDir volume "v" exceeds the limit "1Mi". ',
    ),
    "an emptyDir at its limit": (PodUse(pod(volumes=VOLUME), {}, {"v": (MIB, 1)}), None),
    "an emptyDir in memory is the kernel's": (
        PodUse(pod(volumes=[{"name": "v", "emptyDir": {"sizeLimit": "1Mi", "medium": "Memory"}}]), {}, {"v": (9 * MIB, 1)}),
        None,
    ),
    "layer, logs and volumes together": (
        PodUse(pod(limits={"ephemeral-storage": "10Mi"}), {"c": Use(written=4 * MIB, local=3 * MIB)}, {"v": (4 * MIB, 1)}),
        "Pod ephemeral local storage usage exceeds the total limit of containers 10Mi. ",
    ),
    "one container of two": (
        PodUse(
            pod(containers=[
                {"name": "c", "resources": {"limits": {"ephemeral-storage": "1Mi"}}},
                {"name": "d", "resources": {"limits": {"ephemeral-storage": "9Mi"}}},
            ]),
            {"c": Use(written=MIB, local=1), "d": Use()},
        ),
        'Container c exceeded its local ephemeral storage limit "1Mi". ',
    ),
    "no limits": (uses(pod(), written=1 << 40), None),
}  # fmt: skip


@pytest.mark.parametrize(("use", "message"), LIMITS.values(), ids=LIMITS)
def test_what_exceeds_its_limits(use: PodUse, message: str | None) -> None:
    assert (limits.excess(use) or ("", None))[1] == message


TOLERATING = [{"key": "node.kubernetes.io/memory-pressure", "operator": "Exists"}]
ADMISSION = {
    "without requests, short of memory": (pod(), ["MemoryPressure"], True),
    "with requests, short of memory": (pod(requests={"memory": "1Mi"}), ["MemoryPressure"], False),
    "who tolerates it": (pod(tolerations=TOLERATING), ["MemoryPressure"], False),
    "short of disk as well": (pod(requests={"memory": "1Mi"}), ["MemoryPressure", "DiskPressure"], True),
    "short of processes": (pod(requests={"memory": "1Mi"}), ["PIDPressure"], True),
    "critical pods": (pod(priority=2_000_000_000), ["DiskPressure"], False),
}


@pytest.mark.parametrize(("found", "pressures", "refused"), ADMISSION.values(), ids=ADMISSION)
def test_which_pods_are_refused_under_pressure(found: Obj, pressures: list[str], refused: bool) -> None:
    assert under_pressure(found, pressures) is refused
