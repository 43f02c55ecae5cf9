"""Escalation: which rules are missing, and how they are printed."""

from __future__ import annotations

import pytest

from steersman.apiserver.authz.escalation import missing
from steersman.apiserver.authz.rules import Rule
from steersman.machinery.meta import Obj


def rule(verbs: str, groups: str, resources: str, names: str = "") -> Obj:
    made: Obj = {"verbs": verbs.split(), "apiGroups": groups.split(","), "resources": resources.split()}
    return {**made, "resourceNames": names.split()} if names else made


def urls(verbs: str, *paths: str) -> Obj:
    return {"verbs": verbs.split(), "nonResourceURLs": list(paths)}


@pytest.mark.parametrize(
    ("held", "asked", "lacking"),
    [
        ([], [rule("get", "", "pods")], ['{APIGroups:[""], Resources:["pods"], Verbs:["get"]}']),
        ([rule("*", "*", "*")], [rule("get impersonate", "", "pods users")], []),
        ([rule("*", "*", "*")], [urls("get", "/x")], ['{NonResourceURLs:["/x"], Verbs:["get"]}']),
        ([rule("get", "", "pods")], [rule("*", "", "pods")], ['{APIGroups:[""], Resources:["pods"], Verbs:["*"]}']),
        ([rule("get", "", "pods"), rule("list", "", "pods")], [rule("get list", "", "pods")], []),
        (
            [rule("get", "", "pods")],
            [rule("get list watch", "apps,", "pods")],
            [
                '{APIGroups:[""], Resources:["pods"], Verbs:["list" "watch"]}',
                '{APIGroups:["apps"], Resources:["pods"], Verbs:["get" "list" "watch"]}',
            ],
        ),
        ([rule("get", "", "secrets", "a b")], [rule("get", "", "secrets", "b")], []),
        ([rule("get", "", "secrets")], [rule("get", "", "secrets", "b")], []),
        (
            [rule("get", "", "secrets", "a")],
            [rule("get", "", "secrets")],
            ['{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}'],
        ),
        (
            [rule("get", "", "secrets", "a")],
            [rule("get", "", "secrets", "b")],
            ['{APIGroups:[""], Resources:["secrets"], ResourceNames:["b"], Verbs:["get"]}'],
        ),
        ([rule("update", "*", "*/scale")], [rule("update", "apps", "deployments/scale")], []),
        (
            [rule("update", "*", "*/scale")],
            [rule("update", "apps", "deployments")],
            ['{APIGroups:["apps"], Resources:["deployments"], Verbs:["update"]}'],
        ),
        ([urls("get", "/apis/*")], [urls("get", "/apis/apps/*", "/apis/x")], []),
        ([urls("get", "/apis/x")], [urls("get", "/apis/*")], ['{NonResourceURLs:["/apis/*"], Verbs:["get"]}']),
    ],
)
def test_what_is_asked_and_not_held_is_missing(held: list[Obj], asked: list[Obj], lacking: list[str]) -> None:
    assert missing([Rule.of(item) for item in held], asked) == lacking
