"""What is wrong with objects of the other kinds, in upstream's words."""

from __future__ import annotations

import copy
from base64 import b64encode
from collections.abc import Callable

import pytest

from steersman.api.groups import BUILTIN
from steersman.api.kinds import KindSpec
from steersman.machinery.meta import Obj

Change = Callable[[Obj], object]
TEMPLATE: Obj = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
WORKLOAD: Obj = {"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE}
SERVICE: Obj = {"clusterIP": "10.96.0.5", "clusterIPs": ["10.96.0.5"], "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"}
PORTS = [{"port": 80}]
RULES = [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
VOLUME = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/a"}}
NO_MATCH = "`selector` does not match template `labels`"
EVENT: Obj = {"involvedObject": {"namespace": "default"}, "metadata": {"namespace": "default", "name": "e"}}


def spec_of(name: str) -> KindSpec:
    kind, _, group = name.partition(".")
    return next(spec for spec in BUILTIN if spec.kind == kind and spec.resource.group.startswith(group))


def made(kind: KindSpec, fields: Obj) -> Obj:
    """The object as validation sees it on create."""
    obj: Obj = {"kind": kind.kind, "apiVersion": kind.resource.api_version, "metadata": {"name": "x"}, **copy.deepcopy(fields)}
    kind.default(obj)
    kind.strategy.prepare_create(obj)
    return obj


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        ("Deployment", {"spec": WORKLOAD}, []),
        ("Deployment", {"spec": {"template": TEMPLATE}}, [
            "spec.selector: Required value",
            f'spec.template.metadata.labels: Invalid value: {{"a":"b"}}: {NO_MATCH}',
        ]),
        ("Deployment", {"spec": WORKLOAD | {"selector": {}}}, [
            "spec.selector: Invalid value: {}: empty selector is invalid for deployment"
        ]),
        ("Deployment", {"spec": WORKLOAD | {"selector": {"matchLabels": {"a": "c"}}, "replicas": -1}}, [
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            f'spec.template.metadata.labels: Invalid value: {{"a":"b"}}: {NO_MATCH}',
        ]),
        ("Deployment", {"spec": WORKLOAD | {"strategy": {"type": "Recreate", "rollingUpdate": {}}}}, [
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"
        ]),
        ("Deployment", {"spec": WORKLOAD | {"strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": "0%"}}}}, [
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"
        ]),
        ("Deployment", {"spec": WORKLOAD | {"progressDeadlineSeconds": 5, "minReadySeconds": 5}}, [
            "spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds"
        ]),
        ("ReplicaSet", {"spec": WORKLOAD | {"template": TEMPLATE | {"spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}}}, [
            'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'
        ]),
        ("DaemonSet", {"spec": WORKLOAD | {"updateStrategy": {"rollingUpdate": {"maxUnavailable": "101%", "maxSurge": 1}}}}, [
            'spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%',
            "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero",
        ]),
        ("DaemonSet", {"spec": {"template": TEMPLATE}}, [
            f'spec.template.metadata.labels: Invalid value: {{"a":"b"}}: {NO_MATCH}'
        ]),
        ("StatefulSet", {"spec": WORKLOAD | {"podManagementPolicy": "Fast", "serviceName": "A_b"}}, [
            "spec.podManagementPolicy: Invalid value: \"Fast\": must be 'OrderedReady' or 'Parallel'",
            "spec.serviceName: Invalid value: \"A_b\": a lowercase RFC 1123 label must consist of lower case alphanumeric "
            "characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', "
            "regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
        ]),
        ("ControllerRevision", {"revision": -1}, [
            "data: Required value: data is mandatory", "revision: Invalid value: -1: must be greater than or equal to 0"
        ]),
        ("ReplicationController", {"spec": {"selector": {"a": "c"}, "template": TEMPLATE}}, [
            f'spec.template.metadata.labels: Invalid value: {{"a":"b"}}: {NO_MATCH}'
        ]),
        ("PodTemplate", {"template": {"spec": {}}}, ["template.spec.containers: Required value"]),
        ("Service", {"spec": SERVICE | {"ports": PORTS}}, []),
        ("Service", {"spec": SERVICE}, ["spec.ports: Required value"]),
        ("Service", {"spec": SERVICE | {"ports": [{"port": 80}, {"port": 80, "name": "b"}]}}, [
            "spec.ports[0].name: Required value", 'spec.ports[1]: Duplicate value: {"protocol":"TCP","port":80}'
        ]),
        ("Service", {"spec": SERVICE | {"ports": [{"port": 0, "targetPort": "A"}]}}, [
            "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
            'spec.ports[0].targetPort: Invalid value: "A": must contain only alpha-numeric characters (a-z, 0-9), '
            "and hyphens (-)",
            'spec.ports[0].targetPort: Invalid value: "A": must contain at least one letter (a-z)',
        ]),
        ("Service", {"spec": SERVICE | {"ports": [{"port": 80, "nodePort": 30000}]}}, [
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"
        ]),
        ("Service", {"spec": {"type": "ExternalName"}}, ["spec.externalName: Required value"]),
        ("Service", {"spec": {"type": "NodePort", "clusterIP": "None", "clusterIPs": ["None"], "ports": PORTS}}, [
            'spec.clusterIPs[0]: Invalid value: "None": may not be set to \'None\' for NodePort services'
        ]),
        ("Service", {"spec": SERVICE | {"ports": PORTS, "sessionAffinity": "ClientIP",
                                       "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 0}}}}, [
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 0: must be greater than 0 and less than 86400"
        ]),
        ("Service", {"spec": SERVICE | {"ports": PORTS, "externalTrafficPolicy": "Local", "externalIPs": ["127.0.0.1"]}}, [
            'spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)'
        ]),
        ("Service", {"spec": SERVICE | {"ports": PORTS, "externalTrafficPolicy": "Local"}}, [
            'spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services'
        ]),
        ("Service", {"spec": SERVICE | {"ports": PORTS, "loadBalancerClass": "a/b", "loadBalancerSourceRanges": ["x"]}}, [
            "spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'",
            'spec.LoadBalancerSourceRanges[0]: Invalid value: "x": must be a valid CIDR value, '
            "(e.g. 10.9.8.0/24 or 2001:db8::/64)",
            "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'",
        ]),
        ("Endpoints", {"subsets": [
            {"addresses": [{"ip": "127.0.0.1"}], "ports": [{"port": 80}, {"port": 81, "name": "b"}]}, {}]}, [
            'subsets[0].addresses[0].ip: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)',
            "subsets[0].ports[0].name: Required value",
            "subsets[1]: Required value: must specify `addresses` or `notReadyAddresses`",
        ]),
        ("EndpointSlice", {"addressType": "IPv4", "endpoints": [{"addresses": ["::1"]}, {}], "ports": [{}, {"port": 1}]}, [
            'endpoints[0].addresses[0]: Invalid value: "::1": must be an IPv4 address',
            "endpoints[1].addresses: Required value: must contain at least 1 address",
            'ports[1].name: Duplicate value: ""',
        ]),
        ("Node", {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}] * 2, "podCIDRs": ["10.0.0.0/24", "10.0.1.0/24"]}}, [
            'metadata.taints[1]: Duplicate value: {"key":"a","effect":"NoSchedule"}: '
            "taints must be unique by key and effect pair",
            'spec.podCIDRs: Invalid value: ["10.0.0.0/24","10.0.1.0/24"]: may specify no more than one CIDR for each IP family',
        ]),
        ("ConfigMap", {"data": {"a/b": "", "c": ""}, "binaryData": {"c": ""}}, [
            "data[a/b]: Invalid value: \"a/b\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' "
            "(e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
            'data[c]: Invalid value: "c": duplicate of key present in binaryData',
        ]),
        ("ConfigMap", {"data": {"a": "x" * (1024 * 1024 + 1)}}, ["[]: Too long: may not be more than 1048576 bytes"]),
        ("Secret", {"type": "kubernetes.io/tls"}, ["data[tls.crt]: Required value", "data[tls.key]: Required value"]),
        ("Secret", {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": b64encode(b"[]").decode()}}, [
            'data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": json: cannot unmarshal array into Go value '
            "of type map[string]interface {}"
        ]),
        ("Secret", {"type": "kubernetes.io/service-account-token"}, [
            "metadata.annotations[kubernetes.io/service-account.name]: Required value"
        ]),
        ("PersistentVolume", {"spec": VOLUME}, []),
        ("PersistentVolume", {"spec": {"capacity": {"storage": "0"}, "local": {"path": "/a"}}}, [
            "spec.accessModes: Required value",
            'spec.capacity[storage]: Invalid value: "0": must be greater than zero',
            "spec.nodeAffinity: Required value: Local volume requires node affinity",
        ]),
        ("PersistentVolume", {"spec": VOLUME | {"nfs": {"server": "s", "path": "/"}}}, [
            "spec.nfs: Forbidden: may not specify more than 1 volume type"
        ]),
        ("PersistentVolumeClaim", {"spec": CLAIM}, []),
        ("PersistentVolumeClaim", {"spec": {"accessModes": ["ReadWriteOncePod", "ReadOnlyMany"]}}, [
            "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes",
            "spec.resources[storage]: Required value",
        ]),
        ("LimitRange", {"spec": {"limits": [{"type": "Container", "min": {"cpu": "2"}, "max": {"cpu": "1"}}]}}, [
            'spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1',
            'spec.limits[0].defaultRequest[cpu]: Invalid value: "1": min value 2 is greater than default request value 1',
            'spec.limits[0].default[cpu]: Invalid value: "1": min value 2 is greater than default value 1',
        ]),
        ("ResourceQuota", {"spec": {"hard": {"pods": "1500m", "x": "1"}, "scopes": ["BestEffort", "NotBestEffort"]}}, [
            'spec.hard[pods]: Invalid value: "1500m": must be an integer',
            'spec.hard[x]: Invalid value: "x": must be a standard resource type or fully qualified',
            'spec.hard[x]: Invalid value: "x": must be a standard resource for quota',
            'spec.scopes: Invalid value: ["BestEffort","NotBestEffort"]: conflicting scopes',
        ]),
        ("Event.", {**EVENT, "involvedObject": {"namespace": "other"}}, [
            'involvedObject.namespace: Invalid value: "other": does not match event.namespace'
        ]),
        ("Event.events", {"metadata": EVENT["metadata"], "regarding": {"namespace": "default"}, "type": "Bad",
                          "deprecatedCount": 2}, [
            "eventTime: Required value",
            'type: Invalid value: "": has invalid value: Bad',
            'count: Invalid value: "": needs to be unset',
            "reportingController: Required value",
            "reportingInstance: Required value",
            "action: Required value",
            "reason: Required value",
        ]),
        ("Role", {"rules": [*RULES, {"verbs": ["get"], "nonResourceURLs": ["/a"]}, {}]}, [
            'rules[1].nonResourceURLs: Invalid value: ["/a"]: namespaced rules cannot apply to non-resource URLs',
            "rules[2].verbs: Required value: verbs must contain at least one value",
            "rules[2].apiGroups: Required value: resource rules must supply at least one api group",
            "rules[2].resources: Required value: resource rules must supply at least one resource",
        ]),
        ("ClusterRole", {"aggregationRule": {}}, [
            "aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule "
            "is non-nil"
        ]),
        ("ClusterRoleBinding", {"roleRef": {"kind": "Role", "name": "a"}, "subjects": [
            {"kind": "ServiceAccount", "name": "s"}, {"kind": "Robot", "name": "r"}]}, [
            'roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"',
            "subjects[0].namespace: Required value",
            'subjects[1].kind: Unsupported value: "Robot": supported values: "ServiceAccount", "User", "Group"',
        ]),
        ("PriorityClass", {"value": 1_000_000_001}, [
            "value: Forbidden: maximum allowed value of a user defined priority is 1000000000"
        ]),
        ("Lease", {"spec": {"leaseDurationSeconds": 0, "leaseTransitions": -1}}, [
            "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
            "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
        ]),
    ],
)  # fmt: skip
def test_a_broken_object_is_refused(kind: str, fields: Obj, expected: list[str]) -> None:
    spec = spec_of(kind)
    assert [str(error) for error in spec.strategy.validate_create(made(spec, fields))] == expected


