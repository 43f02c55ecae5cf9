"""An autoscaler's turns: what it reads, asks for, and says. The target is kept as the Scale that the server would show."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.controllers.world import World

from steersman.api.resources import DEPLOYMENTS, HORIZONTAL_POD_AUTOSCALERS, POD_METRICS, PODS
from steersman.controllers import horizontalpodautoscaler
from steersman.loop.spec import FetchList, Update
from steersman.machinery.errors import Conflict, NotFound
from steersman.machinery.meta import Obj, condition, format_time

LABELS = {"app": "web"}
NO_CUSTOM = "unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered"


def resource(percent: int, name: str = "cpu") -> Obj:
    return {"type": "Resource", "resource": {"name": name, "target": {"type": "Utilization", "averageUtilization": percent}}}


PODS_METRIC: Obj = {
    "type": "Pods",
    "pods": {"metric": {"name": "hits"}, "target": {"type": "AverageValue", "averageValue": "1"}},
}


class Shop(World):
    """A target with pods that have been up for an hour, and an autoscaler for it."""

    def __init__(self, *metrics: Obj, replicas: int = 2, selector: str = "app=web", **spec: Any) -> None:
        super().__init__(horizontalpodautoscaler.spec())
        self.served = (DEPLOYMENTS,)
        scale = {"spec": {"replicas": replicas}, "status": {"replicas": replicas, "selector": selector}}
        self.put(DEPLOYMENTS, {"metadata": {"name": "web"}, **scale})
        for number in range(replicas):
            container = {"name": "app", "resources": {"requests": {"cpu": "100m", "memory": "1Mi"}}}
            name = f"web-{number}"
            self.put(PODS, {"metadata": {"name": name, "labels": LABELS}, "spec": {"containers": [container]}})
            self.make_ready(self.get(PODS, "default", name) or {})
            self.edit(PODS, name, lambda pod: pod["status"].update(startTime=format_time(self.now)))
        self.advance(3600)
        self.use(50)
        ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
        self.hpa({"scaleTargetRef": ref, "maxReplicas": 10, "metrics": list(metrics) or [resource(50)], **spec})
        self.settle()

    def hpa(self, spec: Obj, name: str = "web") -> None:
        self.put(HORIZONTAL_POD_AUTOSCALERS, {"metadata": {"name": name}, "spec": spec})

    def use(self, milli: int) -> None:
        """CPU of each pod from now on."""
        for pod in self.list(PODS):
            usage = {"cpu": f"{milli}m", "memory": "512Ki"}
            meta = {"name": pod["metadata"]["name"], "labels": LABELS}
            times = {"timestamp": format_time(self.now), "window": "15s"}
            self.put(POD_METRICS, {"metadata": meta, **times, "containers": [{"name": "app", "usage": usage}]})

    def turn(self, milli: int | None = None) -> Shop:
        if milli is not None:
            self.use(milli)
        self.advance(15)
        self.settle()
        return self

    @property
    def replicas(self) -> int:
        found = self.get(DEPLOYMENTS, "default", "web")
        return int(found["spec"]["replicas"]) if found else -1

    @property
    def status(self) -> Obj:
        found = self.get(HORIZONTAL_POD_AUTOSCALERS, "default", "web") or {}
        status: Obj = found.get("status") or {}
        return status

    def says(self, kind: str) -> tuple[str, str, str]:
        found = condition(self.status["conditions"], kind)
        return (found["status"], found["reason"], found["message"]) if found else ("", "", "")

    def told(self) -> list[tuple[str, str, str]]:
        return [(event.type, event.reason, event.message) for event in self.emitted]


VALID = "the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)"


def test_busy_pods_get_company() -> None:
    shop = Shop()
    assert shop.replicas == 2 and shop.told() == []
    assert shop.says("AbleToScale") == ("True", "ReadyForNewScale", "recommended size matches current size")
    assert shop.says("ScalingActive") == ("True", "ValidMetricFound", VALID)
    assert shop.says("ScalingLimited") == ("False", "DesiredWithinRange", "the desired count is within the acceptable range")
    shop.turn(100)
    assert shop.replicas == 4
    assert shop.says("AbleToScale") == (
        "True", "SucceededRescale", "the HPA controller was able to update the target scale to 4",
    )  # fmt: skip
    message = "New size: 4; reason: cpu resource utilization (percentage of request) above target"
    assert shop.told() == [("Normal", "SuccessfulRescale", message)]
    assert (shop.status["currentReplicas"], shop.status["desiredReplicas"]) == (2, 4)
    assert shop.status["lastScaleTime"] == format_time(shop.now)
    current = {"averageUtilization": 100, "averageValue": "100m"}
    assert shop.status["currentMetrics"] == [{"type": "Resource", "resource": {"name": "cpu", "current": current}}]


def test_idle_pods_go_when_it_has_been_quiet_for_five_minutes() -> None:
    shop = Shop(replicas=4)
    shop.turn(10)
    assert shop.replicas == 4
    assert shop.says("AbleToScale")[1:] == (
        "ScaleDownStabilized",
        "recent recommendations were higher than current one, applying the highest recent recommendation",
    )
    for _ in range(20):
        shop.turn()
    assert shop.replicas == 1 and shop.told() == [
        ("Normal", "SuccessfulRescale", "New size: 1; reason: All metrics below target")
    ]


def test_a_behavior_limits_the_pace_over_its_period() -> None:
    rules = {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}], "selectPolicy": "Max"}
    behavior = {"scaleUp": {"stabilizationWindowSeconds": 0, **rules}, "scaleDown": rules}
    shop = Shop(behavior=behavior)
    seen = [shop.turn(300).replicas for _ in range(5)]
    assert seen == [3, 3, 3, 3, 4]
    assert shop.says("ScalingLimited")[:2] == ("True", "ScaleUpLimit")


def test_the_largest_proposal_wins_and_averages_and_containers_count() -> None:
    average: Obj = {
        "type": "Resource",
        "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "128Ki"}},
    }
    target = {"type": "Utilization", "averageUtilization": 20}
    container: Obj = {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "app", "target": target}}
    shop = Shop(average, container, resource(50))
    assert shop.replicas == 4 and "memory resource above target" in shop.events()[0]  # 8, but at most twice as many
    assert shop.status["currentMetrics"][:2] == [
        {"type": "Resource", "resource": {"name": "memory", "current": {"averageValue": "524288"}}},
        {
            "type": "ContainerResource",
            "containerResource": {
                "name": "cpu", "container": "app", "current": {"averageUtilization": 50, "averageValue": "50m"},
            },
        },
    ]  # fmt: skip


def failing(shop: Shop) -> None:
    """The metrics API is not there."""
    missing = NotFound("the server could not find the requested resource", details={})
    shop.fault = lambda action: missing if isinstance(action, FetchList) else None


def test_without_metrics_nothing_is_done_and_everything_is_told() -> None:
    shop = Shop()
    for pod in shop.list(POD_METRICS):
        shop.remove(POD_METRICS, pod["metadata"]["name"])
    shop.turn()
    cause = "failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from resource metrics API"
    whole = f"invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: {cause}"
    assert shop.told() == [
        ("Warning", "FailedGetResourceMetric", cause),
        ("Warning", "FailedComputeMetricsReplicas", whole),
    ]
    assert shop.says("ScalingActive") == (
        "False", "FailedGetResourceMetric", f"the HPA was unable to compute the replica count: {cause}",
    )  # fmt: skip
    failing(shop)
    shop.turn()
    assert shop.events()[-2].endswith(
        "unable to fetch metrics from resource metrics API: the server could not find the requested resource"
        " (get pods.metrics.k8s.io)"
    )
    assert shop.replicas == 2


@pytest.mark.parametrize(
    ("metric", "reason", "cause"),
    [
        (PODS_METRIC, "FailedGetPodsMetric", f"unable to get metric hits: {NO_CUSTOM}"),
        (
            {"type": "Object", "object": {
                "metric": {"name": "hits"}, "target": {}, "describedObject": {"kind": "Ingress", "name": "x"},
            }},
            "FailedGetObjectMetric",
            f"unable to get metric hits: Ingress on default x/{NO_CUSTOM}",
        ),
        (
            {"type": "External", "external": {
                "metric": {"name": "queue", "selector": {"matchLabels": {"a": "b"}}}, "target": {"averageValue": "1"},
            }},
            "FailedGetExternalMetric",
            "failed to get queue external metric: unable to get external metric default/queue/&LabelSelector{MatchLabels:"
            "map[string]string{a: b,},MatchExpressions:[]LabelSelectorRequirement{},}: unable to fetch metrics from external "
            "metrics API: the server could not find the requested resource (get queue.external.metrics.k8s.io)",
        ),
    ],
)  # fmt: skip
def test_metrics_of_add_ons_that_are_not_there(metric: Obj, reason: str, cause: str) -> None:
    shop = Shop(metric)
    assert shop.says("ScalingActive") == ("False", reason, f"the HPA was unable to compute the replica count: {cause}")
    assert shop.told()[0] == ("Warning", reason, cause)
    assert shop.replicas == 2


def test_while_one_metric_fails_the_others_scale_up_but_not_down() -> None:
    shop = Shop(PODS_METRIC, resource(50), replicas=4)
    shop.turn(100)
    assert shop.replicas == 8 and shop.says("ScalingActive")[1] == "ValidMetricFound"
    assert [metric["type"] for metric in shop.status["currentMetrics"]] == ["", "Resource"]
    shop = Shop(PODS_METRIC, resource(50), replicas=4)
    for _ in range(30):
        shop.turn(1)
    assert shop.replicas == 4 and shop.says("ScalingActive")[1] == "FailedGetPodsMetric"
    assert shop.events()[-1].startswith("invalid metrics (1 invalid out of 2), first error is: failed to get pods metric value: ")


@pytest.mark.parametrize(
    ("what", "given", "replicas", "reason"),
    [
        ("zero switches it off", {"replicas": 0}, 0, ""),
        ("above the maximum", {"replicas": 12}, 10, "Current number of replicas above Spec.MaxReplicas"),
        ("below the minimum", {"minReplicas": 5}, 5, "Current number of replicas below Spec.MinReplicas"),
    ],
)
def test_bounds_come_before_metrics(what: str, given: dict[str, Any], replicas: int, reason: str) -> None:
    shop = Shop(**given)
    assert shop.replicas == replicas
    assert shop.events() == ([f"New size: {replicas}; reason: {reason}"] if reason else [])
    if not reason:
        text = "scaling is disabled since the replica count of the target is zero"
        assert shop.says("ScalingActive") == ("False", "ScalingDisabled", text)


def test_targets_that_cannot_be_scaled() -> None:
    shop = Shop(selector="")
    text = "the HPA target's scale is missing a selector"
    assert shop.says("ScalingActive") == ("False", "InvalidSelector", text)
    assert [reason for _, reason, _ in shop.told()] == ["SelectorRequired", "FailedComputeMetricsReplicas"]
    shop = Shop(scaleTargetRef={"apiVersion": "apps/v1", "kind": "Deployment", "name": "gone"})
    prefix = "the HPA controller was unable to get the target's current scale: "
    assert shop.says("AbleToScale") == ("False", "FailedGetScale", f'{prefix}deployments.apps "gone" not found')
    assert shop.told() == [("Warning", "FailedGetScale", 'deployments.apps "gone" not found')]
    shop = Shop(scaleTargetRef={"apiVersion": "example.com/v1", "kind": "Boat", "name": "x"})
    assert shop.says("AbleToScale")[2] == f'{prefix}no matches for kind "Boat" in group "example.com"'


def test_two_autoscalers_for_the_same_pods_do_nothing() -> None:
    shop = Shop()
    shop.hpa((shop.get(HORIZONTAL_POD_AUTOSCALERS, "default", "web") or {})["spec"], name="twin")
    shop.settle()
    shop.turn(100)
    text = "pods by selector app=web are controlled by multiple HPAs: [{twin default} {web default}]"
    assert shop.says("ScalingActive") == ("False", "AmbiguousSelector", text) and shop.replicas == 2
    shop.remove(HORIZONTAL_POD_AUTOSCALERS, "twin")
    shop.turn()
    assert shop.replicas == 4


def test_a_scale_that_cannot_be_written_is_told_and_tried_again() -> None:
    shop = Shop()
    conflict = Conflict.of("apps", "deployments", "web")
    shop.fault = lambda action: conflict if isinstance(action, Update) and action.subresource == "scale" else None
    shop.turn(100)
    assert shop.replicas == 2
    assert shop.says("AbleToScale") == (
        "False", "FailedUpdateScale", f"the HPA controller was unable to update the target scale: {conflict}",
    )  # fmt: skip
    assert shop.told()[0][:2] == ("Warning", "FailedRescale")
    shop.fault = lambda _: None
    assert shop.turn().replicas == 4


def test_a_turn_comes_every_fifteen_seconds_or_when_the_spec_changes() -> None:
    shop = Shop()
    shop.use(100)
    for _ in range(14):
        shop.advance(1)
        shop.settle()
    assert shop.replicas == 2
    quiet = len(shop.writes)
    shop.edit(HORIZONTAL_POD_AUTOSCALERS, "web", lambda hpa: hpa["spec"].update(maxReplicas=3))
    shop.settle()
    assert shop.replicas == 3 and len(shop.writes) > quiet
    assert shop.says("ScalingLimited")[1] == "TooManyReplicas"
    for _ in range(3):
        shop.turn()
    done = len(shop.writes)
    shop.turn()
    assert len(shop.writes) == done  # nothing new: nothing written
