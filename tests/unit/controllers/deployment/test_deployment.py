"""Rollouts, carried out by the deployment and replicaset controllers on a dict-based API."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.controllers.world import World

from steersman.api.resources import DEPLOYMENTS, PODS, REPLICA_SETS
from steersman.controllers import deployment, replicaset
from steersman.controllers.deployment.replicasets import HASH_LABEL, HISTORY, REVISION, limits_of, replicas_of
from steersman.loop.spec import Create, Delete
from steersman.machinery.errors import Forbidden
from steersman.machinery.meta import (
    Obj,
    annotations_of,
    condition,
    dig,
    is_condition_true,
    is_deleting,
    labels_of,
    name_of,
    uid_of,
)

LABELS = {"app": "web"}


def manifest(replicas: int = 3, image: str = "v1", **spec: Any) -> Obj:
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": image}]}}
    return {
        "metadata": {"name": "web", "namespace": "default", "annotations": {"team": "a"}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": LABELS},
            "template": template,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
            **spec,
        },
    }


class Cluster(World):
    """The two controllers and a kubelet that may be told to stop."""

    def __init__(self) -> None:
        super().__init__(deployment.SPEC, *replicaset.SPECS)
        self.grace = lambda _: True
        self.kubelet = True

    def run(self) -> None:
        self.settle()
        while self.kubelet and self.kubelet_turn(self.list(PODS)):
            self.settle()

    def kubelet_turn(self, pods: list[Obj]) -> bool:
        todo = [pod for pod in pods if is_deleting(pod) or not is_condition_true(pod, "Ready")]
        for pod in todo:
            if is_deleting(pod):
                self.remove(PODS, name_of(pod))
            else:
                self.make_ready(pod)
        return bool(todo)

    @property
    def deployment(self) -> Obj:
        found = self.get(DEPLOYMENTS, "default", "web")
        assert found is not None
        return found

    def sizes(self) -> dict[str, int]:
        """image -> replicas."""
        return {rs["spec"]["template"]["spec"]["containers"][0]["image"]: replicas_of(rs) for rs in self.list(REPLICA_SETS)}

    def roll(self, image: str) -> None:
        def change(found: Obj) -> None:
            found["spec"]["template"] = manifest(image=image)["spec"]["template"]

        self.edit(DEPLOYMENTS, "web", change)

    def scale(self, replicas: int) -> None:
        self.edit(DEPLOYMENTS, "web", lambda found: found["spec"].update(replicas=replicas))

    def progressing(self) -> tuple[str, str]:
        found = condition(self.deployment, "Progressing")
        assert found is not None
        return found["status"], found["reason"]


def started(**spec: Any) -> Cluster:
    c = Cluster()
    c.put(DEPLOYMENTS, manifest(**spec))
    c.run()
    return c


def test_a_new_deployment_gets_a_hashed_replica_set_revision_one_and_becomes_available() -> None:
    c = started()
    (rs,) = c.list(REPLICA_SETS)
    value = labels_of(rs)[HASH_LABEL]
    assert name_of(rs) == f"web-{value}" and rs["spec"]["selector"]["matchLabels"] == {**LABELS, HASH_LABEL: value}
    assert annotations_of(rs) == {
        "team": "a",
        "deployment.kubernetes.io/revision": "1",
        "deployment.kubernetes.io/desired-replicas": "3",
        "deployment.kubernetes.io/max-replicas": "4",
    }
    assert annotations_of(c.deployment)[REVISION] == "1"
    status = {key: value for key, value in c.deployment["status"].items() if key != "conditions"}
    assert status == {
        "observedGeneration": 1,
        "replicas": 3,
        "updatedReplicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "terminatingReplicas": 0,
    }
    assert is_condition_true(c.deployment, "Available")
    assert c.progressing() == ("True", "NewReplicaSetAvailable")
    assert c.events("ScalingReplicaSet") == [f"Scaled up replica set {name_of(rs)} from 0 to 3"]


def test_a_finished_rollout_writes_nothing_more() -> None:
    c = started()
    c.writes.clear()
    assert c.reconcile(deployment.SPEC, ("default", "web")) == []


def test_a_rolling_update_completes_and_counts_revisions() -> None:
    c = started(replicas=10)
    c.roll("v2")
    c.run()
    assert c.sizes() == {"v1": 0, "v2": 10}
    assert annotations_of(c.deployment)[REVISION] == "2"
    assert c.progressing() == ("True", "NewReplicaSetAvailable")
    assert len(c.list(PODS)) == 10


def test_rolling_back_reuses_the_old_replica_set_under_a_new_revision() -> None:
    c = started()
    c.roll("v2")
    c.run()
    c.roll("v1")
    c.run()
    assert c.sizes() == {"v1": 3, "v2": 0}
    old = next(rs for rs in c.list(REPLICA_SETS) if replicas_of(rs) == 3)
    assert annotations_of(old)[REVISION] == "3" and annotations_of(old)[HISTORY] == "1"
    assert annotations_of(c.deployment)[REVISION] == "3"


def test_recreate_never_mixes_versions() -> None:
    c = started(strategy={"type": "Recreate"})
    mixed: list[int] = []

    def look() -> None:
        mixed.append(len({pod["spec"]["containers"][0]["image"] for pod in c.list(PODS)}))

    c.after_step = look
    c.roll("v2")
    c.run()
    assert c.sizes() == {"v1": 0, "v2": 3} and max(mixed) == 1


def test_history_beyond_the_limit_is_deleted_oldest_first() -> None:
    c = started(revisionHistoryLimit=1)
    for image in ("v2", "v3", "v4"):
        c.roll(image)
        c.run()
    assert c.sizes() == {"v3": 0, "v4": 3}


def test_a_paused_deployment_scales_but_does_not_roll_and_goes_on_when_resumed() -> None:
    c = started()
    c.edit(DEPLOYMENTS, "web", lambda found: found["spec"].update(paused=True))
    c.roll("v2")
    c.scale(5)
    c.run()
    assert c.sizes() == {"v1": 5} and c.progressing() == ("Unknown", "DeploymentPaused")
    c.edit(DEPLOYMENTS, "web", lambda found: found["spec"].update(paused=False))
    c.run()
    assert c.sizes() == {"v1": 0, "v2": 5}


def test_scaling_in_the_middle_of_a_rollout_is_proportional() -> None:
    c = started(replicas=10)
    c.kubelet = False
    c.roll("v2")
    c.run()
    assert c.sizes() == {"v1": 8, "v2": 5}
    c.scale(20)
    c.run()
    assert sum(c.sizes().values()) == 25
    assert c.sizes() == {"v1": 15, "v2": 10}
    c.kubelet = True
    c.run()
    assert c.sizes() == {"v1": 0, "v2": 20}


def test_changing_strategy_and_size_in_the_middle_of_a_rollout_still_completes() -> None:
    c = started(replicas=4)
    c.kubelet = False
    c.roll("v2")
    c.run()
    assert min(c.sizes().values()) > 0
    c.edit(DEPLOYMENTS, "web", lambda found: found["spec"].update(replicas=5, strategy={"type": "Recreate"}))
    c.kubelet = True
    c.run()
    assert c.sizes() == {"v1": 0, "v2": 5}


def test_the_progress_deadline_passes_and_a_later_success_clears_it() -> None:
    c = started()
    c.kubelet = False
    c.roll("v2")
    c.run()
    c.advance(400)
    c.run()
    assert c.progressing()[0] == "True"
    c.advance(300)
    c.run()
    assert c.progressing() == ("False", "ProgressDeadlineExceeded")
    c.kubelet = True
    c.run()
    assert c.progressing() == ("True", "NewReplicaSetAvailable")


def test_a_taken_name_raises_the_collision_count() -> None:
    c = Cluster()
    c.put(DEPLOYMENTS, manifest())
    c.settle()
    (rs,) = c.list(REPLICA_SETS)
    c = Cluster()
    c.put(REPLICA_SETS, {"metadata": {"name": name_of(rs)}, "spec": {"replicas": 0, "selector": {}, "template": {}}})
    c.put(DEPLOYMENTS, manifest())
    c.run()
    c.advance(2)
    c.run()
    assert c.deployment["status"]["collisionCount"] == 1
    assert len(c.list(PODS)) == 3


def test_a_replica_set_that_cannot_be_made_shows_in_the_conditions() -> None:
    c = Cluster()
    c.fault = lambda action: Forbidden.of("apps", "replicasets", "x", "no") if isinstance(action, Create) else None
    c.put(DEPLOYMENTS, manifest())
    c.run()
    assert c.progressing() == ("False", "ReplicaSetCreateError")
    assert c.events("ReplicaSetCreateError")[0].startswith('Failed to create new replica set "web-')


def test_an_empty_selector_is_refused() -> None:
    c = Cluster()
    c.put(DEPLOYMENTS, manifest(selector={}))
    c.run()
    assert c.events("SelectingAll") and not c.list(REPLICA_SETS)


def test_no_progressing_condition_without_a_deadline() -> None:
    c = started(progressDeadlineSeconds=2147483647)
    assert condition(c.deployment, "Progressing") is None


@pytest.mark.parametrize("seed", range(3))
def test_nothing_but_old_replica_sets_is_ever_deleted(seed: int) -> None:
    c = started(replicas=4, revisionHistoryLimit=0)
    rng = random.Random(seed)
    c.pick = lambda names: rng.randrange(len(names))
    c.roll("v2")
    c.run()
    new = next(rs for rs in c.list(REPLICA_SETS) if replicas_of(rs) == 4)
    assert all(action.uid != uid_of(new) for action in c.writes if isinstance(action, Delete))


PERCENT = st.sampled_from(["0%", "25%", "50%", "100%", 1, 2])


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.integers(1, 8), PERCENT, PERCENT, st.randoms(use_true_random=False))
def test_a_rolling_update_never_goes_below_availability_nor_above_the_surge(
    replicas: int, surge: int | str, unavailable: int | str, rng: random.Random
) -> None:
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    c = started(replicas=replicas, strategy={"type": "RollingUpdate", "rollingUpdate": rolling})
    limits = limits_of(c.deployment)

    def look() -> None:
        ready = sum(is_condition_true(pod, "Ready") and not is_deleting(pod) for pod in c.list(PODS))
        assert ready >= limits.least_available
        assert sum(c.sizes().values()) <= limits.most
        if rng.random() < 0.8 and c.list(PODS):
            c.kubelet_turn([rng.choice(c.list(PODS))])

    lagging = name_of(c.list(REPLICA_SETS)[0])

    def pick(names: Sequence[str]) -> int:
        """Mostly not the old ReplicaSet, so that its status is often behind its spec."""
        others = [index for index, name in enumerate(names) if name != lagging]
        return rng.choice(others) if others and rng.random() < 0.9 else rng.randrange(len(names))

    c.pick = pick
    c.after_step = look
    c.roll("v2")
    c.run()
    assert c.sizes() == {"v1": 0, "v2": replicas}
    assert dig(c.deployment, "status", "availableReplicas") == replicas


def test_conditions_that_somebody_wrote_without_a_time_are_made_whole() -> None:
    c = started()

    def bare(found: Obj) -> None:
        found["status"]["conditions"] = [{"type": kind, "status": "True"} for kind in ("Available", "Progressing")]

    c.edit(DEPLOYMENTS, "web", bare)
    c.roll("v2")
    c.run()
    assert c.progressing() == ("True", "NewReplicaSetAvailable")
    assert all(item["lastTransitionTime"] for item in c.deployment["status"]["conditions"])