FROZEN_STATEFUL = (
    "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)
LB = SERVICE | {"type": "LoadBalancer", "ports": PORTS, "loadBalancerClass": "a.io/b"}
CLAIM_FROZEN = (
    "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
)


@pytest.mark.parametrize(
    ("kind", "fields", "change", "expected"),
    [
        ("Deployment", {"spec": WORKLOAD}, lambda new: new["spec"].update(replicas=5), []),
        ("Deployment", {"spec": WORKLOAD}, lambda new: new["spec"]["selector"].update(matchExpressions=[
            {"key": "a", "operator": "Exists"}]), [
            'spec.selector: Invalid value: {"matchLabels":{"a":"b"},"matchExpressions":[{"key":"a","operator":"Exists"}]}: '
            "field is immutable"]),
        ("StatefulSet", {"spec": WORKLOAD}, lambda new: new["spec"].update(replicas=0, minReadySeconds=3), []),
        ("StatefulSet", {"spec": WORKLOAD}, lambda new: new["spec"].update(serviceName="other"), [FROZEN_STATEFUL]),
        ("ControllerRevision", {"data": {}, "revision": 1}, lambda new: new.update(data={"a": 1}, revision=2), [
            'data: Invalid value: {"a":1}: field is immutable']),
        ("Service", {"spec": LB}, lambda new: new["spec"].update(clusterIP="10.96.0.6", clusterIPs=["10.96.0.6"]), [
            'spec.clusterIPs[0]: Invalid value: ["10.96.0.6"]: may not change once set']),
        ("Service", {"spec": LB}, lambda new: new["spec"].update(loadBalancerClass="a.io/c"), [
            'spec.loadBalancerClass: Invalid value: "a.io/c": may not change once set']),
        ("ConfigMap", {"immutable": True, "data": {"a": "b"}}, lambda new: new["data"].update(a="c"), [
            "data: Forbidden: field is immutable when `immutable` is set"]),
        ("ConfigMap", {"immutable": True}, lambda new: new.pop("immutable"), [
            "immutable: Forbidden: field is immutable when `immutable` is set"]),
        ("Secret", {}, lambda new: new.update(type="a"), ['type: Invalid value: "a": field is immutable']),
        ("Node", {"spec": {"podCIDR": "10.0.0.0/24", "providerID": "p"}}, lambda new: new["spec"].update(
            podCIDRs=["10.0.1.0/24"], podCIDR="10.0.1.0/24", providerID=""), [
            'spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid',
            'spec.providerID: Forbidden: node updates may not change providerID except from "" to valid']),
        ("PersistentVolume", {"spec": VOLUME}, lambda new: new["spec"]["hostPath"].update(path="/b"), [
            "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation"]),
        ("PersistentVolumeClaim", {"spec": CLAIM}, lambda new: new["spec"].update(volumeName="v"), []),
        ("PersistentVolumeClaim", {"spec": CLAIM}, lambda new: new["spec"]["resources"]["requests"].update(storage="2Gi"), [
            CLAIM_FROZEN]),
        ("ResourceQuota", {"spec": {"scopes": ["BestEffort"]}}, lambda new: new["spec"].update(scopes=[]), [
            "spec.scopes: Invalid value: []: field is immutable"]),
        ("RoleBinding", {"roleRef": {"kind": "Role", "name": "a"}}, lambda new: new["roleRef"].update(name="b"), [
            'roleRef: Invalid value: {"kind":"Role","name":"b","apiGroup":"rbac.authorization.k8s.io"}: cannot change roleRef']),
        ("PriorityClass", {"value": 1}, lambda new: new.update(value=2), ["value: Forbidden: may not be changed in an update."]),
        ("EndpointSlice", {"addressType": "IPv4"}, lambda new: new.update(addressType="IPv6"), [
            'addressType: Invalid value: "IPv6": field is immutable']),
        ("Event.events", {"metadata": EVENT["metadata"], "note": "a"}, lambda new: new.update(note="b"), [
            'message: Invalid value: "b": field is immutable']),
    ],
)  # fmt: skip
def test_a_forbidden_update_is_refused(kind: str, fields: Obj, change: Change, expected: list[str]) -> None:
    spec = spec_of(kind)
    old = made(spec, fields)
    new = copy.deepcopy(old)
    change(new)
    spec.strategy.prepare_update(new, old)
    assert [str(error).partition("\n")[0] for error in spec.strategy.validate_update(new, old)] == expected


@pytest.mark.parametrize(
    ("kind", "status", "expected"),
    [
        ("ReplicaSet", {"replicas": 1, "readyReplicas": 2, "availableReplicas": 3}, [
            "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas",
            "status.availableReplicas: Invalid value: 3: cannot be greater than status.replicas",
            "status.availableReplicas: Invalid value: 3: cannot be greater than readyReplicas",
        ]),
        ("DaemonSet", {"numberReady": -1}, ["status.numberReady: Invalid value: -1: must be greater than or equal to 0"]),
        ("Namespace", {"phase": "Terminating"}, [
            'status.Phase: Invalid value: "Terminating": may only be \'Active\' if `deletionTimestamp` is empty'
        ]),
        ("Service", {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}, [
            "status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'",
            "status.loadBalancer.ingress[0].ipMode: Required value: must be specified when `ip` is set",
        ]),
        ("PersistentVolumeClaim", {"allocatedResources": {"cpu": "1"}}, [
            'status.allocatedResources[cpu]: Unsupported value: "cpu": supported values: "storage"'
        ]),
    ],
)  # fmt: skip
def test_a_broken_status_is_refused(kind: str, status: Obj, expected: list[str]) -> None:
    spec = spec_of(kind)
    old = made(spec, {})
    new = {**copy.deepcopy(old), "status": status}
    spec.strategy.prepare_status_update(new, old)
    assert [str(error) for error in spec.strategy.validate_status_update(new, old)] == expected


def test_collision_counts_only_grow() -> None:
    spec = spec_of("Deployment")
    old = {**made(spec, {"spec": WORKLOAD}), "status": {"collisionCount": 2}}
    new = {**copy.deepcopy(old), "status": {"collisionCount": 1}}
    errors = spec.strategy.validate_status_update(new, old)
    assert [str(error) for error in errors] == ["status.collisionCount: Invalid value: 1: cannot be decremented"]
