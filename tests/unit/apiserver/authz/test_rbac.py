"""RBAC: who may do what, by which binding, and that a change of a role or binding counts at once."""

from __future__ import annotations

import asyncio

import pytest
from tests.fakes.listers import FakeListers

from steersman.api.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES
from steersman.apiserver import authz
from steersman.apiserver.authz.messages import questions
from steersman.apiserver.contracts import RequestInfo, UserInfo, Verdict
from steersman.apiserver.requestinfo import parse
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

JANE = UserInfo("jane", groups=("devs", "system:authenticated"))
ROBOT = UserInfo("system:serviceaccount:ci:robot", groups=("system:serviceaccounts", "system:serviceaccounts:ci"))


def rule(verbs: str, groups: str, resources: str, names: str = "") -> Obj:
    made: Obj = {"verbs": verbs.split(), "apiGroups": groups.split(","), "resources": resources.split()}
    return {**made, "resourceNames": names.split()} if names else made


def role(name: str, *rules: Obj, namespace: str = "") -> tuple[Resource, Obj]:
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    return (ROLES if namespace else CLUSTER_ROLES), {"metadata": metadata, "rules": list(rules)}


def binding(name: str, role_kind: str, role_name: str, *subjects: Obj, namespace: str = "") -> tuple[Resource, Obj]:
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    obj = {"metadata": metadata, "roleRef": {"kind": role_kind, "name": role_name}, "subjects": list(subjects)}
    return (ROLE_BINDINGS if namespace else CLUSTER_ROLE_BINDINGS), obj


def user(name: str) -> Obj:
    return {"kind": "User", "name": name}


def ask(authorization: authz.Authorization, who: UserInfo, info: RequestInfo) -> tuple[Verdict, str]:
    return asyncio.run(authorization.authorize(who, info))


POLICY = (
    role("reader", rule("get list watch", "", "pods pods/log")),
    role("scaler", rule("update", "*", "*/scale")),
    role("one-secret", rule("get", "", "secrets", "known"), namespace="prod"),
    role("prober", {"verbs": ["get"], "nonResourceURLs": ["/healthz", "/metrics/*"]}),
    binding("readers", "ClusterRole", "reader", {"kind": "Group", "name": "devs"}),
    binding("probers", "ClusterRole", "prober", user("jane")),
    binding("scalers", "ClusterRole", "scaler", {"kind": "ServiceAccount", "name": "robot"}, namespace="ci"),
    binding("secret", "Role", "one-secret", user("jane"), namespace="prod"),
)


@pytest.mark.parametrize(
    ("who", "method", "path", "allowed"),
    [
        (JANE, "GET", "/api/v1/pods", True),
        (JANE, "GET", "/api/v1/namespaces/prod/pods/web", True),
        (JANE, "GET", "/api/v1/namespaces/prod/pods/web/log", True),
        (JANE, "GET", "/api/v1/namespaces/prod/pods/web/exec", False),
        (JANE, "DELETE", "/api/v1/namespaces/prod/pods/web", False),
        (JANE, "GET", "/apis/apps/v1/deployments", False),
        (JANE, "GET", "/api/v1/namespaces/prod/secrets/known", True),
        (JANE, "GET", "/api/v1/namespaces/prod/secrets/other", False),
        (JANE, "GET", "/api/v1/namespaces/prod/secrets", False),
        (JANE, "GET", "/api/v1/namespaces/test/secrets/known", False),
        (JANE, "GET", "/healthz", True),
        (JANE, "GET", "/metrics/slis", True),
        (JANE, "GET", "/metrics", False),
        (JANE, "POST", "/healthz", False),
        (ROBOT, "PUT", "/apis/apps/v1/namespaces/ci/deployments/web/scale", True),
        (ROBOT, "PUT", "/apis/apps/v1/namespaces/ci/deployments/web", False),
        (ROBOT, "PUT", "/apis/apps/v1/namespaces/prod/deployments/web/scale", False),
        (UserInfo("root", groups=("system:masters",)), "DELETE", "/api/v1/nodes", True),
    ],
)
def test_a_request_is_allowed_by_a_rule_of_a_bound_role_and_by_nothing_else(
    who: UserInfo, method: str, path: str, allowed: bool
) -> None:
    verdict, reason = ask(authz.build(FakeListers(*POLICY)), who, parse(method, path))
    assert (verdict is Verdict.ALLOW, reason) == (allowed, "")


