"""The two containers of the Kubernetes documentation, from a registry, and what a person does to them with kubectl."""

from __future__ import annotations

import concurrent.futures
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.e2e.harness import Cluster, Failed, Stopwatch, eventually

from steersman.cri.native.build import build_busybox, build_nginx

pytestmark = pytest.mark.root

NAMESPACE = "documentation"
PORTS = {"public": 15000, "private": 15001}
"""Below those that connections take: nothing else listens in the cluster's namespace."""
# bcrypt of `hunter2`, at its lowest cost: the registry takes nothing else.
HTPASSWD = "tester:$2b$04$abcdefghijklmnopqrstuuV3duMsC0HpUex6N9qapiuOHHWkwRXVm\n"
AUTH = "auth: {{htpasswd: {{realm: test, path: {path}}}}}\n"
REGISTRY = """
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {root}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""
SITE = """
apiVersion: v1
kind: ConfigMap
metadata: {name: site}
data:
  greeting: Hello from the second container
  site.conf: |
    # a file
    color=blue
---
apiVersion: v1
kind: Pod
metadata:
  name: two-containers
  labels: {app: site}
spec:
  terminationGracePeriodSeconds: 5
  volumes:
    - name: shared-data
      emptyDir: {}
    - name: config
      configMap: {name: site}
  containers:
    - name: nginx-container
      image: REGISTRY/library/nginx:1.22
      ports: [{name: http, containerPort: 80}]
      readinessProbe: {httpGet: {path: /, port: http}, periodSeconds: 1}
      volumeMounts:
        - {name: shared-data, mountPath: /usr/share/nginx/html}
    - name: debian-container
      image: REGISTRY/library/busybox:1.36
      stdin: true
      env:
        - name: GREETING
          valueFrom: {configMapKeyRef: {name: site, key: greeting}}
      volumeMounts:
        - {name: shared-data, mountPath: /pod-data}
        - {name: config, mountPath: /etc/site}
      command: ["/bin/sh", "-c"]
      args:
        - |
          echo "$GREETING" > /pod-data/index.html
          echo written; sleep 0.2  # two streams have no order of their own
          echo to the other stream >&2
          trap 'echo ending; exit 0' TERM
          while :; do if read -t 1 line; then echo "heard $line"; fi; done
---
apiVersion: v1
kind: Service
metadata: {name: site}
spec:
  selector: {app: site}
  ports: [{port: 8080, targetPort: http}]
"""
Kubectl = Callable[..., str]


class Registries:
    """Debian's docker-registry, started in the cluster's network namespace; `public` and `private` are host:port."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        self._cluster, self._directory = cluster, directory
        self._running: list[subprocess.Popen[str]] = []
        self.public = self._serve("public", "")
        # The same images, behind a password.
        self.private = self._serve("private", AUTH.format(path=directory / "htpasswd"))

    def _serve(self, name: str, more: str) -> str:
        port = PORTS[name]
        config = self._directory / f"{name}.yml"
        config.write_text(REGISTRY.format(root=self._directory / "images", port=port) + more)
        (self._directory / "htpasswd").write_text(HTPASSWD)
        self._running.append(self._cluster.popen("docker-registry", "serve", str(config)))
        address = f"127.0.0.1:{port}"
        eventually(lambda: self._cluster.curl(f"http://{address}/v2/", "-o", "/dev/null", "-w", "%{http_code}") in ("200", "401"))
        return address

    def push(self, archive: Path, image: str) -> None:
        target = f"docker://{self.public}/{image}"
        self._cluster.run("skopeo", "copy", "--quiet", "--dest-tls-verify=false", f"oci-archive:{archive}", target)

    def stop(self) -> None:
        for process in self._running:
            process.terminate()
            process.communicate(timeout=240)


