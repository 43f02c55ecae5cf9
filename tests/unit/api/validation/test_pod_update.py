"""What may change in a pod, by each of its ways."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from steersman.api.defaults.pod import pod as set_defaults
from steersman.api.strategies.pod import POD
from steersman.api.validation.pod_resize import validate_resize
from steersman.api.validation.pod_update import validate_ephemeral_update
from steersman.machinery.fielderrors import FieldError
from steersman.machinery.meta import Obj

Change = Callable[[Obj], object]


def pod(**spec: object) -> Obj:
    resources = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}}
    found: Obj = {
        "metadata": {"name": "web", "namespace": "default", "generation": 1},
        "spec": {"containers": [{"name": "a", "image": "nginx:1", "resources": resources}], **copy.deepcopy(spec)},
    }
    set_defaults(found)
    POD.prepare_create(found)
    return found


def changed(old: Obj, change: Change) -> Obj:
    new = copy.deepcopy(old)
    change(new)
    return new


def texts(errors: list[FieldError]) -> list[str]:
    """Errors without the diff that follows some of them."""
    return [str(error).partition("\n")[0] for error in errors]


FORBIDDEN = (
    "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
TOLERATION = {"key": "a", "operator": "Exists", "effect": "NoExecute"}
TERMS = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]
        }
    }
}


def first_term(new: Obj) -> list[Obj]:
    required = new["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    expressions: list[Obj] = required["nodeSelectorTerms"][0]["matchExpressions"]
    return expressions


@pytest.mark.parametrize(
    ("title", "old", "change", "expected"),
    [
        ("the image may change", pod(), lambda new: new["spec"]["containers"][0].update(image="nginx:2"), []),
        ("the command may not", pod(), lambda new: new["spec"]["containers"][0].update(command=["x"]), [FORBIDDEN]),
        ("false is as good as absent", pod(hostNetwork=False), lambda new: new["spec"].pop("hostNetwork"), []),
        ("containers stay", pod(), lambda new: new["spec"]["containers"].append({"name": "b", "image": "c",
            "imagePullPolicy": "Always", "terminationMessagePolicy": "File"}),
            ["spec.containers: Forbidden: pod updates may not add or remove containers"]),
        ("a deadline may be set", pod(), lambda new: new["spec"].update(activeDeadlineSeconds=5), []),
        ("a deadline may not be raised", pod(activeDeadlineSeconds=5), lambda new: new["spec"].update(activeDeadlineSeconds=6),
            ["spec.activeDeadlineSeconds: Invalid value: 6: must be less than or equal to previous value"]),
        ("a deadline may not be dropped", pod(activeDeadlineSeconds=5), lambda new: new["spec"].pop("activeDeadlineSeconds"),
            ["spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value"]),
        ("tolerations may be added", pod(), lambda new: new["spec"].update(tolerations=[TOLERATION]), []),
        ("toleration seconds may change", pod(tolerations=[TOLERATION]),
            lambda new: new["spec"]["tolerations"][0].update(tolerationSeconds=3), []),
        ("tolerations may not go", pod(tolerations=[TOLERATION]), lambda new: new["spec"].pop("tolerations"),
            ["spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"]),
        ("gates may go", pod(schedulingGates=[{"name": "g"}]), lambda new: new["spec"].pop("schedulingGates"), []),
        ("gates may not come", pod(), lambda new: new["spec"].update(schedulingGates=[{"name": "g"}]),
            ["spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'g'"]),
        ("a gated pod's node selector may grow", pod(schedulingGates=[{"name": "g"}], nodeSelector={"a": "b"}),
            lambda new: new["spec"]["nodeSelector"].update(c="d"), []),
        ("but not shrink", pod(schedulingGates=[{"name": "g"}], nodeSelector={"a": "b"}),
            lambda new: new["spec"].update(nodeSelector={"c": "d"}),
            ['spec.nodeSelector: Invalid value: {"c":"d"}: only additions to spec.nodeSelector are allowed '
             "(no mutations or deletions)"]),
        ("a gated pod's node affinity may be narrowed", pod(schedulingGates=[{"name": "g"}], affinity=TERMS),
            lambda new: first_term(new).append({"key": "b", "operator": "Exists"}), []),
        ("but not changed", pod(schedulingGates=[{"name": "g"}], affinity=TERMS), lambda new: first_term(new)[0].update(key="z"),
            ["spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0]: Invalid value: "
             '{"matchExpressions":[{"key":"z","operator":"Exists"}]}: only additions are allowed (no mutations or deletions)']),
        ("mirror pods stay mirror pods", pod(nodeName="n"),
            lambda new: new["metadata"].update(annotations={"kubernetes.io/config.mirror": "x"}),
            ["metadata.annotations[kubernetes.io/config.mirror]: Forbidden: may not add mirror pod annotation"]),
    ],
)  # fmt: skip
def test_updates(title: str, old: Obj, change: Change, expected: list[str]) -> None:
    new = changed(old, change)
    POD.prepare_update(new, old)
    assert texts(POD.validate_update(new, old)) == expected


def test_a_forbidden_update_says_what_differs() -> None:
    old = pod()
    new = changed(old, lambda new: new["spec"].update(hostname="x"))
    assert str(POD.validate_update(new, old)[0]).endswith('\n+hostname: "x"')


@pytest.mark.parametrize(
    ("title", "change", "expected"),
    [
        ("fine", lambda new: new["status"].update(phase="Running", podIP="10.0.0.1", podIPs=[{"ip": "10.0.0.1"}]), []),
        ("the class stays", lambda new: new["status"].update(qosClass="BestEffort"),
            ['status.qosClass: Invalid value: "BestEffort": field is immutable']),
        ("two of a family", lambda new: new["status"].update(podIPs=[{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}]),
            ['status.podIPs: Invalid value: ["10.0.0.1","10.0.0.2"]: may specify no more than one IP for each IP family']),
        ("host addresses agree", lambda new: new["status"].update(hostIP="10.0.0.1", hostIPs=[{"ip": "10.0.0.2"}]),
            ['status.hostIPs[0].ip: Invalid value: "10.0.0.2": must be equal to `hostIP`']),
        ("bound pods are not nominated", lambda new: new["status"].update(nominatedNodeName="m"),
            ["status.nominatedNodeName: Forbidden: may not be set on pods that are already bound to a node"]),
        ("what ended stays ended", lambda new: new["status"].update(containerStatuses=[{"name": "a", "state": {"running": {}}}]),
            ["status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"]),
    ],
)  # fmt: skip
def test_status_updates(title: str, change: Change, expected: list[str]) -> None:
    old = pod(nodeName="n", restartPolicy="Never")
    old["status"]["containerStatuses"] = [{"name": "a", "state": {"terminated": {"exitCode": 1}}}]
    new = changed(old, change)
    POD.prepare_status_update(new, old)
    assert texts(POD.validate_status_update(new, old)) == expected


@pytest.mark.parametrize(("policy", "refused"), [("Always", False), ("OnFailure", True), ("Never", True)])
def test_init_containers_that_have_succeeded_run_again_only_in_a_pod_that_always_restarts(policy: str, refused: bool) -> None:
    old = pod(nodeName="n", restartPolicy=policy, initContainers=[{"name": "i", "image": "i"}])
    old["status"]["initContainerStatuses"] = [{"name": "i", "state": {"terminated": {"exitCode": 0}}}]
    new = changed(old, lambda new: new["status"].update(initContainerStatuses=[{"name": "i", "state": {"running": {}}}]))
    POD.prepare_status_update(new, old)
    words = "status.initContainerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"
    assert texts(POD.validate_status_update(new, old)) == ([words] if refused else [])


CPU = "spec.containers[0].resources"


@pytest.mark.parametrize(
    ("title", "change", "expected"),
    [
        ("cpu may grow", lambda new: new["spec"]["containers"][0]["resources"]["limits"].update(cpu="2"), []),
        ("requests stay", lambda new: new["spec"]["containers"][0]["resources"]["requests"].pop("cpu"),
            [f"{CPU}.requests: Forbidden: resource requests cannot be removed"]),
        ("storage is fixed", lambda new: new["spec"]["containers"][0]["resources"]["limits"].update({"ephemeral-storage": "1Gi"}),
            [f"{CPU}.limits: Forbidden: only cpu and memory resources are mutable"]),
        ("the class stays", lambda new: new["spec"]["containers"][0]["resources"]["requests"].update(cpu="1"),
            ['spec: Invalid value: "Guaranteed": Pod QOS Class may not change as a result of resizing']),
        ("all that is wrong is told", lambda new: new["spec"]["containers"][0]["resources"].clear(),
            ['spec: Invalid value: "BestEffort": Pod QOS Class may not change as a result of resizing',
             f"{CPU}.limits: Forbidden: resource limits cannot be removed",
             f"{CPU}.requests: Forbidden: resource requests cannot be removed"]),
    ],
)  # fmt: skip
def test_resizing(title: str, change: Change, expected: list[str]) -> None:
    old = pod()
    assert texts(validate_resize(changed(old, change), old)) == expected


def test_ephemeral_containers_are_only_added() -> None:
    debug = {"name": "d", "image": "busybox", "imagePullPolicy": "Always", "terminationMessagePolicy": "File"}
    old = pod()
    one = changed(old, lambda new: new["spec"].update(ephemeralContainers=[debug]))
    assert validate_ephemeral_update(one, old) == []
    other = changed(one, lambda new: new["spec"]["ephemeralContainers"][0].update(image="x"))
    path = "spec.ephemeralContainers"
    assert texts(validate_ephemeral_update(other, one)) == [
        f'{path}: Forbidden: existing ephemeral containers "d" may not be changed'
    ]
    assert texts(validate_ephemeral_update(old, one)) == [
        f'{path}: Forbidden: existing ephemeral containers "d" may not be removed'
    ]
