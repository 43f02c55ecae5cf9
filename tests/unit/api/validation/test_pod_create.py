"""What is wrong with a pod to be created, in upstream's words."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from steersman.api.defaults.pod import pod as set_defaults
from steersman.api.strategies.pod import POD
from steersman.machinery.meta import Obj

BASE: Obj = {
    "kind": "Pod",
    "apiVersion": "v1",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {"containers": [{"name": "a", "image": "nginx"}]},
}


def container(**fields: Any) -> Obj:
    """A spec with one container of these fields."""
    return {"containers": [{"name": "a", "image": "nginx", **fields}]}


def errors_of(spec: Obj, **meta: Any) -> list[str]:
    pod = copy.deepcopy(BASE)
    pod["metadata"].update(meta)
    pod["spec"].update(copy.deepcopy(spec))
    set_defaults(pod)
    POD.prepare_create(pod)
    return [str(error) for error in POD.validate_create(pod)]


LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
    "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
C = "spec.containers[0]"
PROBE = {"httpGet": {"port": 80}}
TERM = {"labelSelector": {}, "topologyKey": "zone"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"containers": []}, ["spec.containers: Required value"]),
        (container(name="A"), [f'{C}.name: Invalid value: "A": {LABEL}']),
        ({"containers": [{"name": "a"}]}, [f"{C}.image: Required value"]),
        (container(image=" nginx"), [f'{C}.image: Invalid value: " nginx": must not have leading or trailing whitespace']),
        (
            container() | {"initContainers": [{"name": "a", "image": "b"}]},
            ['spec.initContainers[0].name: Duplicate value: "a"'],
        ),
        (container(imagePullPolicy="Now"), [
            f'{C}.imagePullPolicy: Unsupported value: "Now": supported values: "Always", "IfNotPresent", "Never"'
        ]),
        (container(ports=[{"name": "x"}]), [f"{C}.ports[0].containerPort: Required value"]),
        (container(ports=[{"containerPort": 70000}]), [
            f"{C}.ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"
        ]),
        (container(ports=[{"containerPort": 80, "protocol": "tcp"}]), [
            f'{C}.ports[0].protocol: Unsupported value: "tcp": supported values: "SCTP", "TCP", "UDP"'
        ]),
        (container(ports=[{"containerPort": 80, "hostPort": 80}, {"containerPort": 81, "hostPort": 80}]), [
            f'{C}.ports[1].hostPort: Duplicate value: "TCP//80"'
        ]),
        (container(ports=[{"containerPort": 80, "hostPort": 81}]) | {"hostNetwork": True}, [
            f"{C}.ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is true"
        ]),
        (container(env=[{"value": "x"}]), [f"{C}.env[0].name: Required value"]),
        (container(env=[{"name": "a=b"}]), [
            f"{C}.env[0].name: Invalid value: \"a=b\": a valid environment variable name must consist only of printable ASCII "
            "characters other than '='"
        ]),
        (container(env=[{"name": "A", "valueFrom": {}}]), [
            f'{C}.env[0].valueFrom: Invalid value: "": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, '
            "`secretKeyRef` or `fileKeyRef`"
        ]),
        (container(env=[{"name": "A", "value": "b", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]), [
            f'{C}.env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty'
        ]),
        (container(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.foo"}}}]), [
            f'{C}.env[0].valueFrom.fieldRef.fieldPath: Invalid value: "spec.foo": error converting fieldPath: '
            "field label not supported: spec.foo"
        ]),
        (container(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.phase"}}}]), [
            f'{C}.env[0].valueFrom.fieldRef.fieldPath: Unsupported value: "status.phase": supported values: "metadata.name", '
            '"metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP", '
            '"status.hostIPs", "status.podIP", "status.podIPs"'
        ]),
        (container(env=[{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "2"}}}]), [
            f'{C}.env[0].valueFrom.resourceFieldRef.divisor: Invalid value: "limits.cpu": '
            "only divisor's values 1m and 1 are supported with the cpu resource"
        ]),
        (container(envFrom=[{}]), [f'{C}.envFrom: Invalid value: "": must specify one of: `configMapRef` or `secretRef`']),
        (container(volumeMounts=[{"name": "v", "mountPath": "/a"}]), [f'{C}.volumeMounts[0].name: Not found: "v"']),
        (
            container(volumeMounts=[{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/a", "subPath": "../x"}])
            | {"volumes": [{"name": "v"}]},
            [
                f'{C}.volumeMounts[1].mountPath: Invalid value: "/a": must be unique',
                f"{C}.volumeMounts.subPath: Invalid value: \"../x\": must not contain '..'",
            ],
        ),
        (
            container(volumeMounts=[{"name": "v", "mountPath": "/a", "mountPropagation": "Bidirectional"}])
            | {"volumes": [{"name": "v"}]},
            [
                f"{C}.volumeMounts.mountPropagation: Forbidden: Bidirectional mount propagation is available only to "
                "privileged containers"
            ],
        ),
        (container(resources={"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}), [
            f'{C}.resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1'
        ]),
        (container(resources={"limits": {"cpu": "-1"}}), [
            f'{C}.resources.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0',
            f'{C}.resources.requests[cpu]: Invalid value: "-1": must be greater than or equal to 0',
        ]),
        (container(resources={"requests": {"cpus": "1"}}), [
            f'{C}.resources.requests[cpus]: Invalid value: "cpus": must be a standard resource type or fully qualified',
            f'{C}.resources.requests[cpus]: Invalid value: "cpus": must be a standard resource for containers',
        ]),
        (container(resources={"requests": {"acme.com/gpu": "1500m"}}), [
            f'{C}.resources.requests[acme.com/gpu]: Invalid value: "1500m": must be an integer',
            f"{C}.resources.limits: Required value: Limit must be set for non overcommitable resources",
        ]),
        (container(resources={"limits": {"hugepages-2Mi": "3Mi"}}), [
            f'{C}.resources.limits[hugepages-2Mi]: Invalid value: "3Mi": 3Mi is not positive integer multiple of hugepages-2Mi',
            f'{C}.resources.requests[hugepages-2Mi]: Invalid value: "3Mi": 3Mi is not positive integer multiple of hugepages-2Mi',
            f"{C}.resources: Forbidden: HugePages require cpu or memory",
        ]),
        (container(resources={"claims": [{"name": "x"}]}), [
            f'{C}.resources.claims[0].name: Not found: "x": must be one of the names in pod.spec.resourceClaims which is empty'
        ]),
        (container(livenessProbe={}), [f"{C}.livenessProbe: Required value: must specify a handler type"]),
        (container(livenessProbe=PROBE | {"successThreshold": 2, "periodSeconds": -1}), [
            f"{C}.livenessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
            f"{C}.livenessProbe.successThreshold: Invalid value: 2: must be 1",
        ]),
        (container(readinessProbe=PROBE | {"terminationGracePeriodSeconds": 5}), [
            f"{C}.readinessProbe.terminationGracePeriodSeconds: Invalid value: 5: must not be set for readinessProbes"
        ]),
        (container(lifecycle={"preStop": {"sleep": {"seconds": 31}}}), [
            f"{C}.lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than "
            "terminationGracePeriodSeconds (30)"
        ]),
        (container(lifecycle={"preStop": {"exec": {"command": ["a"]}, "httpGet": {"port": "b"}}}), [
            f"{C}.lifecycle.preStop.httpGet: Forbidden: may not specify more than 1 handler type"
        ]),
        (container() | {"initContainers": [{"name": "i", "image": "b", "readinessProbe": PROBE}]}, [
            "spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without restartPolicy=Always"
        ]),
        (container() | {"initContainers": [{"name": "i", "image": "b", "readinessProbe": PROBE, "restartPolicy": "Always"}]}, []),
        ({"ephemeralContainers": [{"name": "e", "image": "b"}]}, [
            "spec.ephemeralContainers: Forbidden: cannot be set on create"
        ]),
        (container(securityContext={"allowPrivilegeEscalation": False, "privileged": True}), [
            f'{C}.securityContext: Invalid value: {{"allowPrivilegeEscalation":false,"privileged":true}}: '
            "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
        ]),
        (container(securityContext={"seccompProfile": {"type": "Localhost"}, "runAsUser": -1}), [
            f"{C}.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
            f"{C}.securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost",
        ]),
        (container(restartPolicyRules=[{"action": "Restart"}]), [
            f"{C}.restartPolicy: Required value: must specify restartPolicy when restart rules are used",
            f"{C}.restartPolicyRules[0].exitCodes: Required value: must be specified",
        ]),
        ({"restartPolicy": "Maybe"}, [
            'spec.restartPolicy: Unsupported value: "Maybe": supported values: "Always", "OnFailure", "Never"'
        ]),
        ({"dnsPolicy": "None"}, ["spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"]),
        ({"dnsConfig": {"nameservers": ["1.1.1.1", "x"], "searches": [".", "a_b.c"], "options": [{}]}}, [
            'spec.dnsConfig.nameservers[1]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
            "spec.dnsConfig.options[0]: Required value: must not be empty",
        ]),
        ({"activeDeadlineSeconds": 0}, [
            "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"
        ]),
        ({"hostPID": True, "shareProcessNamespace": True}, [
            "spec.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled"
        ]),
        ({"hostUsers": False, "hostPID": True}, ["spec.HostPID: Forbidden: when `hostUsers` is false"]),
        ({"securityContext": {"sysctls": [{"name": "net.core.somaxconn", "value": "1"}]}, "hostNetwork": True}, [
            "spec.securityContext.sysctls[0].name: Invalid value: \"net.core.somaxconn\": "
            "may not be specified when 'hostNetwork' is true"
        ]),
        ({"os": {"name": "windows"}, "hostPID": True}, ["spec.hostPID: Forbidden: cannot be set for a windows pod"]),
        ({"nodeName": "n", "schedulingGates": [{"name": "g"}]}, [
            "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared"
        ]),
        ({"tolerations": [{"operator": "Equal"}]}, [
            'spec.tolerations[0].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, which means '
            '"match all values and all keys"'
        ]),
        ({"tolerations": [{"key": "a", "operator": "Near", "tolerationSeconds": 1}]}, [
            "spec.tolerations[0].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set",
            'spec.tolerations[0].operator: Unsupported value: "Near": supported values: "Equal", "Exists"',
        ]),
        ({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}}, [
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: "
            "must have at least one node selector term"
        ]),
        ({"affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 0, "podAffinityTerm": TERM | {"topologyKey": ""}}]}}}, [
            "spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 0: "
            "must be in the range 1-100",
            "spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.topologyKey: "
            "Required value: can not be empty",
        ]),
        ({"topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "minDomains": 1}] * 2}, [
            "spec.topologySpreadConstraints[0].minDomains: Invalid value: 1: can only use minDomains if "
            "whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway",
            'spec.topologySpreadConstraints[1].{topologyKey, whenUnsatisfiable}: Duplicate value: "{zone, ScheduleAnyway}"',
            "spec.topologySpreadConstraints[1].minDomains: Invalid value: 1: can only use minDomains if "
            "whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway",
        ]),
        ({"resourceClaims": [{"name": "c"}]}, [
            'spec.resourceClaims[0]: Invalid value: {"name":"c"}: must specify one of: `resourceClaimName`, '
            "`resourceClaimTemplateName`"
        ]),
        (container(resources={"requests": {"cpu": "2"}}) | {"resources": {"requests": {"cpu": "1"}}}, [
            'spec.resources.requests[cpu]: Invalid value: "1": must be greater than or equal to aggregate container requests of 2'
        ]),
    ],
)  # fmt: skip
def test_a_broken_spec_is_refused(spec: Obj, expected: list[str]) -> None:
    assert errors_of(spec) == expected


V = "spec.volumes[0]"


@pytest.mark.parametrize(
    ("volume", "expected"),
    [
        ({"emptyDir": {}, "hostPath": {"path": "/a"}}, [f"{V}.hostPath: Forbidden: may not specify more than 1 volume type"]),
        ({"hostPath": {"path": "/a/../b"}}, [f"{V}.hostPath.path: Invalid value: \"/a/../b\": must not contain '..'"]),
        ({"secret": {"defaultMode": 512}}, [
            f"{V}.secret.secretName: Required value",
            f"{V}.secret.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive",
        ]),
        ({"configMap": {"name": "c", "items": [{"key": "k", "path": "..x"}]}}, [
            f"{V}.configMap.items[0].path: Invalid value: \"..x\": must not start with '..'"
        ]),
        ({"downwardAPI": {"items": [{"path": "a"}]}}, [
            f"{V}.downwardAPI: Required value: one of fieldRef and resourceFieldRef is required"
        ]),
        ({"projected": {"sources": [{"configMap": {"name": "a", "items": [{"key": "k", "path": "p"}]}},
                                    {"secret": {"name": "b", "items": [{"key": "k", "path": "p"}]}}]}}, [
            f'{V}.projected: Invalid value: "": conflicting duplicate paths: p'
        ]),
        ({"projected": {"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 1}}]}}, [
            f"{V}.projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 1: "
            "may not specify a duration less than 10 minutes",
            f"{V}.projected.sources[0].serviceAccountToken: Forbidden: must not be specified when serviceAccountName is not set",
        ]),
        ({"persistentVolumeClaim": {}}, [f"{V}.persistentVolumeClaim.claimName: Required value"]),
        ({"ephemeral": {"volumeClaimTemplate": {"metadata": {"name": "x"}, "spec": {"accessModes": ["Once"]}}}}, [
            f"{V}.ephemeral.volumeClaimTemplate.metadata.name: Forbidden: cannot be set",
            f'{V}.ephemeral.volumeClaimTemplate.spec.accessModes: Unsupported value: "Once": supported values: "ReadOnlyMany", '
            '"ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"',
            f"{V}.ephemeral.volumeClaimTemplate.spec.resources[storage]: Required value",
        ]),
        ({"nfs": {"server": "s", "path": "a"}}, [f'{V}.nfs.path: Invalid value: "a": must be an absolute path']),
        ({"image": {}}, [f"{V}.image.reference: Required value"]),
        ({"fc": {}}, [f"{V}.fc.targetWWNs: Required value: must specify either targetWWNs or wwids, but not both"]),
    ],
)  # fmt: skip
def test_a_broken_volume_is_refused(volume: Obj, expected: list[str]) -> None:
    assert errors_of({"volumes": [{"name": "v", **volume}]}) == expected


def test_volume_names_are_unique() -> None:
    assert errors_of({"volumes": [{"name": "v"}, {"name": "v"}]}) == ['spec.volumes[1].name: Duplicate value: "v"']


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ({"kubernetes.io/config.mirror": "x"}, [
            'metadata.annotations[kubernetes.io/config.mirror]: Invalid value: "x": '
            "must set spec.nodeName if mirror pod annotation is set"
        ]),
        ({"controller.kubernetes.io/pod-deletion-cost": "01"}, [
            'metadata.annotations[controller.kubernetes.io/pod-deletion-cost]: Invalid value: "01": must be a 32bit integer'
        ]),
        ({"seccomp.security.alpha.kubernetes.io/pod": "x"}, [
            'metadata.annotations[seccomp.security.alpha.kubernetes.io/pod]: Invalid value: "x": must be a valid seccomp profile'
        ]),
    ],
)  # fmt: skip
def test_a_broken_annotation_is_refused(annotations: dict[str, str], expected: list[str]) -> None:
    assert errors_of({}, annotations=annotations) == expected


def test_a_good_pod_with_much_in_it_passes() -> None:
    spec = container(
        ports=[{"name": "http", "containerPort": 80}],
        env=[{"name": "A.b-c", "value": "x"}, {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        resources={"limits": {"cpu": "1", "memory": "1Gi", "hugepages-2Mi": "4Mi", "acme.com/gpu": "1"}},
        livenessProbe=PROBE,
        volumeMounts=[{"name": "v", "mountPath": "/v", "readOnly": True, "recursiveReadOnly": "Enabled"}],
    ) | {
        "volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}],
        "serviceAccountName": "robot",
        "tolerations": [{"operator": "Exists"}],
        "nodeSelector": {"a": "b"},
    }
    assert errors_of(spec) == []
