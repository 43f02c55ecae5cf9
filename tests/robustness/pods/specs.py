"""Pods that the API accepts and a node cannot run, each with what must be told of it. test_specs.py runs them all at once."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from steersman.machinery.meta import Obj

HELLO, ODD = "steersman.example/hello:1", "steersman.example/odd:1"
"""busybox; the same with programs that are none, and a user by name."""
FILES = f"/var/tmp/steersman-odd-{os.getpid()}"
"""What hostPaths of these pods lead to; made by the test."""

CONFIG, CREATE, RUN = "CreateContainerConfigError", "CreateContainerError", "RunContainerError"
WAITING = "ContainerCreating"


@dataclass(frozen=True, slots=True)
class Case:
    """`waits`: the container's waiting reason, `message`: a part of its message. `event`: reason and a part of an event's text.

    `phase` and `reason`: of a pod that is refused for good. A case with none of them runs, and writes `output`.
    """

    name: str
    container: Obj = field(default_factory=dict)
    pod: Obj = field(default_factory=dict)
    waits: str = ""
    message: str = ""
    event: tuple[str, str] = ("Failed", "Error: ")
    reason: str = ""
    output: str = ""


def command(*words: str) -> Obj:
    return {"command": list(words)}


def mounted(path: str, volume: Obj, **mount: Any) -> dict[str, Any]:
    """A container and a pod with one volume at that path."""
    made = {"name": "v", "mountPath": path, **mount}
    return {"container": {"volumeMounts": [made]}, "pod": {"volumes": [{"name": "v", **volume}]}}


def host_path(path: str, kind: str) -> dict[str, Any]:
    return mounted("/v", {"hostPath": {"path": path, "type": kind}})


def variable(name: str, **source: Obj) -> dict[str, Any]:
    return {"container": {"env": [{"name": name, "valueFrom": source}]}}


def secured(**context: Any) -> Obj:
    return {"securityContext": context}


NOT_A_PROGRAM = (
    Case("missing-command", command("no-such-program"), waits=RUN, message="no-such-program"),
    Case("missing-path", command("/no/such/program"), waits=RUN, message="/no/such/program"),
    Case("command-directory", command("/etc"), waits=RUN, message="failed to start container 'main': "),
    Case("not-executable", {"image": ODD, **command("/odd/plain")}, waits=RUN, message="Permission denied"),
    Case(
        "other-machine",
        {"image": ODD, **command("/odd/foreign")},
        waits="CrashLoopBackOff",
        event=("BackOff", "Back-off restarting failed container main"),
    ),
    Case(
        "no-interpreter",
        {"image": ODD, **command("/odd/script")},
        waits="CrashLoopBackOff",
        event=("BackOff", "Back-off restarting failed container main"),
    ),
    Case("working-dir-file", {"workingDir": "/etc/passwd"}, waits=CREATE, message="/etc/passwd"),
    Case(
        "huge-argument",
        {"args": ["x" * 200_000], "command": ["/bin/echo"]},
        waits="CrashLoopBackOff",
        event=("BackOff", "Back-off restarting failed container main"),
    ),
    Case(
        "huge-environment",
        {"env": [{"name": "V", "value": "x" * 200_000}]},
        waits="CrashLoopBackOff",
        event=("BackOff", "Back-off restarting failed container main"),
    ),
)
MOUNTS = (
    Case("over-proc", **mounted("/proc", {"emptyDir": {}}), output="runs\n"),
    Case("over-dev", **mounted("/dev", {"emptyDir": {}}), waits=RUN, message="/dev/null"),
    Case("folder-over-file", **mounted("/etc/passwd", {"emptyDir": {}}), waits=RUN, message="Not a directory"),
    Case(
        "subpath-link",
        **mounted("/v", {"hostPath": {"path": f"{FILES}/links"}}, subPath="out"),
        waits=CONFIG,
        message='failed to prepare subPath for volumeMount "v" of container "main"',
    ),
    Case(
        "subpath-below-link",
        **mounted("/v", {"hostPath": {"path": f"{FILES}/links"}}, subPath="out/made-by-a-pod"),
        waits=CONFIG,
        message='failed to prepare subPath for volumeMount "v" of container "main"',
    ),
    Case(
        "subpath-of-file",
        **mounted("/v", {"hostPath": {"path": f"{FILES}"}}, subPath="file/below"),
        waits=CONFIG,
        message='failed to prepare subPath for volumeMount "v" of container "main"',
    ),
    Case(
        "host-missing",
        **host_path(f"{FILES}/none", "Directory"),
        waits=WAITING,
        event=(
            "FailedMount",
            f'MountVolume.SetUp failed for volume "v" : hostPath type check failed: {FILES}/none is not a directory',
        ),
    ),
    Case(
        "host-file",
        **host_path(f"{FILES}/file", "Directory"),
        waits=WAITING,
        event=("FailedMount", f"hostPath type check failed: {FILES}/file is not a directory"),
    ),
    Case("host-directory", **host_path(FILES, "File"), waits=WAITING, event=("FailedMount", f"{FILES} is not a file")),
    Case("host-socket", **host_path(f"{FILES}/file", "Socket"), waits=WAITING, event=("FailedMount", "is not a socket file")),
    Case(
        "host-char", **host_path(f"{FILES}/file", "CharDevice"), waits=WAITING, event=("FailedMount", "is not a character device")
    ),
    Case("host-block", **host_path("/dev/null", "BlockDevice"), waits=WAITING, event=("FailedMount", "is not a block device")),
    Case("host-create", **host_path(f"{FILES}/file/x", "DirectoryOrCreate"), waits=WAITING, event=("FailedMount", 'volume "v"')),
    Case("host-create-file", **host_path(f"{FILES}/none/x", "FileOrCreate"), waits=WAITING, event=("FailedMount", 'volume "v"')),
    Case("host-long", **host_path("/" + "x" * 300, "Directory"), waits=WAITING, event=("FailedMount", 'volume "v"')),
    Case("host-loop", **host_path(f"{FILES}/loop", "Directory"), waits=WAITING, event=("FailedMount", 'volume "v"')),
    Case(
        "config-map-missing",
        **mounted("/v", {"configMap": {"name": "none"}}),
        waits=WAITING,
        event=("FailedMount", 'MountVolume.SetUp failed for volume "v" : configmap "none" not found'),
    ),
    Case(
        "secret-missing",
        **mounted("/v", {"secret": {"secretName": "none"}}),
        waits=WAITING,
        event=("FailedMount", 'MountVolume.SetUp failed for volume "v" : secret "none" not found'),
    ),
    Case(
        "key-missing",
        **mounted("/v", {"configMap": {"name": "known", "items": [{"key": "no", "path": "x"}]}}),
        waits=WAITING,
        event=("FailedMount", "references non-existent config key: no"),
    ),
)
ENVIRONMENT = (
    Case(
        "env-config-map",
        **variable("V", configMapKeyRef={"name": "none", "key": "k"}),
        waits=CONFIG,
        message='configmap "none" not found',
    ),
    Case(
        "env-secret", **variable("V", secretKeyRef={"name": "none", "key": "k"}), waits=CONFIG, message='secret "none" not found'
    ),
    Case(
        "env-key",
        **variable("V", configMapKeyRef={"name": "known", "key": "k"}),
        waits=CONFIG,
        message="couldn't find key k in ConfigMap ",
    ),
    Case("env-from", {"envFrom": [{"configMapRef": {"name": "none"}}]}, waits=CONFIG, message='configmap "none" not found'),
    Case(
        "env-bytes",
        {
            **command("sh", "-c", 'printf %s "$BYTES" | od -An -tx1; env | grep -c ODD'),
            "env": [
                {"name": "BYTES", "valueFrom": {"secretKeyRef": {"name": "known", "key": "bytes"}}},
                {"name": "ODD", "value": "a\nb\u2028=\U0001f600$(NOT) $$(X)"},
            ],
        },
        waits=CREATE,
        message="environment variable BYTES contains invalid UTF-8",
    ),
    Case(
        "env-zero-byte",
        {"env": [{"name": "BYTES", "valueFrom": {"secretKeyRef": {"name": "known", "key": "zero"}}}]},
        waits=CREATE,
        message="environment variable BYTES contains a zero byte",
    ),
)
SECURITY = (
    Case(
        "non-root",
        secured(runAsNonRoot=True),
        waits=CONFIG,
        message="container has runAsNonRoot and image will run as root (pod: ",
    ),
    Case(
        "non-root-zero",
        secured(runAsNonRoot=True, runAsUser=0),
        waits=CONFIG,
        message="container's runAsUser breaks non-root policy (pod: ",
    ),
    Case(
        "non-root-name",
        {"image": ODD, **secured(runAsNonRoot=True)},
        waits=CONFIG,
        message="container has runAsNonRoot and image has non-numeric user (nobody), cannot verify user is non-root (pod: ",
    ),
    Case(
        "seccomp",
        secured(seccompProfile={"type": "Localhost", "localhostProfile": "none.json"}),
        waits=CREATE,
        message="none.json",
    ),
    Case(
        "apparmor",
        secured(appArmorProfile={"type": "Localhost", "localhostProfile": "none"}),
        reason="AppArmor",
        event=("AppArmor", "Cannot enforce AppArmor: "),
    ),
    Case("capability", secured(capabilities={"add": ["NO_SUCH"]}), waits=CREATE, message="NO_SUCH"),
    Case(
        "sysctl",
        pod=secured(sysctls=[{"name": "kernel.msgmax", "value": "65536"}]),
        reason="SysctlForbidden",
        event=("SysctlForbidden", "forbidden sysctl: "),
    ),
    Case(
        "sysctl-value",
        pod=secured(sysctls=[{"name": "net.ipv4.ip_local_port_range", "value": "no"}]),
        waits=WAITING,
        event=(
            "FailedCreatePodSandBox",
            "Failed to create pod sandbox: [Errno 22] write sysctl key net.ipv4.ip_local_port_range: ",
        ),
    ),
    Case(
        "hugepages",
        {"resources": {"limits": {"hugepages-2Mi": "64Mi", "memory": "64Mi", "cpu": "10m"}}},
        {"nodeName": "node-1"},
        reason="OutOfhugepages-2Mi",
        event=("OutOfhugepages-2Mi", "Node didn't have enough resource: hugepages-2Mi"),
    ),
    Case(
        "device",
        {"resources": {"limits": {"example.com/none": "1"}}},
        {"nodeName": "node-1"},
        output="runs\n",
    ),
    Case(
        "tiny-memory",
        {"resources": {"limits": {"memory": "4Ki"}}},
        waits=WAITING,
        event=("FailedCreatePodSandBox", "Cannot allocate memory"),
    ),
)
CASES = (*NOT_A_PROGRAM, *MOUNTS, *ENVIRONMENT, *SECURITY)
