"""[sig-api-machinery] Aggregator: an API server of somebody else's, in a pod, behind an APIService."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.objects import controller
from tests.conformance.space import Space, condition, eventually
from tests.fakes import certs

from steersman.api.resources import (
    API_SERVICES,
    CLUSTER_ROLES,
    CONFIG_MAPS,
    DEPLOYMENTS,
    ROLE_BINDINGS,
    SECRETS,
    SERVICES,
)
from steersman.machinery.errors import NotFound
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, name_of

pytestmark = pytest.mark.root

SERVER = Path(__file__).with_name("extension_server.py")
FLUNDERS = Resource("wardle.example.com", "v1alpha1", "flunders", kind="Flunder")
NAME = "v1alpha1.wardle.example.com"
ROLE = "wardle-flunders"
FILES = "/mnt"
"""A folder that every machine has, and where nothing is that the server wants."""


def deployed(space: Space, directory: Path) -> str:
    """The server, its rights and its Service (named `sample-api`); the bundle that vouches for it."""
    ca, key = certs.authority(directory / "ca.crt")
    cert_file, key_file = certs.signed(directory / "tls", "sample-api", ca, key, f"sample-api.{space.name}.svc")
    files = {"tls.crt": cert_file.read_text(), "tls.key": key_file.read_text()}
    space.create(SECRETS, {"metadata": {"name": "serving"}, "stringData": files})
    reader = {
        "metadata": {"name": f"reads-authentication-{space.name}", "namespace": "kube-system"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "extension-apiserver-authentication-reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": space.name}],
    }
    space.api.create(ROLE_BINDINGS, reader, "kube-system")
    server = controller("sample-api", script=f"exec chroot /host {sys.executable} {SERVER} {FILES}")
    spec = server["spec"]["template"]["spec"]
    projected = [
        {"serviceAccountToken": {"path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt"}},
        {"secret": {"name": "serving"}},
    ]
    spec["volumes"] = [{"name": "host", "hostPath": {"path": "/"}}, {"name": "files", "projected": {"sources": projected}}]
    spec["containers"][0] |= {
        # The image is busybox; the machine's files, read-only, are where there is a Python.
        "volumeMounts": [
            {"name": "host", "mountPath": "/host", "readOnly": True},
            {"name": "files", "mountPath": f"/host{FILES}", "readOnly": True},
        ],
        "readinessProbe": {
            "httpGet": {"scheme": "HTTPS", "path": "/readyz", "port": 8443},
            "periodSeconds": 1,
            "timeoutSeconds": 60,
        },
    }
    space.create(DEPLOYMENTS, server)
    ports = [{"name": "api", "port": 7443, "targetPort": 8443}]
    space.create(SERVICES, {"metadata": {"name": "sample-api"}, "spec": {"selector": {"app": "sample-api"}, "ports": ports}})
    space.until(DEPLOYMENTS, "sample-api", lambda it: it["status"].get("availableReplicas") == 1)
    return base64.b64encode((directory / "ca.crt").read_bytes()).decode()


def registered(space: Space, bundle: str) -> Obj:
    service = {"name": "sample-api", "namespace": space.name, "port": 7443}
    spec = {"group": FLUNDERS.group, "version": FLUNDERS.version, "groupPriorityMinimum": 2000, "versionPriority": 200}
    return {
        "apiVersion": API_SERVICES.api_version,
        "kind": API_SERVICES.kind,
        "metadata": {"name": NAME, "labels": {"e2e": "sample"}},
        "spec": {**spec, "service": service, "caBundle": bundle},
    }


@pytest.fixture
def sample(space: Space, tmp_path: Path) -> Iterator[Space]:
    """With the server registered and answering."""
    try:
        space.api.create(API_SERVICES, registered(space, deployed(space, tmp_path)))
        eventually(lambda: space.list(FLUNDERS) == [])
        yield space
    finally:
        # Before its server goes: the namespace could else not be emptied. And discovery is without it when the next test looks.
        space.api.delete_collection(API_SERVICES, label_selector="e2e=sample")
        eventually(lambda: not is_listed(space))
        space.api.delete_collection(CLUSTER_ROLES, label_selector=f"made-for={space.name}")


def is_listed(space: Space) -> bool:
    return FLUNDERS.group in [group["name"] for group in space.api.raw("GET", "/apis")["groups"]]


def flunder(name: str) -> Obj:
    return {"metadata": {"name": name, "labels": {"sample-label": "true"}}, "spec": {"reference": "rose"}}


def requests_are_passed_on(sample: Space) -> None:
    made = sample.create(FLUNDERS, flunder("rest"))
    # The administrator's own name, and not the API server's.
    assert made["metadata"]["annotations"]["made-by"] == "kubernetes-admin of system:masters,system:authenticated"
    assert sample.get(FLUNDERS, "rest") == made
    made["spec"]["reference"] = "tulip"
    assert sample.update(FLUNDERS, made)["spec"] == {"reference": "tulip"}
    patched = sample.patch(FLUNDERS, "rest", {"metadata": {"labels": {"colour": "red"}}})
    assert patched["metadata"]["labels"] == {"sample-label": "true", "colour": "red"}
    assert [name_of(it) for it in sample.list(FLUNDERS)] == ["rest"]
    sample.delete(FLUNDERS, "rest")
    with pytest.raises(NotFound):
        sample.get(FLUNDERS, "rest")


def kubectl_knows_it(sample: Space) -> None:
    named = {"apiVersion": FLUNDERS.api_version, "kind": FLUNDERS.kind, **flunder("typed")}
    assert "flunder.wardle.example.com/typed created" in sample.kubectl("create", "-f", "-", stdin=json.dumps(named))
    assert sample.kubectl("get", "flunders", "-o", "name").strip() == "flunder.wardle.example.com/typed"
    assert "Reference:  rose" in sample.kubectl("describe", "flunder", "typed")
    assert "flunders" in sample.kubectl("api-resources", "--api-group", FLUNDERS.group)
    line = sample.kubectl("get", "apiservices", NAME, "--no-headers").split()
    assert line[:3] == [NAME, f"{sample.name}/sample-api", "True"]
    assert "deleted" in sample.kubectl("delete", "flunder", "typed")


def who_may_is_asked_before(sample: Space) -> None:
    jane = ("--as", "jane", "--as-group", "gardeners")
    assert "cannot list resource" in sample.kubectl("get", "flunders", *jane, code=1)
    rules = [{"apiGroups": [FLUNDERS.group], "resources": ["flunders"], "verbs": ["get", "list", "create"]}]
    role = {"metadata": {"name": f"{ROLE}-{sample.name}", "labels": {"made-for": sample.name}}, "rules": rules}
    sample.api.create(CLUSTER_ROLES, role)
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": f"{ROLE}-{sample.name}"}
    sample.create(ROLE_BINDINGS, {"metadata": {"name": "jane"}, "subjects": [subject], "roleRef": reference})
    named = {"apiVersion": FLUNDERS.api_version, "kind": FLUNDERS.kind, **flunder("janes")}
    sample.kubectl("create", "-f", "-", *jane, stdin=json.dumps(named))
    assert sample.get(FLUNDERS, "janes")["metadata"]["annotations"]["made-by"] == "jane of gardeners,system:authenticated"
    assert "cannot delete resource" in sample.kubectl("delete", "flunder", "janes", *jane, code=1)
    sample.delete(FLUNDERS, "janes")


def statuses_and_labels_change(sample: Space) -> None:
    api = sample.api
    assert condition(api.get(API_SERVICES, NAME, subresource="status"), "Available") == "True"
    patched = api.patch(API_SERVICES, NAME, {"spec": {"versionPriority": 400}})
    assert patched["spec"]["versionPriority"] == 400
    assert NAME in [name_of(it) for it in api.list(API_SERVICES)["items"]]

    def shown(kind: str) -> Any:
        conditions = api.get(API_SERVICES, NAME, subresource="status")["status"]["conditions"]
        return next((it for it in conditions if it["type"] == kind), None)

    told = {"type": "StatusUpdated", "status": "True", "reason": "E2E", "message": "Set from an e2e test"}

    def update() -> Obj:
        obj = api.get(API_SERVICES, NAME)
        obj["status"]["conditions"].append(told)
        return api.update(API_SERVICES, obj, subresource="status")

    assert told.items() <= eventually(update)["status"]["conditions"][-1].items()
    change = {"status": {"conditions": [{**told, "type": "StatusPatched"}]}}
    api.patch(API_SERVICES, NAME, change, kind="strategic", subresource="status")
    assert shown("StatusUpdated") and shown("StatusPatched")["reason"] == "E2E" and shown("Available")["status"] == "True"

    def replace() -> Obj:
        obj = api.get(API_SERVICES, NAME)
        obj["metadata"]["labels"] = {**obj["metadata"]["labels"], "replaced": "yes"}
        obj["status"] = {}
        return api.update(API_SERVICES, obj)

    assert eventually(replace)["metadata"]["labels"]["replaced"] == "yes"
    assert shown("StatusPatched"), "an update leaves the status"
    assert sample.list(FLUNDERS) == []


def it_goes_with_its_registration(sample: Space) -> None:
    sample.api.delete_collection(API_SERVICES, label_selector="e2e=sample,replaced=yes")
    with pytest.raises(NotFound):
        sample.api.get(API_SERVICES, NAME)
    target = f"/apis/{FLUNDERS.api_version}/namespaces/{sample.name}/flunders"
    eventually(lambda: sample.api.request("GET", target).status == 404)
    eventually(lambda: not is_listed(sample))


@pytest.mark.conformance(
    "[sig-api-machinery] Aggregator Should be able to support the 1.17 Sample API Server using the current Aggregator "
    "[LinuxOnly] [Conformance]"
)
def test_an_api_server_in_a_pod_serves_a_group_of_its_own(sample: Space) -> None:
    requests_are_passed_on(sample)
    kubectl_knows_it(sample)
    who_may_is_asked_before(sample)
    statuses_and_labels_change(sample)
    it_goes_with_its_registration(sample)


def test_it_is_told_whom_to_believe(sample: Space) -> None:
    told = sample.api.get(CONFIG_MAPS, "extension-apiserver-authentication", "kube-system")["data"]
    assert json.loads(told["requestheader-allowed-names"]) == ["front-proxy-client"]
    assert json.loads(told["requestheader-username-headers"]) == ["X-Remote-User"]
    # And who comes without the proxy's certificate is believed nothing.
    address = f"https://{sample.get(SERVICES, 'sample-api')['spec']['clusterIP']}:7443/apis/{FLUNDERS.api_version}"
    asked = (address, "-k", "-H", "X-Remote-User: kubernetes-admin", "-w", "%{http_code}")
    # The API server goes to the pod; the node's way to the Service comes on its own.
    eventually(lambda: sample.cluster.curl(*asked).endswith("401"))
