"""Hands, shares, seats of lists, Retry-After, the rules of flow schemas: tables."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from steersman.apiserver.contracts import RequestInfo, UserInfo
from steersman.apiserver.flowcontrol import rules
from steersman.apiserver.flowcontrol.bootstrap import MANDATORY_SCHEMAS, SUGGESTED_SCHEMAS
from steersman.apiserver.flowcontrol.estimate import seats_of_list
from steersman.apiserver.flowcontrol.queues import Demand
from steersman.apiserver.flowcontrol.retryafter import RetryAfter
from steersman.apiserver.flowcontrol.sharding import hand
from steersman.apiserver.flowcontrol.shares import Limits, Share, Smoothed, borrow, nominal
from steersman.apiserver.requestinfo import parse
from steersman.machinery.meta import Obj, name_of


def test_a_hand_is_of_different_queues_always_the_same_for_a_flow_and_any_hand_is_as_likely() -> None:
    hands = [hand("schema", f"user-{number}", 16, 4) for number in range(4000)]
    assert all(len(set(dealt)) == 4 and all(0 <= card < 16 for card in dealt) for dealt in hands)
    assert hand("schema", "user-7", 16, 4) == hands[7]
    cards = Counter(card for dealt in hands for card in dealt)
    assert len(cards) == 16 and all(850 < count < 1150 for count in cards.values())
    assert hand("a", "bc", 128, 6) != hand("ab", "c", 128, 6)


DEFAULTS = (
    ("exempt", 0, 0), ("catch-all", 5, 0), ("system", 30, 33), ("node-high", 40, 25), ("leader-election", 10, 0),
    ("workload-high", 40, 50), ("workload-low", 100, 90), ("global-default", 20, 50),
)  # fmt: skip


def test_the_seats_of_the_server_are_shared_out_as_upstream_does_by_default() -> None:
    asked = {name: Share(shares, lendable) for name, shares, lendable in DEFAULTS}
    found = nominal(600, asked)
    assert {name: (limits.nominal, limits.least) for name, limits in found.items()} == {
        "exempt": (0, 0), "catch-all": (13, 13), "system": (74, 50), "node-high": (98, 73), "leader-election": (25, 25),
        "workload-high": (98, 49), "workload-low": (245, 24), "global-default": (49, 24),
    }  # fmt: skip
    assert nominal(600, {"a": Share(1, 0, 50), "b": Share(1)})["a"] == Limits(300, 300, 450, 300)


@pytest.mark.parametrize(
    ("what", "levels", "expected"),
    [
        ("nobody wants any: in proportion to what is not lent", [(50, 25, 200, 0), (50, 25, 200, 0)], [50, 50]),
        ("who wants more borrows what others lend", [(50, 50, 200, 0), (50, 10, 200, 90)], [50, 50]),
        ("of what is lent", [(50, 10, 200, 0), (50, 50, 200, 90)], [10, 90]),
        ("not beyond the limit of borrowing", [(50, 10, 200, 0), (50, 50, 60, 90)], [40, 60]),
        ("who lends and wants keeps its own", [(50, 10, 200, 80), (50, 10, 200, 80)], [50, 50]),
    ],
)
def test_levels_lend_what_they_do_not_need(what: str, levels: list[tuple[int, int, int, int]], expected: list[int]) -> None:
    made = [(Limits(own, least, most, own), Smoothed(wanted, wanted)) for own, least, most, wanted in levels]
    borrow(100, made)
    assert [limits.current for limits, _ in made] == expected, what


def test_demand_is_followed_upwards_at_once_and_downwards_slowly() -> None:
    smoothed = Smoothed()
    smoothed.take(Demand(80.0, 10.0, 100))
    assert (smoothed.value, smoothed.high) == (90.0, 100)
    smoothed.take(Demand(0.0, 0.0, 0))
    assert smoothed.value == pytest.approx(90 * 0.977) and smoothed.high == 0
    for _ in range(29):
        smoothed.take(Demand())
    assert smoothed.value == pytest.approx(45, rel=0.01)


@pytest.mark.parametrize(
    ("query", "count", "size", "expected"),
    [
        ([], 0, 0, 1),
        ([], 100, 1000, 1),
        ([], 500, 1000, 5),
        ([], 1_000_000, 1000, 10),
        ([("limit", "100")], 1_000_000, 1000, 1),
        ([("resourceVersion", "5"), ("resourceVersionMatch", "Exact")], 3000, 1000, 30),
        ([("resourceVersion", "5"), ("resourceVersionMatch", "Exact")], 1_000_000, 1000, 37),
        ([("resourceVersion", "5"), ("resourceVersionMatch", "NotOlderThan"), ("limit", "500")], 3000, 1000, 5),
        ([("continue", "x"), ("limit", "500")], 3000, 1000, 5),
        ([("continue", "x"), ("limit", "500"), ("labelSelector", "a=b")], 3000, 1000, 15),
        ([("limit", "many")], 1, 1000, 37),
    ],
)
def test_a_list_needs_as_many_seats_as_it_is_large(query: list[tuple[str, str]], count: int, size: int, expected: int) -> None:
    assert seats_of_list(query, watch=False, named=False, count=count, bytes_each=size, most=37) == expected


@pytest.mark.parametrize(
    ("query", "named", "expected"),
    [
        ([("watch", "1")], False, 1),
        ([("watch", "1"), ("sendInitialEvents", "true")], False, 10),
        ([("watch", "1"), ("sendInitialEvents", "true")], True, 1),
    ],
)
def test_a_watch_needs_one_unless_it_begins_with_a_list(query: list[tuple[str, str]], named: bool, expected: int) -> None:
    assert seats_of_list(query, watch=True, named=named, count=5000, bytes_each=1000, most=37) == expected


def test_retry_after_doubles_under_pressure_and_relents() -> None:
    retry = RetryAfter()
    told = [retry.dropped(second + part / 10) for second in range(40) for part in range(10)]
    assert told[0] == 1 and max(told) == 32 and sorted(told) == told
    for _ in range(100):
        retry.dropped(1000.0)
    later = [retry.dropped(2000.0 + 100 * number) for number in range(20)]
    assert later[0] == 30 and later[-1] == 11


SCHEMAS = rules.ordered([*MANDATORY_SCHEMAS, *SUGGESTED_SCHEMAS])
AUTHENTICATED = "system:authenticated"
NODE = UserInfo("system:node:a", groups=("system:nodes", AUTHENTICATED))
SCHEDULER = UserInfo("system:kube-scheduler", groups=(AUTHENTICATED,))
JANE_IN = UserInfo("jane", groups=(AUTHENTICATED,))
LEASES = "/apis/coordination.k8s.io/v1/namespaces"


def account(namespace: str, name: str) -> UserInfo:
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
    return UserInfo(f"system:serviceaccount:{namespace}:{name}", groups=groups)


@pytest.mark.parametrize(
    ("user", "method", "path", "schema", "flow"),
    [
        (UserInfo("root", groups=("system:masters", AUTHENTICATED)), "GET", "/api/v1/pods", "exempt", ""),
        (UserInfo("system:anonymous", groups=("system:unauthenticated",)), "GET", "/readyz", "probes", ""),
        (JANE_IN, "GET", "/readyz/ping", "global-default", "jane"),
        (JANE_IN, "GET", "/api/v1/pods", "global-default", "jane"),
        (NODE, "PATCH", "/api/v1/nodes/a/status", "system-node-high", NODE.name),
        (NODE, "GET", "/api/v1/pods", "system-nodes", NODE.name),
        (NODE, "PUT", f"{LEASES}/kube-node-lease/leases/a", "system-node-high", NODE.name),
        (SCHEDULER, "PUT", f"{LEASES}/kube-system/leases/kube-scheduler", "system-leader-election", SCHEDULER.name),
        (SCHEDULER, "POST", "/api/v1/namespaces/a/pods/b/binding", "kube-scheduler", "a"),
        (account("kube-system", "x"), "GET", "/apis/apps/v1/namespaces/a/deployments", "kube-system-service-accounts", "a"),
        (account("default", "x"), "GET", "/api/v1/namespaces/a/pods", "service-accounts", "system:serviceaccount:default:x"),
        (account("default", "x"), "DELETE", f"{LEASES}/a/leases/b", "service-accounts", "system:serviceaccount:default:x"),
    ],
)
def test_requests_go_where_upstreams_default_schemas_put_them(
    user: UserInfo, method: str, path: str, schema: str, flow: str
) -> None:
    info = parse(method, path)
    found = rules.first_match(SCHEMAS, user, info)
    assert found is not None and name_of(found) == schema
    assert rules.distinguisher(found, user, info) == flow


def schema_of(subject: Obj, **rule: Any) -> Obj:
    what: Obj = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "namespaces": ["a"], "clusterScope": False}
    return {"metadata": {"name": "x"}, "spec": {"rules": [{"subjects": [subject], "resourceRules": [what | rule]}]}}


JANE: Obj = {"kind": "User", "user": {"name": "jane"}}


@pytest.mark.parametrize(
    ("schema", "path", "expected"),
    [
        (schema_of(JANE), "/api/v1/namespaces/a/pods/x", True),
        (schema_of({"kind": "User", "user": {"name": "*"}}), "/api/v1/namespaces/a/pods/x", True),
        (schema_of({"kind": "User", "user": {"name": "joe"}}), "/api/v1/namespaces/a/pods/x", False),
        (schema_of({"kind": "Group", "group": {"name": "*"}}), "/api/v1/namespaces/a/pods/x", True),
        (schema_of({"kind": "Group", "group": {"name": "dev"}}), "/api/v1/namespaces/a/pods/x", True),
        (schema_of({"kind": "Group", "group": {"name": "ops"}}), "/api/v1/namespaces/a/pods/x", False),
        (schema_of(JANE), "/api/v1/namespaces/b/pods/x", False),
        (schema_of(JANE), "/api/v1/namespaces/a/pods/x/status", False),
        (schema_of(JANE, resources=["pods/status"]), "/api/v1/namespaces/a/pods/x/status", True),
        (schema_of(JANE), "/api/v1/namespaces/a/secrets/x", False),
        (schema_of(JANE, apiGroups=["apps"]), "/api/v1/namespaces/a/pods/x", False),
        (schema_of(JANE, namespaces=["*"]), "/api/v1/nodes/x", False),
        (schema_of(JANE, resources=["nodes"], namespaces=[], clusterScope=True), "/api/v1/nodes/x", True),
        (schema_of(JANE, clusterScope=True, namespaces=[]), "/api/v1/namespaces/a/pods/x", False),
        (schema_of(JANE, verbs=["list"]), "/api/v1/namespaces/a/pods/x", False),
        (schema_of(JANE), "/healthz", False),
    ],
)
def test_a_rule_matches_subject_verb_resource_and_scope(schema: Obj, path: str, expected: bool) -> None:
    assert rules.matches(schema, UserInfo("jane", groups=("dev",)), parse("GET", path)) is expected


@pytest.mark.parametrize(
    ("url", "path", "expected"),
    [("*", "/x", True), ("/healthz", "/healthz", True), ("/healthz/*", "/healthz/ping", True), ("/healthz/*", "/healthz", False)],
)
def test_paths_match_whole_or_below(url: str, path: str, expected: bool) -> None:
    rule = {"subjects": [JANE], "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": [url]}]}
    schema: Obj = {"metadata": {"name": "x"}, "spec": {"rules": [rule]}}
    assert rules.matches(schema, UserInfo("jane"), RequestInfo("get", path)) is expected


def test_schemas_are_tried_by_precedence_then_by_name() -> None:
    made = [{"metadata": {"name": name}, "spec": {"matchingPrecedence": order}} for name, order in (("b", 7), ("c", 3), ("a", 7))]
    assert [name_of(schema) for schema in rules.ordered(made)] == ["c", "a", "b"]
