"""What is wrong with budgets, runtime classes, autoscalers, flow schemas and certificate requests, in upstream's words."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from steersman.api.groups import BUILTIN
from steersman.api.groups.autoscaling import AUTOSCALERS
from steersman.api.groups.certificates_v1 import CERTIFICATE_SIGNING_REQUESTS
from steersman.api.groups.flowcontrol_v1 import FLOW_SCHEMAS, PRIORITY_LEVEL_CONFIGURATIONS
from steersman.api.groups.node_v1 import RUNTIME_CLASSES
from steersman.api.groups.policy_v1 import POD_DISRUPTION_BUDGETS
from steersman.api.hpa_conversion import from_v2, to_v2
from steersman.api.kinds import KindSpec
from steersman.api.strategies.later import Later
from steersman.machinery.meta import Obj

TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
FLOW: Obj = {"priorityLevelConfiguration": {"name": "a"}}
QUEUING = "spec.limited.limitResponse.queuing"
SIGNER = "spec.signerName"


def made(kind: KindSpec, fields: Obj, name: str = "x") -> Obj:
    obj: Obj = {"kind": kind.kind, "metadata": {"name": name}, **copy.deepcopy(fields)}
    kind.default(obj)
    kind.strategy.prepare_create(obj)
    return obj


def found(kind: KindSpec, fields: Obj, name: str = "x") -> list[str]:
    return [str(error) for error in kind.strategy.validate_create(made(kind, fields, name))]


@pytest.mark.parametrize("spec", BUILTIN, ids=lambda spec: f"{spec.resource.qualified}-{spec.resource.version}")
def test_validations_that_are_imported_late_are_there(spec: KindSpec) -> None:
    strategy = spec.strategy
    functions = [getattr(strategy, name) for name in strategy.__slots__] + [part[1] for part in strategy.parts.values()]
    for function in functions:
        if isinstance(function, Later):
            assert callable(function.resolve())


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"minAvailable": "50%", "selector": {}}, []),
        ({"minAvailable": 1, "maxUnavailable": 1}, [
            'spec: Invalid value: {"minAvailable":1,"maxUnavailable":1}: minAvailable and maxUnavailable cannot be both set'
        ]),
        ({"maxUnavailable": "101%"}, ['spec.maxUnavailable: Invalid value: "101%": must not be greater than 100%']),
        ({"unhealthyPodEvictionPolicy": "Never"}, [
            'spec.unhealthyPodEvictionPolicy: Unsupported value: "Never": supported values: "AlwaysAllow", "IfHealthyBudget"'
        ]),
    ],
)  # fmt: skip
def test_a_budget_is_either_what_stays_or_what_may_go(spec: Obj, expected: list[str]) -> None:
    assert found(POD_DISRUPTION_BUDGETS, {"spec": spec}) == expected


def test_conditions_of_a_budget_are_whole() -> None:
    condition = {"type": "A", "status": "True", "reason": "R", "lastTransitionTime": "2024-01-01T00:00:00Z"}
    status = {"disruptionsAllowed": -1, "conditions": [condition, {"type": "A", "status": "Maybe", "reason": "-"}]}
    new = {**made(POD_DISRUPTION_BUDGETS, {"spec": {}}), "status": status}
    texts = [str(error) for error in POD_DISRUPTION_BUDGETS.strategy.validate_status_update(new, new)]
    assert texts[:3] == [
        'status.conditions[1].type: Duplicate value: "A"',
        'status.conditions[1].status: Unsupported value: "Maybe": supported values: "False", "True", "Unknown"',
        "status.conditions[1].lastTransitionTime: Required value: must be set",
    ]
    assert texts[3].startswith('status.conditions[1].reason: Invalid value: "-": a condition reason must start with alphabetic')
    assert texts[4:] == ["status.disruptionsAllowed: Invalid value: -1: must be greater than or equal to 0"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"handler": "kata", "overhead": {"podFixed": {"cpu": "1"}}}, []),
        ({}, ["handler: Required value"]),
        ({"handler": "a", "overhead": {"podFixed": {"cpu": "-1"}}}, [
            'overhead.podFixed.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0'
        ]),
        ({"handler": "a", "scheduling": {"tolerations": [{"key": "b"}, {"key": "b"}]}}, [
            'scheduling.tolerations[1]: Duplicate value: {"key":"b"}'
        ]),
    ],
)  # fmt: skip
def test_a_runtime_class_names_a_handler(fields: Obj, expected: list[str]) -> None:
    assert found(RUNTIME_CLASSES, fields) == expected


def metric(kind: str, **source: Any) -> Obj:
    key = kind[:1].lower() + kind[1:]
    return {"metrics": [{"type": kind, key: source}]}


UTILIZATION = {"type": "Utilization", "averageUtilization": 50}
M = "spec.metrics[0]"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        ({"minReplicas": 0}, ["spec.minReplicas: Invalid value: 0: must be greater than or equal to 1"]),
        ({"minReplicas": 9}, ["spec.maxReplicas: Invalid value: 5: must be greater than or equal to `minReplicas`"]),
        ({"maxReplicas": 0}, [
            "spec.maxReplicas: Required value: must be set and greater than 0",
            "spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`",
        ]),
        ({"scaleTargetRef": {"kind": "Deployment"}}, [
            "spec.scaleTargetRef.name: Required value",
            'spec.scaleTargetRef.apiVersion: Invalid value: "": apiVersion must specify API group',
        ]),
        ({"scaleTargetRef": {"kind": "ReplicationController", "name": "a", "apiVersion": "v1"}}, []),
        ({"behavior": {"scaleUp": {"stabilizationWindowSeconds": 3601, "policies": [{"type": "Pods", "periodSeconds": 1801}]}}}, [
            "spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600",
            "spec.behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero",
            "spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800",
        ]),
        ({"metrics": [{}]}, [f"{M}.type: Required value: must specify a metric source type"]),
        ({"metrics": [{"type": "Pods", "resource": {}}]}, [
            f"{M}.resource: Forbidden: must populate the given metric source only",
            f"{M}.pods: Required value: must populate information for the given metric source",
        ]),
        (metric("Resource", name="cpu", target=UTILIZATION), []),
        (metric("Resource", target={"type": "Much"}), [
            f"{M}.resource.name: Required value: must specify a resource name",
            f'{M}.resource.target.type: Invalid value: "Much": must be either Utilization, Value, or AverageValue',
            f"{M}.resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization",
        ]),
        (metric("Pods", metric={"name": "hits"}, target={"type": "AverageValue", "averageValue": "0"}), [
            f'{M}.pods.target.averageValue: Invalid value: "0": must be positive',
            f"{M}.pods.target.averageValue: Required value: must specify a positive target averageValue",
        ]),
        (metric("Object", metric={}, describedObject=TARGET, target={"type": "Value"}), [
            f"{M}.object.metric.name: Required value: must specify a metric name",
            f"{M}.object.target.averageValue: Required value: must set either a target value or averageValue",
        ]),
    ],
)  # fmt: skip
def test_an_autoscaler_knows_what_to_aim_for(spec: Obj, expected: list[str]) -> None:
    assert found(AUTOSCALERS, {"spec": {"scaleTargetRef": TARGET, "maxReplicas": 5, **spec}}) == expected


def test_behavior_is_filled_up_once_there_is_any() -> None:
    assert "behavior" not in made(AUTOSCALERS, {"spec": {}})["spec"]
    policies = [{"type": "Pods", "value": 1, "periodSeconds": 1}]
    behavior = made(AUTOSCALERS, {"spec": {"behavior": {"scaleUp": {"policies": policies}}}})["spec"]["behavior"]
    assert behavior["scaleUp"] == {"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": policies}
    down = [{"type": "Percent", "value": 100, "periodSeconds": 15}]
    assert behavior["scaleDown"] == {"selectPolicy": "Max", "policies": down}


METRICS: list[Obj] = [
    {"type": "External", "external": {"metric": {"name": "q", "selector": {"matchLabels": {"a": "b"}}},
                                      "target": {"type": "Value", "value": "5"}}},
    {"type": "Object", "object": {"metric": {"name": "r"}, "describedObject": TARGET,
                                  "target": {"type": "AverageValue", "averageValue": "3"}}},
    {"type": "ContainerResource", "containerResource": {"name": "memory", "container": "c", "target": UTILIZATION}},
    {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "100m"}}},
]  # fmt: skip


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: str(metric["type"]))
def test_every_kind_of_metric_survives_the_older_version(metric: Obj) -> None:
    new = {"apiVersion": "autoscaling/v2", "metadata": {"name": "x"}, "spec": {"scaleTargetRef": TARGET, "metrics": [metric]}}
    old = from_v2(new)
    assert "metrics" not in old["spec"] and to_v2(old) == new


def test_the_older_version_always_counts_replicas() -> None:
    new = {
        "apiVersion": "autoscaling/v2",
        "metadata": {"name": "x"},
        "spec": {"maxReplicas": 1},
        "status": {"desiredReplicas": 2},
    }
    assert from_v2(new)["status"] == {"currentReplicas": 0, "desiredReplicas": 2}


def test_annotations_of_the_older_version_that_are_no_json_count_for_nothing() -> None:
    broken = {f"autoscaling.alpha.kubernetes.io/{name}": "{" for name in ("metrics", "behavior", "conditions")}
    old = {"metadata": {"name": "x", "annotations": {**broken, "a": "b"}}, "spec": {"maxReplicas": 1}}
    assert to_v2(old) == {
        "apiVersion": "autoscaling/v2", "metadata": {"name": "x", "annotations": {"a": "b"}}, "spec": {"maxReplicas": 1},
        "status": {},
    }  # fmt: skip


def rules(**fields: Any) -> Obj:
    subjects = [{"kind": "User", "user": {"name": "a"}}]
    return FLOW | {"rules": [{"subjects": subjects, **fields}]}


@pytest.mark.parametrize(
    ("name", "spec", "expected"),
    [
        ("x", FLOW, []),
        ("x", {"matchingPrecedence": 10001}, [
            "spec.matchingPrecedence: Invalid value: 10001: must not be greater than 10000",
            "spec.priorityLevelConfiguration.name: Required value: must reference a priority level",
        ]),
        ("x", FLOW | {"matchingPrecedence": 1}, [
            "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1"
        ]),
        ("x", rules(), ["spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules has to be non-empty"]),
        ("x", rules(resourceRules=[{"verbs": ["fly"], "apiGroups": ["*", ""], "resources": ["pods"]}]), [
            'spec.rules[0].resourceRules[0].verbs: Unsupported value: ["fly"]: supported values: "*", "create", "delete", '
            '"deletecollection", "get", "list", "patch", "proxy", "update", "watch"',
            'spec.rules[0].resourceRules[0].apiGroups: Invalid value: ["*",""]: if \'*\' is present, must not specify other '
            "api groups",
            "spec.rules[0].resourceRules[0].namespaces: Required value: resource rules that are not cluster scoped must supply "
            "at least one namespace",
        ]),
        ("x", rules(subjects=[{"kind": "Group", "user": {"name": "a"}}], nonResourceRules=[{"verbs": ["*"],
                                                                                          "nonResourceURLs": ["/a*b"]}]), [
            "spec.rules[0].subjects[0].group: Required value: group is required when subject kind is 'Group'",
            "spec.rules[0].subjects[0].user: Forbidden: user is forbidden when subject kind is not 'User'",
            'spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: "/a*b": wildcard can only do suffix matching',
        ]),
        ("catch-all", FLOW, [
            'spec: Invalid value: {"priorityLevelConfiguration":{"name":"a"},"matchingPrecedence":1000}: '
            "spec of 'catch-all' must equal the fixed value"
        ]),
    ],
)  # fmt: skip
def test_a_flow_schema_says_whose_requests_it_means(name: str, spec: Obj, expected: list[str]) -> None:
    assert found(FLOW_SCHEMAS, {"spec": spec}, name) == expected


def queue(**fields: Any) -> Obj:
    return {"type": "Limited", "limited": {"limitResponse": {"type": "Queue", "queuing": fields}}}


@pytest.mark.parametrize(
    ("name", "spec", "expected"),
    [
        ("x", queue(), []),
        ("x", {"type": "Limited"}, ["spec.limited: Required value: must not be empty when type is Limited"]),
        ("x", {"type": "Exempt", "exempt": {}}, [
            'spec.type: Invalid value: "Exempt": type must be \'Exempt\' if and only if name is \'exempt\''
        ]),
        ("x", queue(queues=4), [f"{QUEUING}.handSize: Invalid value: 8: should not be greater than queues (4)"]),
        ("x", queue(queues=1024, handSize=7), [
            f"{QUEUING}.handSize: Invalid value: 7: required entropy bits of deckSize 1024 and handSize 7 should not be greater "
            "than 60"
        ]),
        ("x", {"type": "Limited", "limited": {"lendablePercent": 101, "limitResponse": {"type": "Reject"}}}, [
            "spec.limited.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive"
        ]),
        ("exempt", {"type": "Exempt", "exempt": {"lendablePercent": 50}}, []),
    ],
)  # fmt: skip
def test_a_priority_level_can_be_served(name: str, spec: Obj, expected: list[str]) -> None:
    assert found(PRIORITY_LEVEL_CONFIGURATIONS, {"spec": spec}, name) == expected


NO_PEM = 'spec.request: Invalid value: "AQ==": PEM block type must be CERTIFICATE REQUEST'


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"usages": ["client auth"], "signerName": "example.com/a"}, [NO_PEM]),
        ({"usages": ["any", "any", "fun"], "signerName": "nobody", "expirationSeconds": 5}, [
            NO_PEM,
            'spec.usages[1]: Duplicate value: "any"',
            "spec.usages[2]: Unsupported value",
            f'{SIGNER}: Invalid value: "nobody": must be a fully qualified domain and path of the form ',
            "spec.expirationSeconds: Invalid value: 5: may not specify a duration less than 600 seconds (10 minutes)",
        ]),
        ({"signerName": "kubernetes.io/legacy-unknown"}, [
            NO_PEM,
            "spec.usages: Required value: usages must be provided",
            f'{SIGNER}: Invalid value: "kubernetes.io/legacy-unknown": the legacy signerName is not allowed via this API version',
        ]),
        ({"usages": ["any"], "signerName": "local/a"}, [
            NO_PEM, f'{SIGNER}: Invalid value: "local": should be a domain with at least two segments separated by dots'
        ]),
    ],
)  # fmt: skip
def test_a_certificate_request_says_what_for_and_by_whom(spec: Obj, expected: list[str]) -> None:
    texts = found(CERTIFICATE_SIGNING_REQUESTS, {"spec": {"request": "AQ==", **spec}})
    assert len(texts) == len(expected) and all(text.startswith(start) for text, start in zip(texts, expected)), texts


def test_an_approval_is_not_taken_back_nor_contradicted() -> None:
    approved = {"type": "Approved", "status": "True"}
    old = {"status": {"conditions": [approved]}}
    _, validate = CERTIFICATE_SIGNING_REQUESTS.strategy.parts["approval"]
    for conditions, text in (
        ([approved, {"type": "Denied", "status": "True"}], "Approved and Denied conditions are mutually exclusive"),
        ([{**approved, "status": "False"}], 'supported values: "True"'),
        ([], 'updates may not remove a condition of type "Approved"'),
    ):
        assert [str(error).endswith(text) for error in validate({"status": {"conditions": conditions}}, old)] == [True]
