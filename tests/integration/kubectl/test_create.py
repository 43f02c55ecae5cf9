"""What upstream's kubectl sends in protobuf: its create commands, questions about access, deletions, evictions."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

Kubectl = Callable[..., str]


@pytest.fixture(scope="module")
def created(kubectl: Kubectl) -> str:
    """A namespace for what is made and left: other tests of this server make a Deployment `web` as well."""
    kubectl("create", "namespace", "created")
    return "created"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("namespace", "shop"), "namespace/shop created"),
        (("serviceaccount", "robot"), "serviceaccount/robot created"),
        (("configmap", "settings", "--from-literal=color=blue"), "configmap/settings created"),
        (("secret", "generic", "login", "--from-literal=password=s3cret"), "secret/login created"),
        (("deployment", "web", "--image=nginx:1", "--replicas=0", "--port=80"), "deployment.apps/web created"),
        (("service", "clusterip", "web", "--tcp=80:8080"), "service/web created"),
        (("role", "reader", "--verb=get,list", "--resource=pods"), "role.rbac.authorization.k8s.io/reader created"),
        (
            ("rolebinding", "reads", "--role=reader", "--serviceaccount=default:robot"),
            "rolebinding.rbac.authorization.k8s.io/reads",
        ),
        (("clusterrole", "nodes", "--verb=get", "--resource=nodes"), "clusterrole.rbac.authorization.k8s.io/nodes created"),
        (("priorityclass", "urgent", "--value=1000"), "priorityclass.scheduling.k8s.io/urgent created"),
        (("quota", "small", "--hard=pods=3,cpu=1500m"), "resourcequota/small created"),
    ],
    ids=lambda value: " ".join(value[:1]) if isinstance(value, tuple) else "",
)
def test_create(kubectl: Kubectl, created: str, arguments: tuple[str, ...], said: str) -> None:
    assert said in kubectl("create", "-n", created, *arguments)


def test_what_was_sent_is_what_is_kept(kubectl: Kubectl) -> None:
    kubectl("create", "namespace", "kept")
    kubectl("create", "-n", "kept", "secret", "generic", "login", "--from-literal=password=s3cret")
    kubectl("create", "-n", "kept", "deployment", "web", "--image=nginx:1", "--replicas=0", "--port=80", "--", "sleep", "1")
    kubectl("create", "-n", "kept", "service", "nodeport", "web", "--tcp=80:http", "--node-port=30123")
    secret, deployment, service = (
        json.loads(kubectl("get", "-n", "kept", kind, name, "-o", "json"))
        for kind, name in (("secret", "login"), ("deployment", "web"), ("service", "web"))
    )
    assert (secret["data"], secret["type"]) == ({"password": "czNjcmV0"}, "Opaque")
    assert deployment["spec"]["replicas"] == 0
    assert deployment["spec"]["selector"] == {"matchLabels": {"app": "web"}}
    pod = deployment["spec"]["template"]["spec"]
    assert "hostname" not in pod
    assert "nodeName" not in pod
    container = pod["containers"][0]
    assert (container["name"], container["image"], container["command"]) == ("nginx", "nginx:1", ["sleep", "1"])
    assert container["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert {key: service["spec"]["ports"][0][key] for key in ("port", "targetPort", "nodePort", "protocol")} == {
        "port": 80,
        "targetPort": "http",
        "nodePort": 30123,
        "protocol": "TCP",
    }


def test_tokens_and_access_reviews(kubectl: Kubectl) -> None:
    kubectl("create", "namespace", "asked")
    kubectl("create", "-n", "asked", "serviceaccount", "robot")
    assert kubectl("create", "-n", "asked", "token", "robot", "--duration=1h").count(".") == 2
    assert kubectl("auth", "can-i", "create", "pods") == "yes\n"
    assert kubectl("auth", "can-i", "get", "/version") == "yes\n"
    assert kubectl("auth", "can-i", "delete", "pods", "--as=system:serviceaccount:asked:robot", code=1) == "no\n"
    assert "*.*" in kubectl("auth", "can-i", "--list")
    assert "kubernetes-admin" in kubectl("auth", "whoami")


def test_delete_takes_its_options(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "short", "--from-literal=a=b")
    assert "deleted" in kubectl("delete", "configmap", "short", "--wait=false", "--grace-period=1")


def test_what_is_refused_is_told(kubectl: Kubectl) -> None:
    assert "must be greater than or equal to 0" in kubectl("create", "deployment", "no", "--image=a", "--replicas=-1", code=1)


def test_component_statuses_have_columns(kubectl: Kubectl) -> None:
    lines = [line for line in kubectl("get", "componentstatuses").splitlines() if not line.startswith("Warning: ")]
    assert [line.split() for line in lines] == [["NAME", "STATUS", "MESSAGE", "ERROR"], ["etcd-0", "Healthy", "ok"]]
    assert "Healthy" in kubectl("get", "cs", "etcd-0", "-o", "jsonpath={.conditions[0].type}")
