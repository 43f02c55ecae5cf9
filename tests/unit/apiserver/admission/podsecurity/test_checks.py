"""Every check of the pod security standards, in upstream's words."""

from __future__ import annotations

from typing import Any

import pytest

from steersman.apiserver.admission.podsecurity import evaluator
from steersman.apiserver.admission.podsecurity.checks import CHECKS
from steersman.apiserver.admission.podsecurity.levels import BASELINE, RESTRICTED, LevelVersion
from steersman.machinery.meta import Obj

APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
SECCOMP = "seccomp.security.alpha.kubernetes.io/pod"


def container(name: str = "a", **security: Any) -> Obj:
    return {"name": name, "image": "nginx", **({"securityContext": security} if security else {})}


def spec(*containers: Obj, init: tuple[Obj, ...] = (), debug: tuple[Obj, ...] = (), **more: Any) -> Obj:
    return {"containers": list(containers), "initContainers": list(init), "ephemeralContainers": list(debug), **more}


def said(level: str, version: str, pod: Obj, annotations: dict[str, str] | None = None, check: str = "") -> str:
    found = evaluator.evaluate(LevelVersion(level, version), {"annotations": annotations or {}}, pod)
    return evaluator.details([violation for violation in found if not check or violation.reason == check])


BASELINE_CASES: list[tuple[str, str, Obj, str]] = [
    ("privileged", "latest", spec(container(privileged=False)), ""),
    (
        "privileged", "latest", spec(container("b", privileged=True), init=(container("a", privileged=True),)),
        'privileged (containers "a", "b" must not set securityContext.privileged=true)',
    ),
    (
        "privileged", "v1.0", spec(container(), debug=(container("debug", privileged=True),)),
        'privileged (container "debug" must not set securityContext.privileged=true)',
    ),
    (
        "host namespaces", "latest", spec(container(), hostNetwork=True, hostPID=True, hostIPC=True),
        "host namespaces (hostNetwork=true, hostPID=true, hostIPC=true)",
    ),
    ("host namespaces", "latest", spec(container(), hostNetwork=False), ""),
    (
        "hostPath volumes", "latest", spec(container(), volumes=[{"name": "v", "hostPath": {"path": "/"}}, {"name": "w"}]),
        'hostPath volumes (volume "v")',
    ),
    (
        "hostPort", "latest",
        spec({**container(), "ports": [{"hostPort": 90}, {"hostPort": 100}, {"containerPort": 1}]}, container("b")),
        'hostPort (container "a" uses hostPorts 100, 90)',
    ),
    (
        "hostPort", "latest", spec({**container(), "ports": [{"hostPort": 80}]}, {**container("b"), "ports": [{"hostPort": 80}]}),
        'hostPort (containers "a", "b" use hostPort 80)',
    ),
    (
        "probe or lifecycle host", "v1.34", spec({**container(), "livenessProbe": {"httpGet": {"host": "10.0.0.1"}}}),
        'probe or lifecycle host (container "a" uses probe or lifecycle host "10.0.0.1")',
    ),
    (
        "probe or lifecycle host", "latest",
        spec({**container(), "lifecycle": {"preStop": {"tcpSocket": {"host": "b"}}, "postStart": {"httpGet": {"host": "a"}}}}),
        'probe or lifecycle host (container "a" uses probe or lifecycle hosts "a", "b")',
    ),
    ("probe or lifecycle host", "v1.33", spec({**container(), "livenessProbe": {"httpGet": {"host": "10.0.0.1"}}}), ""),
    (
        "non-default capabilities", "latest", spec(container(capabilities={"add": ["SYS_ADMIN", "NET_RAW", "CHOWN"]})),
        'non-default capabilities (container "a" must not include "NET_RAW", "SYS_ADMIN" in securityContext.capabilities.add)',
    ),
    ("non-default capabilities", "latest", spec(container(capabilities={"add": ["SETPCAP", "MKNOD"]})), ""),
    (
        "procMount", "latest", spec(container(procMount="Unmasked")),
        'procMount (container "a" must not set securityContext.procMount to "Unmasked")',
    ),
    ("procMount", "v1.35", spec(container(procMount="Unmasked"), hostUsers=False), ""),
    (
        "procMount", "v1.34", spec(container(procMount="Unmasked"), hostUsers=False),
        'procMount (container "a" must not set securityContext.procMount to "Unmasked")',
    ),
    (
        "seLinuxOptions", "latest",
        spec(
            container(seLinuxOptions={"type": "bad", "user": "u", "role": "r"}),
            securityContext={"seLinuxOptions": {"type": "x"}},
        ),
        'seLinuxOptions (pod and container "a" set forbidden securityContext.seLinuxOptions: types "bad", "x"; '
        "user may not be set; role may not be set)",
    ),
    ("seLinuxOptions", "v1.31", spec(container(seLinuxOptions={"type": "container_engine_t"})), ""),
    (
        "seLinuxOptions", "v1.30", spec(container(seLinuxOptions={"type": "container_engine_t"})),
        'seLinuxOptions (container "a" set forbidden securityContext.seLinuxOptions: type "container_engine_t")',
    ),
    (
        "seccompProfile", "latest",
        spec(container(seccompProfile={"type": "Unconfined"}), securityContext={"seccompProfile": {"type": "Unconfined"}}),
        'seccompProfile (pod and container "a" must not set securityContext.seccompProfile.type to "Unconfined")',
    ),
    ("seccompProfile", "latest", spec(container(seccompProfile={"type": "Localhost"})), ""),
    (
        "forbidden sysctls", "latest", spec(container(), securityContext={"sysctls": [{"name": "a"}, {"name": "b"}]}),
        "forbidden sysctls (a, b)",
    ),
    ("forbidden sysctls", "v1.32", spec(container(), securityContext={"sysctls": [{"name": "net.ipv4.tcp_rmem"}]}), ""),
    (
        "forbidden sysctls", "v1.31", spec(container(), securityContext={"sysctls": [{"name": "net.ipv4.tcp_rmem"}]}),
        "forbidden sysctls (net.ipv4.tcp_rmem)",
    ),
    ("forbidden sysctls", "v1.29", spec(container(), securityContext={"sysctls": [{"name": "net.ipv4.tcp_fin_timeout"}]}), ""),
    (
        "forbidden sysctls", "v1.27",
        spec(container(), securityContext={"sysctls": [{"name": "net.ipv4.ip_local_reserved_ports"}]}), "",
    ),
    (
        "hostProcess", "latest",
        spec(container(windowsOptions={"hostProcess": True}), securityContext={"windowsOptions": {"hostProcess": True}}),
        'hostProcess (pod and container "a" must not set securityContext.windowsOptions.hostProcess=true)',
    ),
]  # fmt: skip

