"""NodeRestriction: a node gets tokens of its pods' accounts, for audiences that they ask for or that it was granted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.fakes.listers import FakeListers

from steersman.api.resources import NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, SERVICE_ACCOUNTS
from steersman.apiserver.admission.node_restriction import NodeRestriction
from steersman.apiserver.authz import build
from steersman.apiserver.contracts import AdmissionRequest, UserInfo
from steersman.apiserver.lookup import Lookup
from steersman.machinery.errors import StatusError
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

DRIVERS = Resource("storage.k8s.io", "v1", "csidrivers", False, "CSIDriver")
ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", True, "Role")
BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", True, "RoleBinding")
N1 = UserInfo("system:node:n1", groups=("system:nodes",))
POD = {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": "up"}


def named(name: str, namespace: str = "default", **parts: Any) -> Obj:
    return {"metadata": {"name": name, "namespace": namespace, "uid": f"u{name}"}, **parts}


def pod(node: str = "n1", name: str = "p", *volumes: Obj) -> Obj:
    return named(name, spec={"nodeName": node, "containers": [], "volumes": list(volumes)})


def token(audience: str | None = None) -> Obj:
    given = {} if audience is None else {"audience": audience}
    return {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t", **given}}]}}


ROLE = named(
    "r",
    rules=[
        {
            "apiGroups": [""],
            "verbs": ["request-serviceaccounts-token-audience"],
            "resources": ["https://registry.example"],
            "resourceNames": ["sa"],
        }
    ],
)
BINDING = named(
    "b",
    roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
    subjects=[{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:nodes"}],
)


def ask(found: Obj | None, ref: Obj | None, *audiences: str, account: str = "sa", namespace: str = "default") -> str:
    listers = FakeListers(
        (NODES, named("n1", "")),
        (PERSISTENT_VOLUME_CLAIMS, named("c", spec={"volumeName": "v"})),
        (PERSISTENT_VOLUME_CLAIMS, named("p-e", spec={"volumeName": "v"})),
        (PERSISTENT_VOLUME_CLAIMS, named("local", spec={"volumeName": "l"})),
        (PERSISTENT_VOLUME_CLAIMS, named("lost", spec={"volumeName": "gone"})),
        (PERSISTENT_VOLUMES, named("v", "", spec={"csi": {"driver": "d"}})),
        (PERSISTENT_VOLUMES, named("l", "", spec={"hostPath": {"path": "/x"}})),
        (DRIVERS, named("d", "", spec={"tokenRequests": [{"audience": "bank"}, {"audience": ""}]})),
        (ROLES, ROLE),
        (BINDINGS, BINDING),
        *(((PODS, found),) if found is not None else ()),
    )
    spec: Obj = {"audiences": list(audiences), **({"boundObjectRef": ref} if ref is not None else {})}
    request = AdmissionRequest("CREATE", SERVICE_ACCOUNTS, "token", namespace, account, {"spec": spec}, None, N1)
    try:
        asyncio.run(NodeRestriction(Lookup(listers), build(listers)).admit(request))
    except StatusError as error:
        return error.message.partition(" is forbidden: ")[2] or error.message
    return ""


@pytest.mark.parametrize(
    ("ref", "text"),
    [
        (None, "node requested token not bound to a pod"),
        ({"kind": "Node", "apiVersion": "v1", "name": "n1", "uid": "un1"}, "node requested token not bound to a pod"),
        ({**POD, "uid": ""}, "node requested token with a pod binding without a uid"),
        ({**POD, "name": "none"}, 'pods "none" not found'),
        (
            {**POD, "uid": "x"},
            "the UID in the bound object reference (x) does not match the UID in record. "
            "The object might have been deleted and then recreated",
        ),
        (POD, ""),
    ],
)
def test_the_token_is_bound_to_a_pod_of_the_node(ref: Obj | None, text: str) -> None:
    assert ask(pod("n1", "p", token()), ref) == text


def test_the_pod_runs_on_that_node() -> None:
    assert ask(pod("n2", "p", token()), POD) == "node requested token bound to a pod scheduled on a different node"


def refusal(audience: str) -> str:
    why = "system:node:n1 is not authorized to request tokens for this audience"
    return f'audience "{audience}" not found in pod spec volume, {why}'


def claim(name: str) -> Obj:
    return {"name": "v", "persistentVolumeClaim": {"claimName": name}}


@pytest.mark.parametrize(
    ("volumes", "audiences", "text"),
    [
        ([token()], [], ""),
        ([token("vault")], ["vault"], ""),
        ([token()], ["vault"], refusal("vault")),
        ([token("vault")], [], refusal("")),
        ([token("vault")], ["vault", "bank"], "node may only request 0 or 1 audiences"),
        ([{"name": "v", "csi": {"driver": "d"}}], ["bank"], ""),
        ([{"name": "v", "csi": {"driver": "d"}}], [], ""),
        ([{"name": "v", "csi": {"driver": "d"}}], ["vault"], refusal("vault")),
        ([{"name": "v", "csi": {"driver": "none"}}], ["bank"],
         'error validating audience "bank": csidriver.storage.k8s.io "none" not found'),
        ([claim("c")], ["bank"], ""),
        ([claim("local")], ["bank"], refusal("bank")),
        ([{"name": "e", "ephemeral": {"volumeClaimTemplate": {}}}], ["bank"], ""),
        ([claim("none")], ["bank"], 'error validating audience "bank": persistentvolumeclaim "none" not found'),
        ([claim("none"), claim("lost")], ["bank"],
         'error validating audience "bank": [persistentvolumeclaim "none" not found, persistentvolume "gone" not found]'),
        ([claim("none"), claim("c")], ["bank"], ""),
        ([], ["https://registry.example"], ""),
    ],
)  # fmt: skip
def test_the_audience_is_one_of_the_pods_or_granted(volumes: list[Obj], audiences: list[str], text: str) -> None:
    assert ask(pod("n1", "p", *volumes), POD, *audiences) == text


def test_an_audience_is_granted_for_the_accounts_that_the_role_names() -> None:
    audience = "https://registry.example"
    assert ask(pod(), POD, audience, account="other") == refusal(audience)


def test_agents_of_the_node_have_tokens_bound_to_it() -> None:
    ref = {"kind": "Node", "apiVersion": "v1", "name": "n1", "uid": "un1"}
    assert ask(None, ref, account="kube-proxy", namespace="kube-system") == ""
    text = "node requested token not bound to its own Node, by uid, for the API server"
    assert ask(None, {**ref, "name": "n2"}, account="kube-proxy", namespace="kube-system") == text
