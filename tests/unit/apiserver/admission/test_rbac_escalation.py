"""Nobody grants what they don't hold."""

from __future__ import annotations

import asyncio

import pytest
from tests.fakes.listers import FakeListers

from steersman.api.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES
from steersman.apiserver import authz
from steersman.apiserver.admission.rbac_escalation import RBACEscalation
from steersman.apiserver.contracts import AdmissionRequest, UserInfo
from steersman.machinery.errors import StatusError
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

GROUP = "rbac.authorization.k8s.io"
JANE = UserInfo("jane", groups=("a", "b"))
GET_PODS: Obj = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}
GET_DEPLOYMENTS: Obj = {"verbs": ["get"], "apiGroups": ["apps"], "resources": ["deployments"]}
LACKING = '{APIGroups:["apps"], Resources:["deployments"], Verbs:["get"]}'


def world(*more: Obj) -> FakeListers:
    """Jane holds GET_PODS and the rules given, in namespace x; `free` has what she lacks."""
    binding = {"metadata": {"name": "b", "namespace": "x"}, "roleRef": {"kind": "Role", "name": "r"}}
    return FakeListers(
        (ROLES, {"metadata": {"name": "r", "namespace": "x"}, "rules": [GET_PODS, *more]}),
        (ROLE_BINDINGS, {**binding, "subjects": [{"kind": "User", "name": "jane"}]}),
        (CLUSTER_ROLES, {"metadata": {"name": "free"}, "rules": [GET_DEPLOYMENTS]}),
    )


def write(listers: FakeListers, resource: Resource, obj: Obj, old: Obj | None = None, user: UserInfo = JANE) -> str:
    """ "" if it may be written, else the refusal's text."""
    operation, metadata = "CREATE" if old is None else "UPDATE", obj["metadata"]
    namespace, name = metadata.get("namespace", ""), metadata["name"]
    request = AdmissionRequest(operation, resource, "", namespace, name, obj, old, user)
    try:
        asyncio.run(RBACEscalation(authz.build(listers)).validate(request))
    except StatusError as error:
        return f"{error.code} {error.message}"
    return ""


def a_role(*rules: Obj) -> Obj:
    return {"metadata": {"name": "new", "namespace": "x"}, "rules": list(rules)}


def a_binding(kind: str, name: str) -> Obj:
    return {"metadata": {"name": "new", "namespace": "x"}, "roleRef": {"kind": kind, "name": name}, "subjects": []}


def verb(word: str, resource: str) -> Obj:
    return {"verbs": [word], "apiGroups": [GROUP], "resources": [resource]}


REFUSED = (
    f'403 %s.{GROUP} "new" is forbidden: user "jane" (groups=["a" "b"]) is attempting to grant RBAC permissions not '
    f"currently held:\n{LACKING}"
)


@pytest.mark.parametrize(
    ("held", "resource", "obj", "answer"),
    [
        ([], ROLES, a_role(GET_PODS), ""),
        ([], ROLES, a_role(GET_PODS, GET_DEPLOYMENTS), REFUSED % "roles"),
        ([verb("escalate", "roles")], ROLES, a_role(GET_DEPLOYMENTS), ""),
        ([], ROLE_BINDINGS, a_binding("Role", "r"), ""),
        ([], ROLE_BINDINGS, a_binding("ClusterRole", "free"), REFUSED % "rolebindings"),
        ([verb("bind", "clusterroles")], ROLE_BINDINGS, a_binding("ClusterRole", "free"), ""),
        ([verb("bind", "roles")], ROLE_BINDINGS, a_binding("ClusterRole", "free"), REFUSED % "rolebindings"),
        ([GET_DEPLOYMENTS], ROLE_BINDINGS, a_binding("ClusterRole", "free"), ""),
        ([], ROLE_BINDINGS, a_binding("Role", "none"), f'404 role.{GROUP} "none" not found'),
    ],
)  # fmt: skip
def test_a_role_or_binding_grants_only_what_its_writer_holds(held: list[Obj], resource: Resource, obj: Obj, answer: str) -> None:
    assert write(world(*held), resource, obj) == answer


def test_masters_write_what_they_like_and_the_garbage_collector_may_touch_what_it_does_not_hold() -> None:
    master = UserInfo("root", groups=("system:masters",))
    big = a_role(GET_DEPLOYMENTS)
    assert write(world(), ROLES, big, user=master) == ""
    collected = {**big, "metadata": {**big["metadata"], "ownerReferences": [], "resourceVersion": "7"}}
    assert write(world(), ROLES, collected, old=big) == ""
    assert write(world(), ROLES, {**big, "rules": [GET_DEPLOYMENTS, GET_PODS]}, old=big) == REFUSED % "roles"


def test_an_aggregation_rule_needs_everything() -> None:
    role = {"metadata": {"name": "new"}, "aggregationRule": {"clusterRoleSelectors": [{}]}, "rules": []}
    text = f'403 clusterroles.{GROUP} "new" is forbidden: must have cluster-admin privileges to use the aggregationRule'
    assert write(world(), CLUSTER_ROLES, role) == text
    everything = {"metadata": {"name": "all"}, "rules": [
        {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, {"verbs": ["*"], "nonResourceURLs": ["*"]}
    ]}  # fmt: skip
    listers = world()
    listers(CLUSTER_ROLES).put(everything)
    binding = {"metadata": {"name": "all"}, "roleRef": {"kind": "ClusterRole", "name": "all"}}
    listers(CLUSTER_ROLE_BINDINGS).put({**binding, "subjects": [{"kind": "Group", "name": "a"}]})
    assert write(listers, CLUSTER_ROLES, role) == ""