def test_a_changed_role_and_a_removed_binding_count_at_once() -> None:
    listers = FakeListers(*POLICY)
    authorization = authz.build(listers)
    info = parse("GET", "/api/v1/pods")
    assert ask(authorization, JANE, info)[0] is Verdict.ALLOW
    listers(CLUSTER_ROLES).put(role("reader", rule("list", "", "nodes"))[1])
    assert ask(authorization, JANE, info)[0] is Verdict.NO_OPINION
    listers(CLUSTER_ROLES).put(POLICY[0][1])
    assert ask(authorization, JANE, info)[0] is Verdict.ALLOW
    listers(CLUSTER_ROLE_BINDINGS).drop("", "readers")
    assert ask(authorization, JANE, info)[0] is Verdict.NO_OPINION


def test_a_binding_that_the_cache_has_not_seen_yet_is_waited_for_before_refusing() -> None:
    listers = FakeListers(POLICY[0])
    listers.late.append(POLICY[4])
    assert ask(authz.build(listers), JANE, parse("GET", "/api/v1/pods"))[0] is Verdict.ALLOW


def test_a_refusal_names_the_roles_that_do_not_exist() -> None:
    listers = FakeListers(
        binding("a", "ClusterRole", "gone", user("jane")), binding("b", "Role", "none", user("jane"), namespace="x")
    )
    authorization = authz.build(listers)
    one = 'clusterrole.rbac.authorization.k8s.io "gone" not found'
    assert ask(authorization, JANE, parse("GET", "/api/v1/nodes")) == (Verdict.NO_OPINION, f"RBAC: {one}")
    two = 'role.rbac.authorization.k8s.io "none" not found'
    assert ask(authorization, JANE, parse("GET", "/api/v1/namespaces/x/pods")) == (Verdict.NO_OPINION, f"RBAC: [{one}, {two}]")


@pytest.mark.parametrize(
    ("who", "path", "reason"),
    [
        (JANE, "/api/v1/pods", 'ClusterRoleBinding "readers" of ClusterRole "reader" to Group "devs"'),
        (JANE, "/api/v1/namespaces/prod/secrets/known", 'RoleBinding "secret/prod" of Role "one-secret" to User "jane"'),
        (JANE, "/healthz", 'ClusterRoleBinding "probers" of ClusterRole "prober" to User "jane"'),
    ],
)
def test_the_allowing_binding_is_named_for_reviews(who: UserInfo, path: str, reason: str) -> None:
    assert authz.build(FakeListers(*POLICY)).explain(who, parse("GET", path)) == f"RBAC: allowed by {reason}"


@pytest.mark.parametrize(
    ("info", "message"),
    [
        (
            parse("GET", "/api/v1/namespaces/prod/pods/web/log"),
            'pods "web" is forbidden: User "jane" cannot get resource "pods/log" in API group "" in the namespace "prod"',
        ),
        (
            parse("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles"),
            'clusterroles.rbac.authorization.k8s.io is forbidden: User "jane" cannot create resource "clusterroles" '
            'in API group "rbac.authorization.k8s.io" at the cluster scope',
        ),
        (parse("GET", "/a<b"), 'forbidden: User "jane" cannot get path "/a&lt;b"'),
    ],
)
def test_the_refusal_is_worded_as_upstream_words_it(info: RequestInfo, message: str) -> None:
    assert authz.forbidden(JANE, info).message == message
    assert authz.forbidden(JANE, info, "because").message == f"{message}: because"


def test_entering_a_pod_by_websocket_needs_create_as_well() -> None:
    path = "/api/v1/namespaces/prod/pods/web/"
    for subresource in ("exec", "attach", "portforward"):
        assert [question.verb for question in questions(parse("GET", path + subresource))] == ["get", "create"]
        assert [question.verb for question in questions(parse("POST", path + subresource))] == ["create"]
    assert [question.verb for question in questions(parse("GET", path + "log"))] == ["get"]
