"""The kinds whose API operations test_api_operations.py walks through, each with a body that is valid for it."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from steersman.api.resources import (
    CERTIFICATE_SIGNING_REQUESTS,
    INGRESS_CLASSES,
    INGRESSES,
    RUNTIME_CLASSES,
    STORAGE_CLASSES,
)
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

NOW = "2026-01-02T03:04:05Z"


def condition(kind: str) -> Obj:
    return {"type": kind, "status": "True", "reason": "Tested", "message": "Set from a test", "lastTransitionTime": NOW}


def _plain(number: int) -> str:
    return f"walk-{number}"


@dataclass(frozen=True)
class Walk:
    """One kind. `body`: an object without metadata. `name`: that of the n-th object.

    `parts`: subresource -> what is written there, as the object's top-level fields.
    """

    codename: str
    resource: Resource
    body: Callable[[], Obj]
    parts: dict[str, Obj] = field(default_factory=dict)
    name: Callable[[int], str] = _plain


def _cluster(group: str, plural: str, kind: str) -> Resource:
    return Resource(group, "v1", plural, False, kind)


def _flow_schema() -> Obj:
    rule = {
        "subjects": [{"kind": "User", "user": {"name": "nobody-at-all"}}],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
    }
    level = {"name": "global-default"}
    method = {"type": "ByUser"}
    return {
        "spec": {"matchingPrecedence": 9000, "priorityLevelConfiguration": level, "distinguisherMethod": method, "rules": [rule]}
    }


def _priority_level() -> Obj:
    return {"spec": {"type": "Limited", "limited": {"nominalConcurrencyShares": 2, "limitResponse": {"type": "Reject"}}}}


def _signing_request() -> Obj:
    key = ec.generate_private_key(ec.SECP256R1())
    named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "walker")])
    request = x509.CertificateSigningRequestBuilder().subject_name(named).sign(key, hashes.SHA256())
    pem = base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()
    usages = ["digital signature", "key encipherment", "server auth"]
    return {"spec": {"request": pem, "signerName": "example.com/walk", "expirationSeconds": 3600, "usages": usages}}


def _ingress() -> Obj:
    backend = {"service": {"name": "default-backend", "port": {"number": 80}}}
    return {"spec": {"defaultBackend": backend, "rules": [{"host": "walk.example.com"}]}}


def _capacity() -> Obj:
    return {"storageClassName": "walk", "capacity": "1Gi", "nodeTopology": {"matchLabels": {"zone": "a"}}}


def _attachment() -> Obj:
    return {"spec": {"attacher": "walk.example.com", "nodeName": "node", "source": {"persistentVolumeName": "volume"}}}


def _attributes() -> Obj:
    return {"driverName": "walk.example.com", "parameters": {"iops": "100"}}


REQUESTS: Obj = {"devices": {"requests": [{"name": "gpu", "exactly": {"deviceClassName": "gpu.example.com"}}]}}
DEVICE: Obj = {"driver": "gpu.example.com", "pool": "node", "device": "gpu-0"}


def _slice() -> Obj:
    pool = {"name": "node", "generation": 1, "resourceSliceCount": 1}
    devices = [{"name": "gpu-0", "attributes": {"model": {"string": "one"}}, "capacity": {"memory": {"value": "8Gi"}}}]
    return {"spec": {"driver": "gpu.example.com", "nodeName": "node", "pool": pool, "devices": devices}}


def _device_class() -> Obj:
    return {"spec": {"selectors": [{"cel": {"expression": 'device.driver == "gpu.example.com"'}}]}}


def _same(body: Obj) -> Callable[[], Obj]:
    return lambda: copy.deepcopy(body)


FLOW, NETWORKING, STORAGE = "flowcontrol.apiserver.k8s.io", "networking.k8s.io", "storage.k8s.io"
ATTACHMENTS = _cluster(STORAGE, "volumeattachments", "VolumeAttachment")
DRA = "resource.k8s.io"
_DRA = "[sig-node] [DRA] CRUD Tests resource.k8s.io/v1"
_FLOW = "[sig-api-machinery] API priority and fairness should support"

_MATCHING = {
    "resourceRules": [
        {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"], "scope": "*"}
    ]
}
_LABELLED = {"namespaceSelector": {"matchLabels": {"walk": "never"}}}
_MUTATION = {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{}"}}
_VALIDATING = "[sig-api-machinery] ValidatingAdmissionPolicy [Privileged:ClusterAdmin]"
_MUTATING = "[sig-api-machinery] MutatingAdmissionPolicy [Privileged:ClusterAdmin]"
_ADMISSION = "admissionregistration.k8s.io"

WALKS: tuple[Walk, ...] = (
    Walk(
        f"{_FLOW} FlowSchema API operations [Conformance]",
        _cluster(FLOW, "flowschemas", "FlowSchema"),
        _flow_schema,
        {"status": {"status": {"conditions": [condition("Dangling")]}}},
    ),
    Walk(
        f"{_FLOW} PriorityLevelConfiguration API operations [Conformance]",
        _cluster(FLOW, "prioritylevelconfigurations", "PriorityLevelConfiguration"),
        _priority_level,
        {"status": {"status": {"conditions": [condition("Walked")]}}},
    ),
    Walk(
        "[sig-auth] Certificates API [Privileged:ClusterAdmin] should support CSR API operations [Conformance]",
        CERTIFICATE_SIGNING_REQUESTS,
        _signing_request,
        {
            "approval": {"status": {"conditions": [condition("Approved")]}},
            "status": {"status": {"conditions": [condition("Approved"), condition("Failed")]}},
        },
    ),
    Walk(
        "[sig-network] Ingress API should support creating Ingress API operations [Conformance]",
        INGRESSES,
        _ingress,
        {"status": {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}},
    ),
    Walk(
        "[sig-network] IngressClass API should support creating IngressClass API operations [Conformance]",
        INGRESS_CLASSES,
        _same({"spec": {"controller": "example.com/controller"}}),
    ),
    Walk(
        "[sig-network] ServiceCIDR and IPAddress API should support IPAddress API operations [Conformance]",
        _cluster(NETWORKING, "ipaddresses", "IPAddress"),
        _same({"spec": {"parentRef": {"resource": "services", "namespace": "default", "name": "other"}}}),
        name=lambda number: f"192.168.1.{number}",
    ),
    Walk(
        "[sig-network] ServiceCIDR and IPAddress API should support ServiceCIDR API operations [Conformance]",
        _cluster(NETWORKING, "servicecidrs", "ServiceCIDR"),
        _same({"spec": {"cidrs": ["10.10.0.0/24"]}}),
        {"status": {"status": {"conditions": [condition("Walked")]}}},
    ),
    Walk(
        "[sig-node] RuntimeClass should support RuntimeClasses API operations [Conformance]",
        RUNTIME_CLASSES,
        _same({"handler": "walk"}),
    ),
    Walk(
        "[sig-storage] CSIInlineVolumes should run through the lifecycle of a CSIDriver [Conformance]",
        _cluster(STORAGE, "csidrivers", "CSIDriver"),
        _same({"spec": {"attachRequired": False, "volumeLifecycleModes": ["Ephemeral"]}}),
        name=lambda number: f"walk-{number}.example.com",
    ),
    Walk(
        "[sig-storage] CSINodes CSI Conformance should run through the lifecycle of a csinode [Conformance]",
        _cluster(STORAGE, "csinodes", "CSINode"),
        _same({"spec": {"drivers": [{"name": "walk.example.com", "nodeID": "node", "topologyKeys": ["zone"]}]}}),
    ),
    Walk(
        "[sig-storage] CSIStorageCapacity should support CSIStorageCapacities API operations [Conformance]",
        Resource(STORAGE, "v1", "csistoragecapacities", kind="CSIStorageCapacity"),
        _capacity,
    ),
    Walk(
        "[sig-storage] StorageClasses CSI Conformance should run through the lifecycle of a StorageClass [Conformance]",
        STORAGE_CLASSES,
        _same({"provisioner": "walk.example.com", "parameters": {"type": "gold"}}),
    ),
    Walk(
        "[sig-storage] VolumeAttachment Conformance should run through the lifecycle of a VolumeAttachment [Conformance]",
        ATTACHMENTS,
        _attachment,
    ),
    Walk(
        "[sig-storage] VolumeAttachment Conformance should apply changes to a volumeattachment status [Conformance]",
        ATTACHMENTS,
        _attachment,
        {"status": {"status": {"attached": True, "attachmentMetadata": {"device": "/dev/walk"}}}},
    ),
    Walk(
        "[sig-storage] VolumeAttributesClass [FeatureGate:VolumeAttributesClass] should run through the lifecycle of a "
        "VolumeAttributesClass [Conformance]",
        _cluster(STORAGE, "volumeattributesclasses", "VolumeAttributesClass"),
        _attributes,
    ),
    Walk(f"{_DRA} DeviceClass [Conformance]", _cluster(DRA, "deviceclasses", "DeviceClass"), _device_class),
    Walk(
        f"{_DRA} ResourceClaim [Conformance]",
        Resource(DRA, "v1", "resourceclaims", kind="ResourceClaim"),
        _same({"spec": REQUESTS}),
        {
            "status": {
                "status": {
                    "allocation": {"devices": {"results": [{"request": "gpu", **DEVICE}]}},
                    "reservedFor": [{"resource": "pods", "name": "user", "uid": "1"}],
                    "devices": [{**DEVICE, "conditions": [condition("Ready")]}],
                }
            }
        },
    ),
    Walk(
        f"{_DRA} ResourceClaimTemplate [Conformance]",
        Resource(DRA, "v1", "resourceclaimtemplates", kind="ResourceClaimTemplate"),
        _same({"spec": {"metadata": {"labels": {"a": "b"}}, "spec": REQUESTS}}),
    ),
    Walk(f"{_DRA} ResourceSlice [Conformance]", _cluster(DRA, "resourceslices", "ResourceSlice"), _slice),
    Walk(
        f"{_VALIDATING} should support ValidatingAdmissionPolicy API operations [Conformance]",
        _cluster(_ADMISSION, "validatingadmissionpolicies", "ValidatingAdmissionPolicy"),
        _same({"spec": {"matchConstraints": _MATCHING, "validations": [{"expression": "object.spec.replicas > 1"}]}}),
        {"status": {"status": {"conditions": [condition("StatusUpdated")]}}},
    ),
    Walk(
        f"{_VALIDATING} should support ValidatingAdmissionPolicyBinding API operations [Conformance]",
        _cluster(_ADMISSION, "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding"),
        _same({"spec": {"policyName": "none", "validationActions": ["Deny"], "matchResources": _LABELLED}}),
    ),
    Walk(
        f"{_MUTATING} should support MutatingAdmissionPolicy API operations [Conformance]",
        _cluster(_ADMISSION, "mutatingadmissionpolicies", "MutatingAdmissionPolicy"),
        _same({"spec": {"matchConstraints": _MATCHING, "mutations": [_MUTATION], "reinvocationPolicy": "Never"}}),
    ),
    Walk(
        f"{_MUTATING} should support MutatingAdmissionPolicyBinding API operations [Conformance]",
        _cluster(_ADMISSION, "mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding"),
        _same({"spec": {"policyName": "none", "matchResources": _LABELLED}}),
    ),
)