@pytest.fixture(scope="module")
def registries(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registries]:
    directory = tmp_path_factory.mktemp("registry")
    build_nginx(str(directory / "nginx.tar"))
    build_busybox(str(directory / "busybox.tar"))
    made = Registries(cluster, directory)
    try:
        made.push(directory / "nginx.tar", "library/nginx:1.22")
        made.push(directory / "busybox.tar", "library/busybox:1.36")
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def kubectl(cluster: Cluster, registries: Registries) -> Iterator[Kubectl]:
    """kubectl in the namespace where the example runs and is Ready."""

    def run(*arguments: str, stdin: str = "", code: int | None = 0) -> str:
        return cluster.kubectl("-n", NAMESPACE, *arguments, stdin=stdin, code=code)

    cluster.kubectl("create", "namespace", NAMESPACE)
    # Pods are refused before it is there.
    eventually(lambda: run("get", "serviceaccount", "default"))
    try:
        run("apply", "-f", "-", stdin=site(registries))
        run("wait", "--for=condition=Ready", "pod/two-containers", "--timeout=240s")
        yield run
    finally:
        cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def site(registries: Registries) -> str:
    return SITE.replace("REGISTRY", registries.public)


def one_pod(registries: Registries, name: str, script: str, more: str = "") -> str:
    """A pod of one busybox container."""
    lines = [
        f"apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: Never\n{more}",
        f"  containers:\n    - name: main\n      image: {registries.public}/library/busybox:1.36",
        f"      command: {json.dumps(['sh', '-c', script])}\n",
    ]
    return "\n".join(lines)


def test_the_web_server_serves_what_the_other_container_wrote(cluster: Cluster, kubectl: Kubectl) -> None:
    pod = cluster.get("-n", NAMESPACE, "pod", "two-containers")
    service = cluster.get("-n", NAMESPACE, "service", "site")
    said = "Hello from the second container\n"
    assert cluster.curl(f"http://{pod['status']['podIP']}") == said
    # Rules, names and the API server's own view follow the endpoints.
    eventually(lambda: cluster.curl(f"http://{service['spec']['clusterIP']}:8080") == said)
    # A pod that is its own service's only endpoint.
    inside = ("exec", "two-containers", "-c", "debian-container", "--", "wget", "-qO-", "http://site:8080")
    eventually(lambda: kubectl(*inside) == said)
    eventually(lambda: kubectl("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/services/site:8080/proxy/") == said)
    assert kubectl("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/two-containers/proxy/") == said


def test_a_config_map_is_files_and_environment(kubectl: Kubectl) -> None:
    inside = ("exec", "two-containers", "-c", "debian-container", "--")
    assert kubectl(*inside, "cat", "/etc/site/site.conf") == "# a file\ncolor=blue\n"
    assert "GREETING=Hello from the second container\n" in kubectl(*inside, "env")


