"""[sig-api-machinery] AdmissionWebhook: the whole way to webhooks that run in a pod, behind a Service with a port of its own.

What they do to requests is in test_admission_webhooks.py.
"""

from __future__ import annotations

import base64
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.objects import controller, pod
from tests.conformance.space import Space, eventually
from tests.conformance.webhook_server import PORT
from tests.fakes import certs

from steersman.api.groups.admissionregistration_v1 import MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS
from steersman.api.resources import CONFIG_MAPS, DEPLOYMENTS, PODS, SECRETS, SERVICES
from steersman.machinery.errors import InternalError, StatusError
from steersman.machinery.meta import Obj, name_of

pytestmark = pytest.mark.root

SERVER = Path(__file__).with_name("webhook_server.py")
NAME, APP = "e2e-test-webhook", "sample-webhook"
SERVICE_PORT = 8443
FILES = "/mnt"
LISTENING = ["CREATE", "UPDATE", "DELETE"]
_numbers = itertools.count(1)

Register = Callable[..., None]


def deployed(space: Space, directory: Path) -> str:
    """The webhooks and their Service, paired with its endpoint; the bundle that vouches for them."""
    ca, key = certs.authority(directory / "ca.crt")
    cert_file, key_file = certs.signed(directory / "tls", NAME, ca, key, f"{NAME}.{space.name}.svc")
    space.create(
        SECRETS, {"metadata": {"name": "serving"}, "stringData": {it.name: it.read_text() for it in (cert_file, key_file)}}
    )
    server = controller(APP, script=f"exec chroot /host {sys.executable} {SERVER} {FILES}")
    spec = server["spec"]["template"]["spec"]
    spec["terminationGracePeriodSeconds"] = 0
    spec["volumes"] = [
        {"name": "host", "hostPath": {"path": "/"}},
        {"name": "files", "secret": {"secretName": "serving"}},
    ]
    spec["containers"][0] |= {
        # The image is busybox; the machine's files, read-only, are where there is a Python.
        "volumeMounts": [
            {"name": "host", "mountPath": "/host", "readOnly": True},
            {"name": "files", "mountPath": f"/host{FILES}", "readOnly": True},
        ],
        "readinessProbe": {
            "httpGet": {"scheme": "HTTPS", "path": "/readyz", "port": PORT},
            "periodSeconds": 1,
            "timeoutSeconds": 60,
        },
    }
    space.create(DEPLOYMENTS, server)
    space.until(DEPLOYMENTS, APP, lambda it: it["status"].get("availableReplicas") == 1)
    ports = [{"port": SERVICE_PORT, "targetPort": PORT, "protocol": "TCP"}]
    space.create(SERVICES, {"metadata": {"name": NAME}, "spec": {"selector": {"app": APP}, "ports": ports}})
    eventually(lambda: len(space.addresses(NAME)) == 1)
    return base64.b64encode((directory / "ca.crt").read_bytes()).decode()


def rule(operations: list[str], resources: str) -> list[Obj]:
    return [{"operations": operations, "apiGroups": [""], "apiVersions": ["v1"], "resources": [resources]}]


def webhook(space: Space, path: str, rules: list[Obj], bundle: str, **fields: Any) -> Obj:
    reference = {"namespace": space.name, "name": NAME, "path": path, "port": SERVICE_PORT}
    return {
        "name": f"number-{next(_numbers)}.k8s.io",
        "rules": rules,
        "clientConfig": {"service": reference, "caBundle": bundle},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1", "v1beta1"],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": space.name}},
        "timeoutSeconds": 30,
        **fields,
    }


def config_map(name: str, **data: str) -> Obj:
    return {"metadata": {"name": name}, "data": data}