RESTRICTED_CASES: list[tuple[str, str, Obj, str]] = [
    (
        "allowPrivilegeEscalation != false", "latest",
        spec(container("a"), container("b", allowPrivilegeEscalation=True), container("c", allowPrivilegeEscalation=False)),
        'allowPrivilegeEscalation != false (containers "a", "b" must set securityContext.allowPrivilegeEscalation=false)',
    ),
    ("allowPrivilegeEscalation != false", "v1.7", spec(container()), ""),
    ("allowPrivilegeEscalation != false", "v1.25", spec(container(), os={"name": "windows"}), ""),
    (
        "allowPrivilegeEscalation != false", "v1.24", spec(container(), os={"name": "windows"}),
        'allowPrivilegeEscalation != false (container "a" must set securityContext.allowPrivilegeEscalation=false)',
    ),
    (
        "unrestricted capabilities", "latest",
        spec(container("a"), container("b", capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE", "CHOWN"]})),
        'unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"]; '
        'container "b" must not include "CHOWN" in securityContext.capabilities.add)',
    ),
    ("unrestricted capabilities", "v1.21", spec(container()), ""),
    (
        "procMount", "latest", spec(container(procMount="Unmasked"), hostUsers=False),
        'procMount (container "a" must not set securityContext.procMount to "Unmasked")',
    ),
    (
        "restricted volume types", "latest",
        spec(container(), volumes=[{"name": "a", "hostPath": {}}, {"name": "b", "nfs": {}}, {"name": "c", "emptyDir": {}}]),
        'restricted volume types (volumes "a", "b" use restricted volume types "hostPath", "nfs")',
    ),
    (
        "restricted volume types", "v1.0", spec(container(), volumes=[{"name": "a", "other": {}}]),
        'restricted volume types (volume "a" uses restricted volume type "unknown")',
    ),
    ("restricted volume types", "v1.0", spec(container(), volumes=[{"name": "a", "image": {"reference": "x"}}]), ""),
    (
        "runAsNonRoot != true", "latest", spec(container("a"), container("b", runAsNonRoot=True)),
        'runAsNonRoot != true (pod or container "a" must set securityContext.runAsNonRoot=true)',
    ),
    ("runAsNonRoot != true", "latest", spec(container("a"), securityContext={"runAsNonRoot": True}), ""),
    (
        "runAsNonRoot != true", "latest", spec(container("a", runAsNonRoot=False), securityContext={"runAsNonRoot": False}),
        'runAsNonRoot != true (pod and container "a" must not set securityContext.runAsNonRoot=false)',
    ),
    ("runAsNonRoot != true", "latest", spec(container("a", runAsNonRoot=False), hostUsers=False), ""),
    (
        "runAsUser=0", "latest", spec(container("a", runAsUser=0), container("b", runAsUser=1), securityContext={"runAsUser": 0}),
        'runAsUser=0 (pod and container "a" must not set runAsUser=0)',
    ),
    ("runAsUser=0", "v1.22", spec(container("a", runAsUser=0)), ""),
    ("runAsUser=0", "v1.35", spec(container("a", runAsUser=0), hostUsers=False), ""),
    (
        "seccompProfile", "latest", spec(container("a"), container("b", seccompProfile={"type": "RuntimeDefault"})),
        'seccompProfile (pod or container "a" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")',
    ),
    ("seccompProfile", "latest", spec(container(), securityContext={"seccompProfile": {"type": "RuntimeDefault"}}), ""),
    (
        "seccompProfile", "latest", spec(container(), securityContext={"seccompProfile": {"type": "Unconfined"}}),
        'seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")',
    ),
]  # fmt: skip


@pytest.mark.parametrize(("check", "version", "pod", "text"), BASELINE_CASES)
def test_baseline_forbids_in_upstreams_words(check: str, version: str, pod: Obj, text: str) -> None:
    assert said(BASELINE, version, pod, check=check) == text


@pytest.mark.parametrize(("check", "version", "pod", "text"), RESTRICTED_CASES)
def test_restricted_forbids_in_upstreams_words(check: str, version: str, pod: Obj, text: str) -> None:
    assert said(RESTRICTED, version, pod, check=check) == text


@pytest.mark.parametrize(
    ("annotations", "pod", "text"),
    [
        ({f"{APPARMOR}a": "runtime/default", f"{APPARMOR}b": "localhost/x", f"{APPARMOR}c": ""}, spec(container()), ""),
        (
            {f"{APPARMOR}a": "unconfined"}, spec(container()),
            f'forbidden AppArmor profile (annotation must not set AppArmor profile type to "{APPARMOR}a="unconfined"")',
        ),
        (
            {}, spec(container(appArmorProfile={"type": "Unconfined"}), securityContext={"appArmorProfile": {"type": "Bad"}}),
            'forbidden AppArmor profiles (pod and container "a" must not set AppArmor profile type to "Bad", "Unconfined")',
        ),
        ({}, spec(container(appArmorProfile={"type": "Localhost"})), ""),
    ],
)  # fmt: skip
def test_apparmor_is_not_turned_off_by_field_or_annotation(annotations: dict[str, str], pod: Obj, text: str) -> None:
    assert said(BASELINE, "v1.0", pod, annotations) == text


def test_seccomp_was_an_annotation_before_1_19() -> None:
    annotations = {SECCOMP: "unconfined", "container.seccomp.security.alpha.kubernetes.io/a": "localhost/x"}
    assert said(BASELINE, "v1.18", spec(container()), annotations) == (
        f'seccompProfile (forbidden annotation {SECCOMP}="unconfined")'
    )
    assert said(BASELINE, "v1.19", spec(container()), annotations) == ""


def test_everything_wrong_is_told_baseline_first_and_what_restricted_says_better_once() -> None:
    pod = spec(
        container(privileged=True, capabilities={"add": ["SYS_ADMIN"]}, runAsUser=0),
        volumes=[{"name": "v", "hostPath": {"path": "/"}}],
        hostNetwork=True,
    )
    found = evaluator.evaluate(LevelVersion(RESTRICTED, "latest"), {}, pod)
    assert evaluator.reasons(found) == (
        "host namespaces, privileged, allowPrivilegeEscalation != false, unrestricted capabilities, restricted volume types, "
        "runAsNonRoot != true, runAsUser=0, seccompProfile"
    )


def test_versions_to_come_are_the_latest() -> None:
    pod = spec(container(procMount="Unmasked"), hostUsers=False)
    assert said(BASELINE, "v1.99", pod) == said(BASELINE, "latest", pod) == ""


def test_privileged_forbids_nothing() -> None:
    assert said("privileged", "latest", spec(container(privileged=True), hostPID=True)) == ""


def test_ids_are_upstreams_and_in_the_order_that_they_are_told() -> None:
    for level in (BASELINE, RESTRICTED):
        ids = [check.id for check in CHECKS if check.level == level]
        assert ids == sorted(ids)
    assert len(CHECKS) == 19