def test_logs(kubectl: Kubectl, cluster: Cluster) -> None:
    of = ("logs", "two-containers", "-c", "debian-container")
    eventually(lambda: kubectl(*of).startswith("written\nto the other stream\n"))
    assert kubectl(*of, "--limit-bytes=7") == "written"
    stamped = kubectl(*of, "--timestamps").splitlines()[0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z written", stamped)
    assert "[pod/two-containers/debian-container] written" in kubectl("logs", "two-containers", "--all-containers", "--prefix")
    assert 'Defaulted container "nginx-container" out of: nginx-container, debian-container' in kubectl("logs", "service/site")
    assert "is not valid for pod two-containers" in kubectl("logs", "two-containers", "-c", "nothing", code=1)
    none = kubectl(*of, "--previous", code=1)
    assert 'previous terminated container "debian-container" in pod "two-containers" not found' in none
    following = cluster.popen("kubectl", "-n", NAMESPACE, *of, "-f")
    try:
        assert following.stdout is not None and following.stdout.readline() == "written\n"
        kubectl("exec", "two-containers", "-c", "debian-container", "--", "sh", "-c", "echo later > /proc/1/fd/1")
        while following.stdout.readline() != "later\n":
            assert following.poll() is None
    finally:
        following.send_signal(signal.SIGKILL)
        following.communicate(timeout=240)
    assert kubectl(*of, "--tail=1") == "later\n"


def test_exec_carries_streams_and_exit_codes(kubectl: Kubectl, cluster: Cluster) -> None:
    inside = ("exec", "two-containers", "-c", "debian-container")
    assert "command terminated with exit code 7" in kubectl(*inside, "--", "sh", "-c", "exit 7", code=7)
    assert kubectl(*inside, "-i", "--", "wc", "-c", stdin="x" * 1_000_000) == "1000000\n"
    assert len(kubectl(*inside, "--", "head", "-c", "3000000", "/dev/zero")) == 3_000_000
    both = cluster.popen("kubectl", "-n", NAMESPACE, *inside, "--", "sh", "-c", "echo out; echo err >&2")
    said, _ = both.communicate(timeout=240)
    assert sorted(said.splitlines()) == ["err", "out"]
    assert "not found" in kubectl(*inside, "--", "no-such-program", code=None)


def test_exec_with_a_terminal_knows_its_size_and_passes_the_exit_code_on(cluster: Cluster, kubectl: Kubectl) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
    command = ["kubectl", "-n", NAMESPACE, "exec", "-it", "two-containers", "-c", "debian-container", "--", "sh"]
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig), "TERM": "xterm"}
    shell = subprocess.Popen(cluster.netns.wrap(command), env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = ""

    def until(wanted: str) -> bool:
        nonlocal said
        said += os.read(ours, 4096).decode()
        return wanted in said

    try:
        eventually(lambda: until("# "))
        os.write(ours, b"tty; stty size\n")
        eventually(lambda: until("33 101"))
        assert "/dev/pts/0" in said
        os.write(ours, b"exit 5\n")
        assert shell.wait(180) == 5
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)


def test_attach_joins_the_running_container(kubectl: Kubectl, cluster: Cluster) -> None:
    attach = ("kubectl", "-n", NAMESPACE, "attach", "-i", "two-containers", "-c", "debian-container")
    attached = cluster.popen(*attach, stdin=subprocess.PIPE)
    try:
        assert attached.stdin is not None and attached.stdout is not None
        attached.stdin.write("hello there\n")
        attached.stdin.flush()
        while (line := attached.stdout.readline()) != "heard hello there\n":
            assert line
    finally:
        attached.send_signal(signal.SIGKILL)
        attached.communicate(timeout=240)


@pytest.mark.parametrize(
    ("target", "port"), [("pod/two-containers", "80"), ("pod/two-containers", "http"), ("service/site", "8080")]
)
def test_port_forward_carries_requests_one_after_another_and_at_once(
    cluster: Cluster, kubectl: Kubectl, target: str, port: str
) -> None:
    forward = cluster.popen("kubectl", "-n", NAMESPACE, "port-forward", target, f":{port}")
    try:
        assert forward.stdout is not None
        found = re.search(r"Forwarding from 127\.0\.0\.1:(\d+) -> 80", forward.stdout.readline())
        assert found
        url = f"http://127.0.0.1:{found[1]}/"
        said = {cluster.curl(url) for _ in range(5)}
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            said |= set(pool.map(lambda _: cluster.curl(url), range(24)))
        assert said == {"Hello from the second container\n"}
        assert cluster.curl(url + "missing", "-o", "/dev/null", "-w", "%{http_code}") == "404"
    finally:
        forward.send_signal(signal.SIGINT)
        forward.communicate(timeout=240)


