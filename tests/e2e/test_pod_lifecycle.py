"""What becomes of pods, seen through kubectl: crashes, init containers, probes, memory limits; what is found inside."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.e2e.harness import Cluster, eventually

pytestmark = pytest.mark.root

NAMESPACE = "lifecycle"
PODS = """
apiVersion: v1
kind: Secret
metadata: {name: login}
stringData: {password: s3cret}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: letters}
data: {a: first, b: second}
---
apiVersion: v1
kind: Pod
metadata: {name: half}
spec:
  containers:
    - {name: good, image: IMAGE, command: [sleep, "1000"]}
    - {name: bad, image: IMAGE, command: [sh, -c, "echo attempt; exit 3"]}
---
apiVersion: v1
kind: Pod
metadata: {name: hungry}
spec:
  restartPolicy: Never
  containers:
    - name: main
      image: IMAGE
      command: [sh, -c, "x=a; while :; do x=$x$x; done"]
      resources: {limits: {memory: 32Mi}}
---
apiVersion: v1
kind: Pod
metadata: {name: probed}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: IMAGE
      command: [sh, -c, "touch /tmp/alive; trap 'exit 0' TERM; while :; do sleep 0.1; done"]
      startupProbe: {exec: {command: [test, -e, /tmp/alive]}, periodSeconds: 1, timeoutSeconds: 30, failureThreshold: 100}
      readinessProbe: {exec: {command: [test, -e, /tmp/ready]}, periodSeconds: 1, timeoutSeconds: 30, failureThreshold: 1}
---
apiVersion: v1
kind: Pod
metadata: {name: living}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: IMAGE
      command: [sh, -c, "touch /tmp/alive; trap 'exit 0' TERM; while :; do sleep 0.1; done"]
      startupProbe: {exec: {command: [test, -e, /tmp/alive]}, periodSeconds: 1, timeoutSeconds: 30, failureThreshold: 100}
      livenessProbe: {exec: {command: [cat, /tmp/alive]}, periodSeconds: 1, timeoutSeconds: 30, failureThreshold: 1}
---
apiVersion: v1
kind: Pod
metadata: {name: unknown-image}
spec:
  containers: [{name: main, image: "steersman.example/none:1", imagePullPolicy: Never}]