@pytest.fixture
def register(space: Space, tmp_path: Path) -> Iterator[Register]:
    """Registers a webhook; it is asked when the call returns. What marks that is a ConfigMap whose name only its own
    configuration refuses: `marker-<number>-…`."""
    bundle = deployed(space, tmp_path)
    made: list[tuple[Any, str]] = []

    def create(path: str, rules: list[Obj], *, mutating: bool = False, trusted: bool = True, **fields: Any) -> None:
        kind = MUTATING_WEBHOOKS.resource if mutating else VALIDATING_WEBHOOKS.resource
        told = [webhook(space, path, rules, bundle if trusted else "", **fields)]
        mark = f"marker-{next(_numbers)}-"
        named = [{"name": "marker", "expression": f"object.metadata.name.startsWith('{mark}')"}]
        told += [
            webhook(space, "/always-deny", rule(["CREATE"], "configmaps"), bundle, failurePolicy="Ignore", matchConditions=named)
        ]
        told[0]["matchConditions"] = [{"name": "no-marker", "expression": "!request.name.startsWith('marker-')"}]
        name = f"webhooks-{next(_numbers)}-{space.name}"
        space.api.create(kind, {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}, "webhooks": told})
        made.append((kind, name))

        def refused() -> bool:
            try:
                space.create(CONFIG_MAPS, config_map(f"{mark}{next(_numbers)}"))
            except StatusError as error:
                assert "denied the request: this webhook denies all requests" in error.message
                return True
            return False

        eventually(refused)

    yield create
    for kind, name in made:
        space.api.delete(kind, name)


def refusal(write: Callable[[], object]) -> StatusError:
    with pytest.raises(StatusError) as caught:
        write()
    return caught.value


def test_webhooks_in_a_pod_refuse_and_change(space: Space, register: Register) -> None:
    register("/configmaps", rule(LISTENING, "configmaps"))
    register("/mutating-configmaps", rule(["CREATE"], "configmaps"), mutating=True)
    error = refusal(lambda: space.create(CONFIG_MAPS, config_map("offending", **{"webhook-e2e-test": "webhook-disallow"})))
    assert error.message.endswith("denied the request: the configmap contains unwanted key and value")
    made = space.create(CONFIG_MAPS, config_map("good", a="b"))
    assert made["data"] == {"a": "b", "mutation-stage-1": "yes"}
    made["data"]["webhook-e2e-test"] = "webhook-disallow"
    assert "unwanted key and value" in refusal(lambda: space.update(CONFIG_MAPS, made)).message
    space.delete(CONFIG_MAPS, "good")


def test_attaching_is_refused_by_a_webhook_in_a_pod(space: Space, register: Register) -> None:
    register("/pods/attach", rule(["CONNECT"], "pods/attach"))
    space.running(pod("sleep 1000", name="attached"))
    said = space.kubectl("attach", "attached", "-i", "-c=main", code=1)
    assert "attaching to pod 'attached' is not allowed" in said


def test_a_slow_webhook_is_waited_for_as_long_as_it_says(space: Space, register: Register) -> None:
    register("/always-allow-delay-5s", rule(["CREATE"], "configmaps"), timeoutSeconds=1)
    error = refusal(lambda: space.create(CONFIG_MAPS, config_map("impatient")))
    assert isinstance(error, InternalError)
    assert "/always-allow-delay-5s?timeout=1s" in error.message and "context deadline exceeded" in error.message


def test_a_webhook_without_a_bundle_is_not_believed(space: Space, register: Register) -> None:
    register("/configmaps", rule(["CREATE"], "configmaps"), trusted=False)
    error = refusal(lambda: space.create(CONFIG_MAPS, config_map("any")))
    assert isinstance(error, InternalError) and "failed to verify certificate" in error.message


def test_the_pod_behind_a_webhook_may_be_replaced(space: Space, register: Register) -> None:
    register("/mutating-configmaps", rule(["CREATE"], "configmaps"), mutating=True)
    before = [name_of(it) for it in space.list(PODS, f"app={APP}")]
    space.patch(DEPLOYMENTS, APP, {"spec": {"template": {"metadata": {"annotations": {"restarted": "yes"}}}}})

    def complete(it: Obj) -> bool:
        status = it["status"]
        current = status.get("observedGeneration", 0) >= it["metadata"]["generation"]
        return current and all(status.get(key) == 1 for key in ("replicas", "updatedReplicas", "availableReplicas"))

    space.until(DEPLOYMENTS, APP, complete)
    after = [name_of(it) for it in space.list(PODS, f"app={APP}")]
    assert len(after) == 1 and after != before
    changed = {"a": "b", "mutation-stage-1": "yes"}
    eventually(lambda: space.create(CONFIG_MAPS, config_map(f"later-{next(_numbers)}", a="b"))["data"] == changed)
