"""Broken manifests get upstream's words from real kubectl."""

from __future__ import annotations

from functools import partial

import pytest
from tests.e2e.harness import Cluster, eventually, told

pytestmark = pytest.mark.root

POD = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  {extra}
  containers:
    - name: main
      image: {image}
      {more}
"""


def pod(name: str = "broken", *, image: str = "steersman.example/hello:1", extra: str = "", more: str = "") -> str:
    return POD.format(name=name, image=image, extra=extra, more=more)


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (
            pod(extra="hostNetwrok: true"),
            'Error from server (BadRequest): error when creating "STDIN": Pod in version "v1" cannot be handled as a Pod: '
            'strict decoding error: unknown field "spec.hostNetwrok"',
        ),
        (
            pod(more="ports: [{containerPort: many}]"),
            'Error from server (BadRequest): error when creating "STDIN": Pod in version "v1" cannot be handled as a Pod: '
            "json: cannot unmarshal string into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32",
        ),
        (
            pod(name="Not_A_Name"),
            'The Pod "Not_A_Name" is invalid: metadata.name: Invalid value: "Not_A_Name": a lowercase RFC 1123 subdomain must '
            "consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character "
            "(e.g. 'example.com', regex used for validation is "
            r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        ),
        (
            pod(more="resources: {requests: {cpu: 2}, limits: {cpu: 1}}"),
            'The Pod "broken" is invalid: spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal '
            "to cpu limit of 1",
        ),
    ],
)
def test_a_broken_manifest_is_refused_in_upstreams_words(cluster: Cluster, namespace: str, manifest: str, message: str) -> None:
    said = cluster.kubectl("apply", "-n", namespace, "-f", "-", stdin=manifest, code=1)
    assert message in said


def events(cluster: Cluster, namespace: str, name: str) -> str:
    return cluster.kubectl("describe", "pod", "-n", namespace, name)


def test_a_missing_image_is_told_in_status_and_events(cluster: Cluster, namespace: str) -> None:
    cluster.apply(pod("missing", image="127.0.0.1:1/no/such:1"), namespace=namespace)

    def waits() -> bool:
        status = cluster.get("-n", namespace, "pod", "missing")["status"]
        reason = status["containerStatuses"][0]["state"]["waiting"]["reason"]
        return reason in ("ErrImagePull", "ImagePullBackOff")

    eventually(waits)
    pulling, failed = (f'{what} image "127.0.0.1:1/no/such:1"' for what in ("Pulling", "Failed to pull"))
    told(partial(events, cluster, namespace, "missing"), pulling, failed, "Error: ImagePullBackOff")


def test_an_image_that_may_not_be_pulled_is_told(cluster: Cluster, namespace: str) -> None:
    cluster.apply(pod("never", image="never.example/x:1", more="imagePullPolicy: Never"), namespace=namespace)
    eventually(lambda: "ErrImageNeverPull" in cluster.kubectl("get", "pod", "-n", namespace, "never"))
    message = 'Container image "never.example/x:1" is not present with pull policy of Never'
    eventually(lambda: message in events(cluster, namespace, "never"))


def test_resources_no_node_has_leave_a_pod_pending_with_the_reason(cluster: Cluster, namespace: str) -> None:
    cluster.apply(pod("huge", more="resources: {requests: {cpu: 4000}}"), namespace=namespace)
    message = "0/1 nodes are available: 1 Insufficient cpu."
    eventually(lambda: message in events(cluster, namespace, "huge"))
    # The event and the condition are two writes.
    conditions = eventually(lambda: cluster.get("-n", namespace, "pod", "huge")["status"]["conditions"])
    (scheduled,) = [item for item in conditions if item["type"] == "PodScheduled"]
    assert (scheduled["status"], scheduled["reason"]) == ("False", "Unschedulable") and message in scheduled["message"]
