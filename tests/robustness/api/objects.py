"""Good objects of many kinds, small but with something of everything: what hostile ones are made from."""

from __future__ import annotations

import base64
import copy
from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from steersman.machinery.meta import Obj


def _csr() -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "n")])
    made = (
        x509.CertificateSigningRequestBuilder().subject_name(name).sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    )
    return base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode()


_LABELS = {"app": "a"}
_SELECTOR = {"matchLabels": _LABELS, "matchExpressions": [{"key": "app", "operator": "In", "values": ["a"]}]}
_PROBE = {"httpGet": {"path": "/", "port": 80, "httpHeaders": [{"name": "X", "value": "y"}]}, "periodSeconds": 5}
_CONTAINER: Obj = {
    "name": "c",
    "image": "busybox:1",
    "command": ["sh"],
    "args": ["-c", "$(A)"],
    "env": [
        {"name": "A", "value": "b"},
        {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}},
        {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "D", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
    ],
    "envFrom": [{"secretRef": {"name": "s"}, "prefix": "P_"}],
    "ports": [{"name": "http", "containerPort": 80, "protocol": "TCP"}],
    "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "10Mi"}},
    "volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "x"}],
    "livenessProbe": {"exec": {"command": ["true"]}, "timeoutSeconds": 1},
    "readinessProbe": _PROBE,
    "startupProbe": {"tcpSocket": {"port": "http"}},
    "lifecycle": {"preStop": {"exec": {"command": ["true"]}}},
    "securityContext": {"runAsUser": 1, "capabilities": {"add": ["NET_ADMIN"]}, "seccompProfile": {"type": "RuntimeDefault"}},
}
_POD_SPEC: Obj = {
    "containers": [_CONTAINER],
    "initContainers": [{"name": "i", "image": "i", "restartPolicy": "Always"}],
    "volumes": [
        {"name": "v", "emptyDir": {"sizeLimit": "1Mi"}},
        {"name": "w", "configMap": {"name": "m", "items": [{"key": "k", "path": "p", "mode": 256}]}},
        {"name": "x", "projected": {"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}]}},
        {"name": "y", "downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        {"name": "z", "hostPath": {"path": "/z", "type": "Directory"}},
    ],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "k", "operator": "Gt", "values": ["1"]}]}]
            }
        },
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "podAffinityTerm": {"labelSelector": _SELECTOR, "topologyKey": "kubernetes.io/hostname"}}
            ]
        },
    },
    "tolerations": [{"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}],
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": _SELECTOR}
    ],
    "nodeSelector": {"a": "b"},
    "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["h"]}],
    "dnsConfig": {"nameservers": ["10.0.0.2"], "searches": ["x.y"], "options": [{"name": "ndots", "value": "5"}]},
    "securityContext": {"fsGroup": 1, "sysctls": [{"name": "net.ipv4.ip_forward", "value": "1"}]},
    "imagePullSecrets": [{"name": "s"}],
    "readinessGates": [{"conditionType": "x.y/z"}],
    "terminationGracePeriodSeconds": 5,
}
_TEMPLATE: Obj = {
    "metadata": {"labels": _LABELS},
    "spec": {"containers": [_CONTAINER], "volumes": [{"name": "v", "emptyDir": {}}]},
}
_JOB: Obj = {
    "completions": 2,
    "parallelism": 1,
    "backoffLimit": 1,
    "completionMode": "Indexed",
    "podFailurePolicy": {
        "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]
    },
    "template": {"spec": {"containers": [{"name": "c", "image": "i"}], "restartPolicy": "Never"}},
}  # fmt: skip
_RULE: Obj = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]}
_WEBHOOK: Obj = {
    "name": "w.x.y",
    "clientConfig": {"url": "https://127.0.0.1:1/x"},
    "rules": [_RULE],
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
    "matchConditions": [{"name": "m", "expression": "object.metadata.name == 'nobody'"}],
    "failurePolicy": "Ignore",
    "objectSelector": {"matchLabels": {"nobody": "has"}},
}
_SPECS: Mapping[tuple[str, str, str], Obj] = {
    ("v1", "Pod", "pods"): {
        "spec": _POD_SPEC,
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    },
    ("v1", "ConfigMap", "configmaps"): {"data": {"a": "b"}, "binaryData": {"c": "ZA=="}, "immutable": False},
    ("v1", "Secret", "secrets"): {"type": "Opaque", "data": {"a": "Yg=="}, "stringData": {"c": "d"}},
    ("v1", "Service", "services"): {
        "spec": {
            "type": "NodePort",
            "selector": _LABELS,
            "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}, {"name": "u", "port": 81}],
            "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 5}},
            "externalIPs": ["10.1.1.1"],
            "ipFamilyPolicy": "SingleStack",
        }
    },
    ("v1", "Endpoints", "endpoints"): {
        "subsets": [{"addresses": [{"ip": "10.1.1.1", "hostname": "h"}], "ports": [{"name": "p", "port": 1}]}]
    },
    ("v1", "PersistentVolumeClaim", "persistentvolumeclaims"): {
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
            "selector": _SELECTOR,
            "dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "p"},
        }
    },
    ("v1", "ReplicationController", "replicationcontrollers"): {"spec": {"selector": _LABELS, "template": _TEMPLATE}},
    ("v1", "ResourceQuota", "resourcequotas"): {
        "spec": {
            "hard": {"pods": "1000000", "requests.cpu": "1000000"},
            "scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["x"]}]},
        }
    },
    ("v1", "LimitRange", "limitranges"): {
        "spec": {"limits": [{"type": "PersistentVolumeClaim", "max": {"storage": "1Ti"}, "min": {"storage": "1"}}]}
    },
    ("v1", "Event", "events"): {
        "involvedObject": {"kind": "Pod", "namespace": "default", "name": "a"},
        "reason": "R",
        "message": "m",
        "type": "Normal",
    },
    ("v1", "PodTemplate", "podtemplates"): {"template": _TEMPLATE},
    ("v1", "ServiceAccount", "serviceaccounts"): {"secrets": [{"name": "s"}], "automountServiceAccountToken": False},
    ("apps/v1", "Deployment", "deployments"): {
        "spec": {
            "replicas": 1,
            "selector": _SELECTOR,
            "template": _TEMPLATE,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}},
        }
    },
    ("apps/v1", "StatefulSet", "statefulsets"): {
        "spec": {
            "serviceName": "s",
            "selector": _SELECTOR,
            "template": _TEMPLATE,
            "volumeClaimTemplates": [
                {
                    "metadata": {"name": "v"},
                    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1"}}},
                }
            ],
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}},
        }
    },
    ("apps/v1", "DaemonSet", "daemonsets"): {"spec": {"selector": _SELECTOR, "template": _TEMPLATE}},
    ("apps/v1", "ReplicaSet", "replicasets"): {"spec": {"selector": _SELECTOR, "template": _TEMPLATE}},
    ("batch/v1", "Job", "jobs"): {"spec": _JOB},
    ("batch/v1", "CronJob", "cronjobs"): {
        "spec": {"schedule": "*/5 * * * *", "timeZone": "Etc/UTC", "jobTemplate": {"spec": _JOB}}
    },
    ("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"): {
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
            "minReplicas": 1,
            "maxReplicas": 3,
            "metrics": [
                {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 5}}}
            ],
            "behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 5}]}},
        }
    },
    ("networking.k8s.io/v1", "Ingress", "ingresses"): {
        "spec": {
            "tls": [{"hosts": ["a.b"], "secretName": "s"}],
            "rules": [
                {
                    "host": "*.a.b",
                    "http": {
                        "paths": [
                            {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "s", "port": {"number": 80}}}}
                        ]
                    },
                }
            ],
        }
    },
    ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"): {
        "spec": {
            "podSelector": _SELECTOR,
            "ingress": [
                {
                    "from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}, {"namespaceSelector": {}}],
                    "ports": [{"port": 80, "endPort": 90}],
                }
            ],
            "policyTypes": ["Ingress"],
        }
    },
    ("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"): {"spec": {"minAvailable": "50%", "selector": _SELECTOR}},
    ("rbac.authorization.k8s.io/v1", "Role", "roles"): {
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], "resourceNames": ["a"]}]
    },
    ("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings"): {
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        "subjects": [{"kind": "User", "name": "u", "apiGroup": "rbac.authorization.k8s.io"}],
    },
    ("discovery.k8s.io/v1", "EndpointSlice", "endpointslices"): {
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.1.1.1"], "conditions": {"ready": True}, "hints": {"forZones": [{"name": "z"}]}}],
        "ports": [{"name": "p", "port": 80, "protocol": "TCP"}],
    },
    ("coordination.k8s.io/v1", "Lease", "leases"): {
        "spec": {"holderIdentity": "h", "leaseDurationSeconds": 5, "renewTime": "2024-01-01T00:00:00.000000Z"}
    },
    ("events.k8s.io/v1", "Event", "events"): {
        "eventTime": "2024-01-01T00:00:00.000000Z",
        "reportingController": "c",
        "reportingInstance": "i",
        "action": "A",
        "reason": "R",
        "type": "Normal",
        "regarding": {"kind": "Pod", "namespace": "default", "name": "a"},
    },
}
_CLUSTER: Mapping[tuple[str, str, str], Obj] = {
    ("v1", "Namespace", "namespaces"): {"spec": {"finalizers": ["kubernetes"]}},
    ("v1", "Node", "nodes"): {
        "spec": {"podCIDR": "10.2.0.0/24", "podCIDRs": ["10.2.0.0/24"], "taints": [{"key": "k", "effect": "NoSchedule"}]},
        "status": {"capacity": {"cpu": "1"}, "addresses": [{"type": "InternalIP", "address": "10.0.0.9"}]},
    },
    ("v1", "PersistentVolume", "persistentvolumes"): {
        "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/p"}}
    },
    ("storage.k8s.io/v1", "StorageClass", "storageclasses"): {
        "provisioner": "p.x/y",
        "parameters": {"a": "b"},
        "allowedTopologies": [{"matchLabelExpressions": [{"key": "k", "values": ["v"]}]}],
    },
    ("storage.k8s.io/v1", "CSIDriver", "csidrivers"): {"spec": {"attachRequired": True}},
    ("storage.k8s.io/v1", "VolumeAttachment", "volumeattachments"): {
        "spec": {"attacher": "a", "nodeName": "n", "source": {"persistentVolumeName": "p"}}
    },
    ("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses"): {"value": 5, "preemptionPolicy": "Never"},
    ("node.k8s.io/v1", "RuntimeClass", "runtimeclasses"): {"handler": "h", "overhead": {"podFixed": {"cpu": "1m"}}},
    ("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles"): {
        "rules": [{"nonResourceURLs": ["/x/*"], "verbs": ["get"]}],
        "aggregationRule": {"clusterRoleSelectors": [_SELECTOR]},
    },
    ("certificates.k8s.io/v1", "CertificateSigningRequest", "certificatesigningrequests"): {
        "spec": {"request": _csr(), "signerName": "x.y/z", "usages": ["client auth"], "expirationSeconds": 600}
    },
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations"): {
        "webhooks": [_WEBHOOK]
    },
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies"): {
        "spec": {
            "matchConstraints": {"resourceRules": [_RULE]},
            "variables": [{"name": "v", "expression": "object.spec.replicas"}],
            "validations": [{"expression": "variables.v < 5", "messageExpression": "'too many: ' + string(variables.v)"}],
            "auditAnnotations": [{"key": "k", "valueExpression": "'v'"}],
        }
    },
    ("flowcontrol.apiserver.k8s.io/v1", "FlowSchema", "flowschemas"): {
        "spec": {
            "priorityLevelConfiguration": {"name": "global-default"},
            "matchingPrecedence": 9000,
            "rules": [
                {
                    "subjects": [{"kind": "User", "user": {"name": "nobody"}}],
                    "resourceRules": [{"verbs": ["get"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"]}],
                }
            ],
        }
    },
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions"): {
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["w"]},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n"}},
                    "additionalPrinterColumns": [{"name": "N", "type": "integer", "jsonPath": ".spec.n"}],
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {
                                "spec": {
                                    "type": "object",
                                    "x-kubernetes-validations": [{"rule": "self.n >= 0", "message": "negative"}],
                                    "properties": {
                                        "n": {"type": "integer", "minimum": 0, "default": 1},
                                        "s": {"type": "string", "pattern": "^[a-z]*$", "enum": ["", "a", "b"]},
                                        "l": {
                                            "type": "array",
                                            "x-kubernetes-list-type": "map",
                                            "x-kubernetes-list-map-keys": ["k"],
                                            "items": {
                                                "type": "object",
                                                "required": ["k"],
                                                "properties": {"k": {"type": "string"}},
                                            },
                                        },
                                    },
                                },
                                "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                            },
                        }
                    },
                }
            ],
        },
    },
}


class Sample:
    """A good object of one kind, and where it goes."""

    def __init__(self, api_version: str, kind: str, plural: str, rest: Obj, *, namespaced: bool) -> None:
        root = "/api/v1" if api_version == "v1" else f"/apis/{api_version}"
        self.kind = kind
        self.url = f"{root}/namespaces/default/{plural}" if namespaced else f"{root}/{plural}"
        self._obj: Obj = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "a", "labels": dict(_LABELS)}, **rest}

    def __repr__(self) -> str:
        return self.kind

    def object(self, name: str = "") -> Obj:
        """A copy, under that name if one is given and the kind is free to have any."""
        made: Any = copy.deepcopy(self._obj)
        if name and self.kind != "CustomResourceDefinition":
            made["metadata"]["name"] = name
        return dict(made)


SAMPLES = tuple(
    Sample(*names, rest, namespaced=namespaced)
    for namespaced, table in ((True, _SPECS), (False, _CLUSTER))
    for names, rest in table.items()
)