---
apiVersion: v1
kind: Pod
metadata: {name: no-config}
spec:
  containers: [{name: main, image: IMAGE, envFrom: [{configMapRef: {name: missing}}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: homeless}
spec:
  nodeSelector: {disk: none}
  containers: [{name: main, image: IMAGE}]
---
apiVersion: v1
kind: Pod
metadata: {name: full, labels: {tier: one}, annotations: {note: "two words"}}
spec:
  hostname: chosen
  hostAliases: [{ip: 192.0.2.7, hostnames: [alias.example]}]
  securityContext: {fsGroup: 3000, supplementalGroups: [4000]}
  initContainers:
    - name: first
      image: IMAGE
      command: [sh, -c, "echo one > /work/steps"]
      volumeMounts: [{name: work, mountPath: /work}]
    - name: sidecar
      image: IMAGE
      restartPolicy: Always
      command: [sh, -c, "trap 'exit 0' TERM; echo sidecar >> /work/steps; while :; do sleep 0.1; done"]
      startupProbe: {exec: {command: [grep, sidecar, /work/steps]}, periodSeconds: 1, timeoutSeconds: 30, failureThreshold: 100}
      volumeMounts: [{name: work, mountPath: /work}]
    - name: second
      image: IMAGE
      command: [sh, -c, "echo two >> /work/steps"]
      volumeMounts: [{name: work, mountPath: /work}]
  containers:
    - name: main
      image: IMAGE
      command: [sh, -c, "trap 'exit 0' TERM; while :; do sleep 0.1; done"]
      securityContext: {runAsUser: 1000, runAsGroup: 2000, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
      resources: {requests: {cpu: 50m, memory: 32Mi}, limits: {cpu: 100m, memory: 64Mi}}
      envFrom: [{prefix: L_, configMapRef: {name: letters}}]
      env:
        - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: ADDRESS, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
        - {name: HOST, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}
        - {name: MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory}}}
        - {name: CPU, valueFrom: {resourceFieldRef: {resource: requests.cpu, divisor: 1m}}}
        - {name: PASSWORD, valueFrom: {secretKeyRef: {name: login, key: password}}}
        - {name: ABSENT, valueFrom: {secretKeyRef: {name: none, key: none, optional: true}}}
        - {name: JOINED, value: "$(POD)-$$(POD)-$(NOTHING)"}
      volumeMounts:
        - {name: work, mountPath: /work, readOnly: true}
        - {name: login, mountPath: /login}
        - {name: about, mountPath: /about}
        - {name: host, mountPath: /host}
        - {name: letters, mountPath: /one/letter, subPath: a}
  volumes:
    - {name: work, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
    - {name: login, secret: {secretName: login, defaultMode: 0440}}
    - {name: letters, configMap: {name: letters}}
    - {name: host, hostPath: {path: HOSTPATH, type: DirectoryOrCreate}}
    - name: about
      downwardAPI:
        items:
          - {path: labels, fieldRef: {fieldPath: metadata.labels}}
          - {path: memory, resourceFieldRef: {containerName: main, resource: limits.memory, divisor: 1Mi}}
"""
Kubectl = Callable[..., str]


@pytest.fixture(scope="module")
def host_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lifecycle") / "made"


@pytest.fixture(scope="module")
def kubectl(cluster: Cluster, host_path: Path) -> Iterator[Kubectl]:
    """kubectl in the namespace where all the pods were created."""

    def run(*arguments: str, stdin: str = "", code: int | None = 0) -> str:
        return cluster.kubectl("-n", NAMESPACE, *arguments, stdin=stdin, code=code)

    cluster.steersman("example", "--image-only", "1")
    cluster.kubectl("create", "namespace", NAMESPACE)
    # Pods are refused before it is there.
    eventually(lambda: run("get", "serviceaccount", "default"))
    try:
        run("apply", "-f", "-", stdin=PODS.replace("IMAGE", "steersman.example/hello:1").replace("HOSTPATH", str(host_path)))
        yield run
    finally:
        cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")
        cluster.kubectl("delete", "pods", "-n", NAMESPACE, "--all", "--force", "--grace-period=0")


@pytest.fixture
def inside(kubectl: Kubectl) -> Callable[[str], str]:
    """Runs a shell line in the pod `full`."""
    kubectl("wait", "--for=condition=Ready", "pod/full", "--timeout=240s")
    return lambda line: kubectl("exec", "full", "-c", "main", "--", "sh", "-c", line)


def row(kubectl: Kubectl, pod: str) -> list[str]:
    """READY, STATUS and RESTARTS as kubectl prints them."""
    return re.split(r"\s{2,}", kubectl("get", "pod", pod, "--no-headers").strip())[1:4]


def test_a_crashing_container_leaves_its_neighbour_alone(cluster: Cluster, kubectl: Kubectl) -> None:
    eventually(lambda: row(kubectl, "half")[:2] == ["1/2", "CrashLoopBackOff"])
    eventually(lambda: re.fullmatch(r"[2-9] \(\w+ ago\)", row(kubectl, "half")[2]))
    bad, good = cluster.get("-n", NAMESPACE, "pod", "half")["status"]["containerStatuses"]
    assert bad["lastState"]["terminated"]["exitCode"] == 3 and bad["lastState"]["terminated"]["reason"] == "Error"
    assert good["restartCount"] == 0 and good["ready"]
    assert kubectl("logs", "half", "-c", "bad", "--previous") == "attempt\n"
    told = r"Warning  BackOff .* kubelet +Back-off restarting failed container bad in pod half_lifecycle\("
    eventually(lambda: re.search(told, kubectl("describe", "pod", "half")))


def test_a_container_over_its_memory_limit_is_told_to_have_been_killed_for_it(cluster: Cluster, kubectl: Kubectl) -> None:
    eventually(lambda: row(kubectl, "hungry") == ["0/1", "OOMKilled", "0"])
    status = cluster.get("-n", NAMESPACE, "pod", "hungry")["status"]
    assert status["phase"] == "Failed" and status["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137


def test_a_readiness_probe_decides_on_ready(kubectl: Kubectl) -> None:
    eventually(lambda: row(kubectl, "probed") == ["0/1", "Running", "0"])
    kubectl("exec", "probed", "--", "touch", "/tmp/ready")
    kubectl("wait", "--for=condition=Ready", "pod/probed", "--timeout=240s")
    kubectl("exec", "probed", "--", "rm", "/tmp/ready")
    kubectl("wait", "--for=condition=Ready=false", "pod/probed", "--timeout=240s")


def test_a_liveness_probe_decides_on_restarts(kubectl: Kubectl) -> None:
    # A pod of its own: only some 25 events are told of one object, and a readiness probe that fails uses them up.
    eventually(lambda: row(kubectl, "living") == ["1/1", "Running", "0"])
    kubectl("exec", "living", "--", "rm", "/tmp/alive")
    eventually(lambda: row(kubectl, "living")[2].startswith("1 ("))
    told = r"Warning  Unhealthy .* Liveness probe failed: cat: can't open '/tmp/alive'"
    eventually(lambda: re.search(told, kubectl("describe", "pod", "living")))
    eventually(lambda: "Container main failed liveness probe, will be restarted" in kubectl("describe", "pod", "living"))


@pytest.mark.parametrize(
    ("pod", "status", "told"),
    [
        (
            "unknown-image",
            "ErrImageNeverPull",
            'Container image "steersman.example/none:1" is not present with pull policy of Never',
        ),
        ("no-config", "CreateContainerConfigError", 'Error: configmap "missing" not found'),
        ("homeless", "Pending", "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."),
    ],
)
def test_a_pod_that_cannot_start_says_why(kubectl: Kubectl, pod: str, status: str, told: str) -> None:
    eventually(lambda: row(kubectl, pod) == ["0/1", status, "0"])
    eventually(lambda: told in kubectl("describe", "pod", pod))


def test_init_containers_run_in_order_and_a_sidecar_stays(kubectl: Kubectl, inside: Callable[[str], str]) -> None:
    assert inside("cat /work/steps") == "one\nsidecar\ntwo\n"
    assert row(kubectl, "full") == ["2/2", "Running", "0"]


def test_the_environment_holds_fields_resources_config_and_secrets(cluster: Cluster, inside: Callable[[str], str]) -> None:
    found = dict(line.split("=", 1) for line in inside("env").splitlines())
    status = cluster.get("-n", NAMESPACE, "pod", "full")["status"]
    wanted = {
        "POD": "full", "ADDRESS": status["podIP"], "HOST": status["hostIP"], "MEMORY": "67108864", "CPU": "50",
        "PASSWORD": "s3cret", "L_a": "first", "L_b": "second", "JOINED": "full-$(POD)-$(NOTHING)", "HOSTNAME": "chosen",
        "KUBERNETES_SERVICE_HOST": "10.96.0.1",
    }  # fmt: skip
    assert {name: found.get(name) for name in wanted} == wanted and "ABSENT" not in found


def test_volumes_hold_what_they_should(inside: Callable[[str], str], host_path: Path) -> None:
    assert inside("cat /login/password; stat -Lc ' %a %g' /login/password") == "s3cret 440 3000\n"
    assert inside("cat /about/labels; echo; cat /about/memory; echo; cat /one/letter") == 'tier="one"\n64\nfirst'
    assert inside("touch /work/x 2>&1 || true").endswith("Read-only file system\n")
    (host_path / "from-outside").write_text("hello")
    assert inside("cat /host/from-outside") == "hello"
    assert inside("grep alias.example /etc/hosts").split() == ["192.0.2.7", "alias.example"]


def test_user_groups_capabilities_and_limits_are_those_asked_for(inside: Callable[[str], str]) -> None:
    assert inside("id").strip() == "uid=1000 gid=2000 groups=2000,3000,4000"
    assert inside("grep -E 'CapBnd|NoNewPrivs' /proc/self/status").split() == ["CapBnd:", "0000000000000000", "NoNewPrivs:", "1"]
    if inside("test -e /sys/fs/cgroup/memory.max && echo v2 || true"):
        assert inside("cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max").split() == ["67108864", "10000", "100000"]
    else:
        files = "memory/memory.limit_in_bytes", "cpu/cpu.cfs_quota_us", "cpu/cpu.shares"
        assert inside("cd /sys/fs/cgroup; cat " + " ".join(files)).split() == ["67108864", "10000", "51"]
