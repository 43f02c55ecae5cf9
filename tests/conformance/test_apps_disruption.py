"""[sig-apps] DisruptionController: budgets, and evictions that they allow or block."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.conformance.objects import SLEEP, named, pod
from tests.conformance.space import Space, eventually

from steersman.api.resources import POD_DISRUPTION_BUDGETS, PODS
from steersman.machinery.errors import TooManyRequests
from steersman.machinery.meta import Obj, dig, name_of

pytestmark = pytest.mark.root

DISRUPTION = "[sig-apps] DisruptionController"
LABELS = {"app": "w"}


def budget(space: Space, name: str = "w", **spec: int | str) -> Obj:
    made = named(name, {"budget": space.name}, spec={"selector": {"matchLabels": LABELS}, **spec})
    space.create(POD_DISRUPTION_BUDGETS, made)
    return space.until(POD_DISRUPTION_BUDGETS, name, processed)


def processed(it: Obj) -> bool:
    return bool(dig(it, "status", "observedGeneration") == it["metadata"]["generation"])


def allowed(count: int) -> Callable[[Obj], bool]:
    return lambda it: processed(it) and it["status"]["disruptionsAllowed"] == count


def pods(space: Space, count: int) -> list[str]:
    names = [f"pod-{number}" for number in range(count)]
    for name in names:
        space.create(PODS, pod(SLEEP, name=name, labels=LABELS))
    eventually(lambda: [it["status"]["phase"] for it in space.list(PODS)] == ["Running"] * count)
    return names


def change(space: Space, **spec: int | str) -> None:
    def update() -> Obj:
        found = space.get(POD_DISRUPTION_BUDGETS, "w")
        return space.update(POD_DISRUPTION_BUDGETS, {**found, "spec": {"selector": found["spec"]["selector"], **spec}})

    eventually(update)
    space.until(POD_DISRUPTION_BUDGETS, "w", processed)


@pytest.mark.conformance(f"{DISRUPTION} should create a PodDisruptionBudget [Conformance]")
def test_the_life_of_a_budget(space: Space) -> None:
    assert budget(space, minAvailable=1)["spec"]["minAvailable"] == 1
    change(space, minAvailable=2)
    assert space.get(POD_DISRUPTION_BUDGETS, "w")["spec"]["minAvailable"] == 2
    found = space.patch(POD_DISRUPTION_BUDGETS, "w", {"spec": {"minAvailable": "3%"}}, kind="strategic")
    assert found["spec"]["minAvailable"] == "3%"
    space.until(POD_DISRUPTION_BUDGETS, "w", processed)
    space.delete(POD_DISRUPTION_BUDGETS, "w")
    space.gone(POD_DISRUPTION_BUDGETS, "w")


@pytest.mark.conformance(f"{DISRUPTION} should observe PodDisruptionBudget status updated [Conformance]")
def test_a_budget_says_how_many_disruptions_it_allows(space: Space) -> None:
    budget(space, minAvailable=1)
    pods(space, 3)
    found = space.until(POD_DISRUPTION_BUDGETS, "w", allowed(2))
    numbers = {key: found["status"][key] for key in ("currentHealthy", "desiredHealthy", "expectedPods")}
    assert numbers == {"currentHealthy": 3, "desiredHealthy": 1, "expectedPods": 3}
    (condition,) = found["status"]["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == ("DisruptionAllowed", "True", "SufficientPods")


@pytest.mark.conformance(f"{DISRUPTION} should update/patch PodDisruptionBudget status [Conformance]")
def test_the_status_of_a_budget_is_changed(space: Space) -> None:
    (name,) = pods(space, 1)
    budget(space, minAvailable=1)
    space.until(POD_DISRUPTION_BUDGETS, "w", lambda it: it["status"]["expectedPods"] == 1)
    moment = space.get(PODS, name)["metadata"]["creationTimestamp"]

    def update() -> Obj:
        found = space.get(POD_DISRUPTION_BUDGETS, "w", subresource="status")
        found["status"]["disruptedPods"] = {name: moment}
        return space.update(POD_DISRUPTION_BUDGETS, found, subresource="status")

    assert eventually(update)["status"]["disruptedPods"] == {name: moment}
    change = {"status": {"disruptedPods": None}}
    found = space.patch(POD_DISRUPTION_BUDGETS, "w", change, subresource="status")
    assert not found["status"].get("disruptedPods") and found["status"]["expectedPods"] == 1


@pytest.mark.conformance(f"{DISRUPTION} should block an eviction until the PDB is updated to allow it [Conformance]")
def test_an_eviction_is_blocked_until_its_budget_allows_it(space: Space) -> None:
    first, second, _ = pods(space, 3)
    budget(space, minAvailable=3)
    space.until(POD_DISRUPTION_BUDGETS, "w", lambda it: it["status"]["currentHealthy"] == 3)

    def blocked(name: str) -> None:
        with pytest.raises(TooManyRequests, match="Cannot evict pod as it would violate the pod's disruption budget") as refused:
            space.evict(name)
        (cause,) = refused.value.causes
        assert cause["reason"] == "DisruptionBudget"

    blocked(first)
    change(space, minAvailable=2)
    space.until(POD_DISRUPTION_BUDGETS, "w", allowed(1))
    space.evict(first)
    space.gone(PODS, first)
    space.until(POD_DISRUPTION_BUDGETS, "w", allowed(0))
    blocked(second)
    space.patch(POD_DISRUPTION_BUDGETS, "w", {"spec": {"minAvailable": None, "maxUnavailable": 0}})
    space.until(POD_DISRUPTION_BUDGETS, "w", processed)
    blocked(second)
    space.delete(POD_DISRUPTION_BUDGETS, "w")
    space.evict(second)
    space.gone(PODS, second)


@pytest.mark.conformance(
    f"{DISRUPTION} Listing PodDisruptionBudgets for all namespaces should list and delete a collection of PodDisruptionBudgets "
    "[Conformance]"
)
def test_budgets_are_listed_and_deleted_together(space: Space) -> None:
    for number in (1, 2, 3):
        budget(space, f"b{number}", minAvailable=number)
    found = space.api.list(POD_DISRUPTION_BUDGETS, label_selector=f"budget={space.name}")["items"]
    assert [(name_of(it), it["spec"]["minAvailable"]) for it in found] == [("b1", 1), ("b2", 2), ("b3", 3)]
    space.delete_collection(POD_DISRUPTION_BUDGETS, f"budget={space.name}")
    assert space.list(POD_DISRUPTION_BUDGETS) == []
