"""The FlowSchemas and PriorityLevelConfigurations that every cluster has. Pure.

Source: upstream apis/flowcontrol/bootstrap/default.go (KEP-1040). The mandatory ones are always as they are here; the suggested
ones as long as nobody takes them over by the annotation. maintenance.py writes them.
"""

from __future__ import annotations

from typing import Any

from steersman.api.resources import FLOW_SCHEMAS, PRIORITY_LEVEL_CONFIGURATIONS
from steersman.api.validation.flowcontrol import FIXED_LEVELS, FIXED_SCHEMAS
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

AUTOUPDATE = "apf.kubernetes.io/autoupdate-spec"
EXEMPT, CATCH_ALL = "exempt", "catch-all"

_RESOURCES: Obj = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": True, "namespaces": ["*"]}
_ALL: Obj = {"resourceRules": [_RESOURCES], "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]}
_MANAGER, _SCHEDULER, _NODES = "system:kube-controller-manager", "system:kube-scheduler", "system:nodes"
_ANONYMOUS, _AUTHENTICATED = "system:unauthenticated", "system:authenticated"
_LEASES: Obj = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "namespaces": ["*"]}


def _group(name: str) -> Obj:
    return {"kind": "Group", "group": {"name": name}}


def _user(name: str) -> Obj:
    return {"kind": "User", "user": {"name": name}}


_SYSTEM_ACCOUNTS: Obj = {"kind": "ServiceAccount", "serviceAccount": {"name": "*", "namespace": "kube-system"}}
_NODE_HIGH: Obj = {
    "resourceRules": [
        {
            "verbs": ["*"],
            "apiGroups": [""],
            "resources": ["nodes", "nodes/status"],
            "clusterScope": True,
            "namespaces": ["*"],
        },
        {"verbs": ["*"], **_LEASES},
    ]
}
_PROBES: Obj = {"nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]}]}

_SCHEMAS: dict[str, tuple[str, int, str, list[Obj], Obj]] = {
    "system-nodes": ("system", 500, "ByUser", [_group(_NODES)], _ALL),
    "system-node-high": ("node-high", 400, "ByUser", [_group(_NODES)], _NODE_HIGH),
    "probes": ("exempt", 2, "", [_group(_ANONYMOUS), _group(_AUTHENTICATED)], _PROBES),
    "system-leader-election": (
        "leader-election",
        100,
        "ByUser",
        [_user(_MANAGER), _user(_SCHEDULER), _SYSTEM_ACCOUNTS],
        {"resourceRules": [{"verbs": ["get", "create", "update"], **_LEASES}]},
    ),
    "kube-controller-manager": ("workload-high", 800, "ByNamespace", [_user(_MANAGER)], _ALL),
    "kube-scheduler": ("workload-high", 800, "ByNamespace", [_user(_SCHEDULER)], _ALL),
    "kube-system-service-accounts": ("workload-high", 900, "ByNamespace", [_SYSTEM_ACCOUNTS], _ALL),
    "service-accounts": ("workload-low", 9000, "ByUser", [_group("system:serviceaccounts")], _ALL),
    "global-default": ("global-default", 9900, "ByUser", [_group(_ANONYMOUS), _group(_AUTHENTICATED)], _ALL),
}
"""name -> level, precedence, distinguisher, subjects, rules."""

_LEVELS: dict[str, tuple[int, int, int, int]] = {
    "system": (30, 33, 64, 6),
    "node-high": (40, 25, 64, 6),
    "leader-election": (10, 0, 16, 4),
    "workload-high": (40, 50, 128, 6),
    "workload-low": (100, 90, 128, 6),
    "global-default": (20, 50, 128, 6),
}
"""name -> shares, lendable percent, queues, hand. 50 requests wait in a queue."""


def _object(resource: Resource, name: str, spec: Obj) -> Obj:
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": name, "annotations": {AUTOUPDATE: "true"}},
        "spec": spec,
    }


def _schema(name: str, level: str, precedence: int, method: str, subjects: list[Obj], rules: Obj) -> Obj:
    spec: dict[str, Any] = {
        "priorityLevelConfiguration": {"name": level},
        "matchingPrecedence": precedence,
        "rules": [{"subjects": subjects, **rules}],
    }
    if method:
        spec["distinguisherMethod"] = {"type": method}
    return _object(FLOW_SCHEMAS, name, spec)


def _level(name: str, shares: int, lendable: int, queues: int, hand: int) -> Obj:
    queuing = {"queues": queues, "handSize": hand, "queueLengthLimit": 50}
    limited = {
        "nominalConcurrencyShares": shares,
        "lendablePercent": lendable,
        "limitResponse": {"type": "Queue", "queuing": queuing},
    }
    return _object(PRIORITY_LEVEL_CONFIGURATIONS, name, {"type": "Limited", "limited": limited})


MANDATORY_SCHEMAS = tuple(_object(FLOW_SCHEMAS, name, spec) for name, spec in FIXED_SCHEMAS.items())
MANDATORY_LEVELS = tuple(_object(PRIORITY_LEVEL_CONFIGURATIONS, name, spec) for name, spec in FIXED_LEVELS.items())
SUGGESTED_SCHEMAS = tuple(_schema(name, *what) for name, what in _SCHEMAS.items())
SUGGESTED_LEVELS = tuple(_level(name, *what) for name, what in _LEVELS.items())