def test_label_annotate_patch_and_edit_change_the_object(cluster: Cluster, kubectl: Kubectl) -> None:
    def meta() -> dict[str, dict[str, str]]:
        found = cluster.get("-n", NAMESPACE, "pod", "two-containers")["metadata"]
        return {"labels": found["labels"], "annotations": found.get("annotations", {})}

    assert kubectl("label", "pod", "two-containers", "tier=one") == "pod/two-containers labeled\n"
    assert "--overwrite is false" in kubectl("label", "pod", "two-containers", "tier=two", code=1)
    assert kubectl("label", "pod", "two-containers", "tier=two", "--overwrite") == "pod/two-containers labeled\n"
    kubectl("annotate", "pod", "two-containers", "note=kept in mind")
    kubectl("patch", "pod", "two-containers", "-p", '{"metadata":{"labels":{"strategic":"1"}}}')
    kubectl("patch", "pod", "two-containers", "--type=json", "-p", '[{"op":"add","path":"/metadata/labels/json","value":"1"}]')
    kubectl("patch", "pod", "two-containers", "--type=merge", "-p", '{"metadata":{"labels":{"strategic":null}}}')
    assert meta()["labels"] == {"app": "site", "tier": "two", "json": "1"}
    assert meta()["annotations"]["note"] == "kept in mind"
    edit = ("env", "KUBE_EDITOR=sed -i s/tier:.two/tier:\\ edited/", "kubectl", "-n", NAMESPACE, "edit", "pod", "two-containers")
    assert cluster.run(*edit) == "pod/two-containers edited\n"
    kubectl("label", "pod", "two-containers", "json-")
    assert meta()["labels"] == {"app": "site", "tier": "edited"}
    refused = kubectl("patch", "pod", "two-containers", "-p", '{"spec":{"restartPolicy":"Never"}}', code=1)
    assert "Forbidden: pod updates may not change fields other than" in refused


def test_diff_apply_and_replace(kubectl: Kubectl, registries: Registries) -> None:
    changed = site(registries).replace("color=blue", "color=red")
    assert kubectl("diff", "-f", "-", stdin=site(registries)) == ""
    shown = kubectl("diff", "-f", "-", stdin=changed, code=1)
    assert "-    color=blue\n+    color=red\n" in shown
    said = kubectl("apply", "-f", "-", stdin=changed)
    # Of the pod kubectl always says "configured": the token's volume mount was not in what was applied.
    assert said.startswith("configmap/site configured\n") and said.endswith("service/site unchanged\n")
    assert kubectl("apply", "-f", "-", "--dry-run=server", stdin=changed).startswith("configmap/site unchanged (server dry run)")
    body = kubectl("get", "configmap", "site", "-o", "json").replace("color=red", "color=blue")
    assert kubectl("replace", "-f", "-", stdin=body) == "configmap/site replaced\n"
    stale = re.sub(r'"resourceVersion": "\d+"', '"resourceVersion": "1"', body)
    assert "the object has been modified; please apply your changes to the latest version" in kubectl(
        "replace", "-f", "-", stdin=stale, code=1
    )


def test_get_in_every_form(cluster: Cluster, kubectl: Kubectl) -> None:
    pod = cluster.get("-n", NAMESPACE, "pod", "two-containers")
    ip = pod["status"]["podIP"]
    header, row = (re.split(r"\s{2,}", line.strip()) for line in kubectl("get", "pods", "-o", "wide").splitlines()[:2])
    assert header == ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE", "NOMINATED NODE", "READINESS GATES"]
    assert row[:4] + row[5:] == ["two-containers", "2/2", "Running", "0", ip, "node-1", "<none>", "<none>"]
    assert kubectl("get", "pods", "-o", "name") == "pod/two-containers\n"
    assert kubectl("get", "pods", "-o", "jsonpath={.items[*].status.podIP}") == ip
    columns = "custom-columns=N:.metadata.name,C:.spec.containers[*].name"
    assert kubectl("get", "pods", "-o", columns).split() == [
        "N", "C", "two-containers", "nginx-container,debian-container",
    ]  # fmt: skip
    assert f"podIP: {ip}" in kubectl("get", "pod", "two-containers", "-o", "yaml")
    assert "two-containers" in kubectl("get", "pods", "--field-selector", "status.phase=Running", "-l", "app in (site)")
    assert "field label not supported: nope" in kubectl("get", "pods", "--field-selector", "nope=1", code=1)
    assert 'pods "nope" not found' in kubectl("get", "pod", "nope", code=1)


