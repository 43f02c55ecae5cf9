"""Aggregated cluster roles, and claims and volumes that are in use."""

from __future__ import annotations

import pytest
from tests.unit.controllers.world import World

from steersman.api.resources import CLUSTER_ROLES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS
from steersman.apiserver.hooks import rbac_policy
from steersman.controllers import clusterroleaggregation, storageprotection
from steersman.loop.spec import Delete
from steersman.machinery.meta import Obj, is_deleting, name_of

GET, LIST = ({"verbs": [verb], "apiGroups": [""], "resources": ["pods"]} for verb in ("get", "list"))


def role(name: str, *rules: Obj, **labels: str) -> Obj:
    return {"metadata": {"name": name, "labels": labels}, "rules": list(rules)}


def test_an_aggregated_role_follows_the_roles_it_selects() -> None:
    w = World(clusterroleaggregation.SPEC)
    w.put(CLUSTER_ROLES, role("b", GET, LIST, to="all"))
    w.put(CLUSTER_ROLES, role("a", LIST, to="all"))
    w.put(CLUSTER_ROLES, role("other", GET))
    w.put(CLUSTER_ROLES, {**role("all", to="all"), "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to": "all"}}]}})
    w.settle()

    def rules() -> list[Obj]:
        found: list[Obj] = (w.get(CLUSTER_ROLES, "", "all") or {})["rules"]
        return found

    assert rules() == [LIST, GET]
    w.edit(CLUSTER_ROLES, "b", lambda found: found["metadata"].update(labels={}))
    w.settle()
    assert rules() == [LIST]
    w.remove(CLUSTER_ROLES, "a")
    w.settle()
    assert rules() == []


def test_the_default_roles_are_already_what_aggregation_makes_of_them() -> None:
    w = World(clusterroleaggregation.SPEC)
    for item in rbac_policy.cluster_roles():
        w.put(CLUSTER_ROLES, item)
    assert w.settle() and w.writes == []


POD: Obj = {
    "metadata": {"name": "p"},
    "spec": {"nodeName": "n", "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]},
    "status": {"phase": "Running"},
}


@pytest.mark.parametrize(("node", "phase", "stays"), [("n", "Running", True), ("", "Pending", False), ("n", "Failed", False)])
def test_a_claim_stays_while_a_pod_may_use_it(node: str, phase: str, stays: bool) -> None:
    w = World(*storageprotection.SPECS)
    w.put(PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": "data"}, "spec": {}})
    w.put(PODS, {**POD, "spec": {**POD["spec"], "nodeName": node}, "status": {"phase": phase}})
    w.settle()
    w._carry_out(Delete(PERSISTENT_VOLUME_CLAIMS, "default", "data"))
    w.settle()
    assert [is_deleting(claim) for claim in w.list(PERSISTENT_VOLUME_CLAIMS)] == ([True] if stays else [])
    w.remove(PODS, "p")
    w.settle()
    assert w.list(PERSISTENT_VOLUME_CLAIMS) == []


def test_the_claim_of_an_ephemeral_volume_is_held_by_its_pod() -> None:
    w = World(*storageprotection.SPECS)
    w.put(PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": "p-v"}, "spec": {}})
    w.put(PODS, {**POD, "spec": {"nodeName": "n", "volumes": [{"name": "v", "ephemeral": {}}]}})
    w.settle()
    w._carry_out(Delete(PERSISTENT_VOLUME_CLAIMS, "default", "p-v"))
    w.settle()
    assert [name_of(claim) for claim in w.list(PERSISTENT_VOLUME_CLAIMS)] == ["p-v"]


def test_a_bound_volume_stays() -> None:
    w = World(*storageprotection.SPECS)
    w.put(PERSISTENT_VOLUMES, {"metadata": {"name": "disk"}, "spec": {}, "status": {"phase": "Bound"}})
    w.settle()
    w._carry_out(Delete(PERSISTENT_VOLUMES, "", "disk"))
    w.settle()
    assert len(w.list(PERSISTENT_VOLUMES)) == 1
    w.edit(PERSISTENT_VOLUMES, "disk", lambda volume: volume["status"].update(phase="Released"))
    w.settle()
    assert w.list(PERSISTENT_VOLUMES) == []
