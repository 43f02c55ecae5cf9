"""Kinds with something of their own, over HTTP: autoscalers in two versions, jobs, certificate requests, classes."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.fakes.server import World, pod, world

from steersman.api.resources import (
    CERTIFICATE_SIGNING_REQUESTS,
    HORIZONTAL_POD_AUTOSCALERS,
    INGRESS_CLASSES,
    INGRESSES,
    JOBS,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    RUNTIME_CLASSES,
    STORAGE_CLASSES,
)
from steersman.apiserver import admission, authz
from steersman.apiserver.contracts import AdmissionPlugin, Listers, RequestInfo
from steersman.machinery.clock import VirtualClock
from steersman.machinery.errors import Forbidden, Invalid
from steersman.machinery.meta import Obj

HPAS = "/apis/autoscaling/{}/namespaces/default/horizontalpodautoscalers"
CSRS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
CHILDREN = "child pods are preserved by default when jobs are deleted"
OWN = ("DefaultStorageClass", "RuntimeClass", "CertificateRecord", "CertificateSubjectRestriction", "DefaultIngressClass")


def plugins(listers: Listers) -> list[AdmissionPlugin]:
    chain = admission.chain(listers, VirtualClock(), authz.build(listers))
    return [plugin for plugin in chain if plugin.name in OWN]


def run(scenario: Callable[[World], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        async with world(plugins=plugins, **settings) as w:
            await scenario(w)

    asyncio.run(main())


def autoscaler(version: str, **spec: Any) -> Obj:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    return {
        "apiVersion": f"autoscaling/{version}", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
        "spec": {"scaleTargetRef": target, "maxReplicas": 5, **spec},
    }  # fmt: skip


def test_an_autoscaler_is_one_object_in_two_versions() -> None:
    async def scenario(w: World) -> None:
        old = await w.obj("POST", HPAS.format("v1"), autoscaler("v1"))
        assert old["apiVersion"] == "autoscaling/v1"
        assert (old["spec"]["minReplicas"], old["spec"]["targetCPUUtilizationPercentage"]) == (1, 80)
        new = await w.obj("GET", HPAS.format("v2") + "/web")
        target = {"type": "Utilization", "averageUtilization": 80}
        assert new["apiVersion"] == "autoscaling/v2" and new["metadata"] == old["metadata"]
        assert new["spec"]["metrics"] == [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
        pods = {"type": "Pods", "pods": {"metric": {"name": "hits"}, "target": {"type": "AverageValue", "averageValue": "10"}}}
        changed = {**new, "spec": {**new["spec"], "metrics": [*new["spec"]["metrics"], pods], "behavior": {}}}
        new = await w.obj("PUT", HPAS.format("v2") + "/web", changed)
        old = await w.obj("GET", HPAS.format("v1") + "/web")
        metrics = orjson.loads(old["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/metrics"])
        assert metrics == [{"type": "Pods", "pods": {"metricName": "hits", "targetAverageValue": "10"}}]
        behavior = orjson.loads(old["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/behavior"])
        assert behavior["ScaleDown"] == {
            "SelectPolicy": "Max",
            "Policies": [{"Type": "Percent", "Value": 100, "PeriodSeconds": 15}],
        }
        old["spec"]["maxReplicas"] = 7
        await w.obj("PUT", HPAS.format("v1") + "/web", old)
        again = await w.client.get(HORIZONTAL_POD_AUTOSCALERS, "web", "default")
        assert again["spec"] == {**new["spec"], "maxReplicas": 7, "metrics": [pods, *new["spec"]["metrics"][:1]]}
        assert "annotations" not in again["metadata"]

    run(scenario)


def test_the_status_of_an_autoscaler_survives_writes_of_the_older_version() -> None:
    async def scenario(w: World) -> None:
        made = await w.obj("POST", HPAS.format("v2"), autoscaler("v2"))
        current = {"type": "Resource", "resource": {"name": "cpu", "current": {"averageValue": "5m", "averageUtilization": 50}}}
        condition = {"type": "AbleToScale", "status": "True"}
        status = {"currentReplicas": 1, "desiredReplicas": 2, "currentMetrics": [current], "conditions": [condition]}
        await w.obj("PUT", HPAS.format("v2") + "/web/status", {**made, "status": status})
        old = await w.obj("GET", HPAS.format("v1") + "/web")
        assert old["status"] == {"currentReplicas": 1, "desiredReplicas": 2, "currentCPUUtilizationPercentage": 50}
        await w.obj("PUT", HPAS.format("v1") + "/web", autoscaler("v1", maxReplicas=9))
        again = await w.client.get(HORIZONTAL_POD_AUTOSCALERS, "web", "default")
        assert (again["spec"]["maxReplicas"], again["status"]) == (9, status)
        refused = await w.obj("PUT", HPAS.format("v1") + "/web", autoscaler("v1", maxReplicas=0))
        assert [cause["field"] for cause in refused["details"]["causes"]] == ["spec.maxReplicas", "spec.maxReplicas"]

    run(scenario)


def job() -> Obj:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": {"template": template}}


@pytest.mark.parametrize(
    ("policy", "warned", "kept"), [("", True, ["orphan"]), ("Background", False, []), ("Orphan", False, ["orphan"])]
)
def test_deleting_a_job_leaves_its_pods_unless_told_otherwise(policy: str, warned: bool, kept: list[str]) -> None:
    async def scenario(w: World) -> None:
        made = await w.client.create(JOBS, job(), "default")
        assert made["spec"]["selector"]["matchLabels"] == {"batch.kubernetes.io/controller-uid": made["metadata"]["uid"]}
        path = "/apis/batch/v1/namespaces/default/jobs/once"
        answer = await w.raw("DELETE", f"{path}?propagationPolicy={policy}" if policy else path)
        assert (CHILDREN in answer.headers.get("warning", "")) is warned
        left = await w.obj("GET", path)
        assert left.get("metadata", {}).get("finalizers", []) == kept

    run(scenario)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/apis/batch/v1/jobs?fieldSelector=spec.x=1", 'field label "spec.x" not supported for Job'),
        (f"{CSRS}?fieldSelector=spec.x=1", "field label not supported: spec.x"),
    ],
)
def test_unknown_field_selectors_are_refused_in_the_words_of_the_kind(path: str, text: str) -> None:
    async def scenario(w: World) -> None:
        assert (await w.obj("GET", path))["message"] == text

    run(scenario)


def signing_request(organization: str = "dev", signer: str = "example.com/any") -> Obj:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    pem = b64encode(made.public_bytes(serialization.Encoding.PEM)).decode()
    return {
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": "mine"},
        "spec": {"request": pem, "signerName": signer, "usages": ["client auth"], "username": "somebody else"},
    }  # fmt: skip


def approved(obj: Obj, kind: str = "Approved") -> Obj:
    return {**obj, "status": {**obj.get("status", {}), "conditions": [{"type": kind, "status": "True"}]}}


def test_a_certificate_request_says_who_made_it_and_is_approved_before_it_is_signed() -> None:
    async def scenario(w: World) -> None:
        made = await w.obj("POST", CSRS, signing_request())
        assert (made["spec"]["username"], made["spec"]["groups"]) == ("alice", ["system:masters", "system:authenticated"])
        refused = await w.obj("PUT", f"{CSRS}/mine/status", approved(made))
        assert refused["message"].endswith('status.conditions: Forbidden: updates may not add a condition of type "Approved"')
        done = await w.obj("PUT", f"{CSRS}/mine/approval", {**approved(made), "spec": {}})
        condition = done["status"]["conditions"][0]
        assert done["spec"] == made["spec"] and condition["lastUpdateTime"] == condition["lastTransitionTime"]
        refused = await w.obj("PUT", f"{CSRS}/mine/approval", {**done, "status": {}})
        assert refused["message"].endswith('updates may not remove a condition of type "Approved"')
        refused = await w.obj(
            "PUT", f"{CSRS}/mine/status", {**done, "status": {**done["status"], "certificate": b64encode(b"x").decode()}}
        )
        text = 'status.certificate: Invalid value: "<certificate data>": must contain at least one CERTIFICATE PEM block'
        assert refused["message"].endswith(text)
        kept = await w.obj("PUT", f"{CSRS}/mine", {**done, "spec": {"signerName": "example.com/other"}, "status": {}})
        assert (kept["spec"], kept["status"]) == (done["spec"], done["status"])
        patched = await w.client.patch(
            CERTIFICATE_SIGNING_REQUESTS, "mine", {"metadata": {"labels": {"a": "b"}}}, subresource="approval"
        )
        assert patched["metadata"]["labels"] == {"a": "b"} and patched["status"] == done["status"]

    run(scenario)


def test_no_certificate_makes_its_holder_a_master() -> None:
    async def scenario(w: World) -> None:
        signer = "kubernetes.io/kube-apiserver-client"
        with pytest.raises(Forbidden, match=f"use of {signer} signer with system:masters group is not allowed"):
            await w.client.create(CERTIFICATE_SIGNING_REQUESTS, signing_request("system:masters", signer))
        await w.client.create(CERTIFICATE_SIGNING_REQUESTS, signing_request("dev", signer))

    run(scenario)


def test_signers_are_approved_for_and_signed_for_by_those_who_may() -> None:
    asked: list[RequestInfo] = []

    def denied(info: RequestInfo) -> bool:
        asked.append(info)
        return info.plural == "signers"

    async def scenario() -> None:
        def chain(listers: Listers) -> list[AdmissionPlugin]:
            from tests.fakes.server import Everybody

            from steersman.apiserver.admission.certificates import CertificateApproval, CertificateSigning

            rights: Any = Everybody(denied)
            return [CertificateApproval(rights), CertificateSigning(rights)]

        async with world(plugins=chain) as w:
            made = await w.obj("POST", CSRS, signing_request())
            answers = [await w.obj("PUT", f"{CSRS}/mine/{part}", approved(made, kind)) for part, kind in
                       (("approval", "Approved"), ("status", "Failed"))]  # fmt: skip
            assert [answer["message"].rpartition("forbidden: ")[2] for answer in answers] == [
                f'user not permitted to {verb} requests with signerName "example.com/any"' for verb in ("approve", "sign")
            ]
            unchanged = await w.obj("PUT", f"{CSRS}/mine/status", made)
            assert unchanged["kind"] == "CertificateSigningRequest"

    asyncio.run(scenario())
    assert [(info.verb, info.name) for info in asked] == [
        (verb, name) for verb in ("approve", "sign") for name in ("example.com/any", "example.com/*")
    ]


def runtime_class(**fields: Any) -> Obj:
    return {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "kata"}, "handler": "kata", **fields}


def test_a_pod_gets_what_its_runtime_class_costs_and_where_it_runs() -> None:
    async def scenario(w: World) -> None:
        toleration = {"key": "kata", "operator": "Exists"}
        scheduling = {"nodeSelector": {"kata": "yes"}, "tolerations": [toleration]}
        await w.client.create(RUNTIME_CLASSES, runtime_class(overhead={"podFixed": {"cpu": "100m"}}, scheduling=scheduling))
        spec = {**pod()["spec"], "runtimeClassName": "kata"}
        made = await w.client.create(PODS, {**pod(), "spec": spec}, "default")
        assert made["spec"]["overhead"] == {"cpu": "100m"}
        assert made["spec"]["nodeSelector"] == {"kata": "yes"} and toleration in made["spec"]["tolerations"]
        with pytest.raises(Forbidden, match="nodeSelector\\[kata\\] = yes; pod.spec.nodeSelector\\[kata\\] = no"):
            await w.client.create(PODS, {**pod("b"), "spec": {**spec, "nodeSelector": {"kata": "no"}}}, "default")
        with pytest.raises(Forbidden, match='pod rejected: RuntimeClass "none" not found'):
            await w.client.create(PODS, {**pod("c"), "spec": {**spec, "runtimeClassName": "none"}}, "default")
        with pytest.raises(Forbidden, match="Pod Overhead set without corresponding RuntimeClass"):
            await w.client.create(PODS, {**pod("d"), "spec": {**pod()["spec"], "overhead": {"cpu": "1"}}}, "default")
        with pytest.raises(Invalid, match='handler: Invalid value: "runc": field is immutable'):
            await w.client.patch(RUNTIME_CLASSES, "kata", {"handler": "runc"})

    run(scenario)


def classes(kind: str, mark: str, **fields: Any) -> list[Obj]:
    """Two classes that both say they are the default, and one that does not."""
    made = []
    for name, value in (("b", "true"), ("a", "true"), ("c", "false")):
        made.append({"kind": kind, "metadata": {"name": name, "annotations": {mark: value}}, **fields})
    return made


def test_who_names_no_class_gets_the_default_one() -> None:
    async def scenario(w: World) -> None:
        for item in classes("StorageClass", "storageclass.kubernetes.io/is-default-class", provisioner="example.com/disk"):
            await w.client.create(STORAGE_CLASSES, item)
        for item in classes(
            "IngressClass", "ingressclass.kubernetes.io/is-default-class", spec={"controller": "example.com/proxy"}
        ):
            await w.client.create(INGRESS_CLASSES, item)
        await w.server.registry.lister(INGRESS_CLASSES).settle()
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        found = []
        for name, extra in (("x", {}), ("y", {"storageClassName": ""})):
            made = await w.client.create(PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": name}, "spec": claim | extra}, "default")
            found.append(made["spec"]["storageClassName"])
        assert found == ["a", ""]
        backend = {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}}
        made = await w.client.create(INGRESSES, {"metadata": {"name": "x"}, "spec": backend}, "default")
        assert made["spec"]["ingressClassName"] == "a"
        old = {"name": "y", "annotations": {"kubernetes.io/ingress.class": "c"}}
        made = await w.client.create(INGRESSES, {"metadata": old, "spec": backend}, "default")
        assert "ingressClassName" not in made["spec"]

    run(scenario)