def test_an_unknown_kind_does_not_spoil_what_kubectl_knows(kubectl: Kubectl) -> None:
    """kubectl reads discovery again then: an answer that it is unchanged must not lose its form."""
    assert 'the server doesn\'t have a resource type "nope"' in kubectl("get", "nope", code=1)
    assert kubectl("get", "pods", "-o", "name") == "pod/two-containers\n"


def test_describe_tells_the_whole_story(kubectl: Kubectl) -> None:
    said = kubectl("describe", "pod", "two-containers")
    for words in (
        r"Service Account:  default",
        r"Ready:          True",
        r"GREETING:  <set to the key 'greeting' of config map 'site'>  Optional: false",
        r"/pod-data from shared-data \(rw\)",
        r"Readiness:      http-get http://:http/ delay=0s timeout=1s period=1s #success=1 #failure=3",
        r"Normal  Scheduled .* default-scheduler  Successfully assigned documentation/two-containers to node-1",
        r"Normal  Pulled .* kubelet +Successfully pulled image \"127.0.0.1:\d+/library/nginx:1.22\" in ",
        r"Normal  Started .* kubelet +Container started",
    ):
        assert re.search(words, said), words
    assert re.search(r"Endpoints: +10\.244\.0\.\d+:80\n", kubectl("describe", "service", "site"))


def test_explain_knows_the_fields(kubectl: Kubectl) -> None:
    said = kubectl("explain", "pod.spec.containers.ports")
    assert "FIELD: ports <[]ContainerPort>" in said and "containerPort\t<integer> -required-" in said


def test_get_watch_sees_a_pod_come_and_go(cluster: Cluster, kubectl: Kubectl, registries: Registries) -> None:
    watch = cluster.popen("kubectl", "-n", NAMESPACE, "get", "pods", "-w", "--output-watch-events")

    def line() -> list[str]:
        assert watch.stdout is not None
        return watch.stdout.readline().split()

    try:
        assert line()[:4] == ["EVENT", "NAME", "READY", "STATUS"]
        assert line()[:4] == ["ADDED", "two-containers", "2/2", "Running"]
        kubectl("apply", "-f", "-", stdin=one_pod(registries, "brief", "exit 0"))
        kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/brief", "--timeout=240s")
        waiting = cluster.popen("kubectl", "-n", NAMESPACE, "wait", "--for=delete", "pod/brief", "--timeout=240s")
        kubectl("delete", "pod", "brief")
        said, _ = waiting.communicate(timeout=240)
        # It says nothing of a pod that was gone before it looked.
        assert waiting.returncode == 0 and said in ("pod/brief condition met\n", "")
        seen: list[list[str]] = []
        while not seen or seen[-1][0] != "DELETED":
            # Of the other pod there may be news as well.
            seen += [each for each in (line(),) if each[1] == "brief"]
    finally:
        watch.send_signal(signal.SIGKILL)
        watch.communicate(timeout=240)
    assert seen[0][0] == "ADDED"
    statuses = [status for _, _, _, status, *_ in seen]
    assert statuses[0] == "Pending" and "Completed" in statuses


def test_run_prints_the_output_once_and_ends_with_the_container_s_code(kubectl: Kubectl, registries: Registries) -> None:
    run = ("run", "once", f"--image={registries.public}/library/busybox:1.36", "--restart=Never", "-i", "--rm", "--", "sh")
    said = kubectl(*run, stdin="sleep 0.5; echo from stdin; exit 4\n", code=4)
    assert said.count("from stdin") == 1 and 'pod "once" deleted' in said and "couldn't attach" not in said


def test_delete_runs_the_hook_then_says_term_and_waits_for_the_grace_period_only_if_needed(
    kubectl: Kubectl, cluster: Cluster, registries: Registries
) -> None:
    script = "trap 'echo got TERM; exit 0' TERM; echo ready; while :; do sleep 0.1; done"
    hook = '      lifecycle: {preStop: {exec: {command: [sh, -c, "echo hook > /proc/1/fd/1"]}}}\n'
    kubectl("apply", "-f", "-", stdin=one_pod(registries, "polite", script) + hook)
    stubborn = one_pod(registries, "stubborn", "trap '' TERM; while :; do sleep 0.1; done", "  terminationGracePeriodSeconds: 2")
    kubectl("apply", "-f", "-", stdin=stubborn)
    kubectl("wait", "--for=condition=Ready", "pod/polite", "pod/stubborn", "--timeout=240s")
    log = cluster.popen("kubectl", "-n", NAMESPACE, "logs", "-f", "polite")
    assert log.stdout is not None and log.stdout.readline() == "ready\n"
    watch = Stopwatch()
    kubectl("delete", "pod", "polite")
    assert watch.seconds < 25, "it was waited for the grace period"
    said, _ = log.communicate(timeout=240)
    assert said.splitlines() == ["hook", "got TERM"]
    watch = Stopwatch()
    kubectl("delete", "pod", "stubborn")
    assert 1.9 < watch.seconds < 25


def test_forced_deletion_does_not_wait(kubectl: Kubectl, registries: Registries) -> None:
    kubectl("apply", "-f", "-", stdin=one_pod(registries, "forced", "trap '' TERM; while :; do sleep 0.1; done"))
    kubectl("wait", "--for=condition=Ready", "pod/forced", "--timeout=240s")
    watch = Stopwatch()
    said = kubectl("delete", "pod", "forced", "--force", "--grace-period=0")
    assert watch.seconds < 25 and 'pod "forced" force deleted' in said
    assert "not found" in kubectl("get", "pod", "forced", code=1)


def test_previous_is_the_log_of_the_container_before(kubectl: Kubectl, registries: Registries) -> None:
    script = "if [ -e /keep/seen ]; then echo second; sleep 600; else touch /keep/seen; echo first; exit 1; fi"
    pod = one_pod(registries, "twice", script, "  volumes: [{name: keep, emptyDir: {}}]")
    pod = (
        pod.replace("restartPolicy: Never", "restartPolicy: OnFailure") + "      volumeMounts: [{name: keep, mountPath: /keep}]\n"
    )
    kubectl("apply", "-f", "-", stdin=pod)
    eventually(lambda: kubectl("logs", "twice") == "second\n")
    assert kubectl("logs", "twice", "--previous") == "first\n"
    kubectl("delete", "pod", "twice", "--force", "--grace-period=0")


def test_an_image_behind_a_password_is_pulled_with_the_pod_s_secret(kubectl: Kubectl, registries: Registries) -> None:
    pod = one_pod(registries, "private", "sleep 600").replace(registries.public, registries.private)
    kubectl("apply", "-f", "-", stdin=pod)

    def refused() -> bool:
        return "ErrImagePull" in kubectl("get", "pod", "private") or "ImagePullBackOff" in kubectl("get", "pod", "private")

    eventually(refused)
    kubectl("delete", "pod", "private", "--force", "--grace-period=0")
    password = ("--docker-username=tester", "--docker-password=hunter2")
    kubectl("create", "secret", "docker-registry", "login", f"--docker-server={registries.private}", *password)
    kubectl("apply", "-f", "-", stdin=pod + "  imagePullSecrets: [{name: login}]\n")
    kubectl("wait", "--for=condition=Ready", "pod/private", "--timeout=240s")
    kubectl("delete", "pod", "private", "--force", "--grace-period=0")


def test_the_namespace_is_gone_with_all_that_was_in_it(cluster: Cluster, namespace: str, registries: Registries) -> None:
    cluster.apply(
        site(registries).replace("terminationGracePeriodSeconds: 5", "terminationGracePeriodSeconds: 1"), namespace=namespace
    )
    cluster.kubectl("delete", "namespace", namespace, "--timeout=240s")
    with pytest.raises(Failed, match="not found"):
        cluster.get("namespace", namespace)
    cluster.kubectl("create", "namespace", namespace)
