"""Three machines in one cluster: joining, traffic between their pods, a machine that is lost and comes back, one that leaves.

One cluster for all, so the order counts: who leaves, leaves last.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from tests.e2e.harness import eventually, told
from tools.machines import Machine, Machines

pytestmark = pytest.mark.root

WEB = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: main
          image: steersman.example/hello:1
          imagePullPolicy: Never
          env: [{name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]
          command: [sh, -c, "mkdir -p /www; echo I am on $NODE > /www/index.html; exec httpd -f -v -p 80 -h /www"]
          ports: [{containerPort: 80, hostPort: 8080}]
          readinessProbe: {httpGet: {port: 80}, periodSeconds: 1, timeoutSeconds: 30}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: LoadBalancer
  selector: {app: web}
  ports: [{port: 81, targetPort: 80, nodePort: 30081}]
---
apiVersion: v1
kind: Service
metadata: {name: near}
spec:
  type: NodePort
  externalTrafficPolicy: Local
  selector: {app: web}
  ports: [{port: 82, targetPort: 80, nodePort: 30082}]
"""
MOVABLE = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: movable}
spec:
  replicas: 3
  selector: {matchLabels: {app: movable}}
  template:
    metadata: {labels: {app: movable}}
    spec:
      terminationGracePeriodSeconds: 0
      topologySpreadConstraints:
        - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway,
           labelSelector: {matchLabels: {app: movable}}}
      tolerations:
        - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 1}
        - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 1}
      containers:
        - name: main
          image: steersman.example/hello:1
          imagePullPolicy: Never
          command: [sh, -c, "trap 'exit 0' TERM; while :; do sleep 1; done"]
"""


def at_once(*calls: object) -> list[str]:
    with ThreadPoolExecutor() as pool:
        return [made.result() for made in [pool.submit(call) for call in calls if callable(call)]]


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    """Four; three of them make a cluster, with an image on each."""
    made = Machines(f"stm-lan-{os.getpid()}", 4)
    try:
        first = made[1]
        first.steersman("up", "--node-name", first.name, "--node-monitor-grace-period", "30s")
        command = first.steersman("token", "create").strip()
        at_once(
            lambda: made[2].join(command, "--node-name", "node-2", "--pool", "edge"),
            lambda: made[3].join(command, "--node-name", "node-3", "--labels", "disk=ssd"),
        )
        at_once(*(lambda machine=made[n]: machine.steersman("example", "--image-only", "1") for n in (1, 2, 3)))
        first.apply(WEB)
        first.apply(MOVABLE)
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module")
def pods(machines: Machines) -> dict[str, tuple[str, str]]:
    """Node -> name and address of the pod `web` there."""
    machines[1].kubectl("rollout", "status", "daemonset/web", "--timeout=240s")
    items = machines[1].get("pods", "-l", "app=web")["items"]
    return {pod["spec"]["nodeName"]: (pod["metadata"]["name"], pod["status"]["podIP"]) for pod in items}


def nodes(machines: Machines) -> dict[str, list[str]]:
    """Name -> status and roles, as `kubectl get nodes` has them."""
    lines = machines[1].kubectl("get", "nodes", "--no-headers").splitlines()
    return {line.split()[0]: line.split()[1:3] for line in lines}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"--token": "abcdef.0123456789abcdef"}, "knows no valid token abcdef"),
        ({"--token": "{id}.0123456789abcdef"}, "the second half of the token {id} is wrong"),
        ({"--token": "short"}, '--token must be of the form "abcdef.0123456789abcdef"'),
        ({"--discovery-token-ca-cert-hash": f"sha256:{1:064}"}, "is not the one that was pinned: it has sha256:"),
        ({"server": "198.51.100.1:6444"}, "can't be reached: connection refused"),
        ({"server": "198.51.100.1:10250"}, "does not publish kube-public/cluster-info"),
        ({"--node-name": "node-2"}, "a node named node-2 is there already, and Ready"),
        ({"--node-ip": "198.51.100.77"}, "198.51.100.77 is no address of this machine"),
        ({"--pool": "control-plane"}, "is the name of a role that joining nodes can't have"),
        ({"--labels": "node-role.kubernetes.io/x=y"}, "a node may not give itself the label node-role.kubernetes.io/x"),
    ],
)  # fmt: skip
def test_who_is_not_let_in_is_told_why_in_one_line_and_leaves_nothing(
    machines: Machines, change: dict[str, str], said: str
) -> None:
    command = machines[1].steersman("token", "create").split()
    given = {"server": command[2], "--node-name": "node-4", command[3]: command[4], command[5]: command[6]}
    token_id = given["--token"].partition(".")[0]
    given |= {flag: value.format(id=token_id) for flag, value in change.items()}
    server = given.pop("server")
    flags = [word for pair in given.items() for word in pair]
    line = machines[4].steersman("join", server, *flags, code=1).splitlines()[-1]
    assert line.startswith("steersman join: ") and said.format(id=token_id) in line
    assert [path for path in machines[4].state.rglob("*") if "kubectl-cache" not in path.parts] == []


@pytest.mark.conformance("[sig-architecture] Conformance Tests should have at least two untainted nodes [Conformance]")
def test_nodes_are_ready_with_their_pool_labels_and_certificates(machines: Machines) -> None:
    assert {name: found[0] for name, found in nodes(machines).items()} == {f"node-{n}": "Ready" for n in (1, 2, 3)}

    def untainted() -> bool:
        items = machines[1].get("nodes")["items"]
        return not any(node["spec"].get("taints") or node["spec"].get("unschedulable") for node in items)

    eventually(untainted)
    eventually(lambda: nodes(machines)["node-2"][1] == "edge", what="the pool as role")
    labels = {name: machines[1].get("node", name)["metadata"]["labels"] for name in ("node-2", "node-3")}
    assert labels["node-2"]["steersman.io/pool"] == "edge" and labels["node-3"]["disk"] == "ssd"
    assert "node-3: Ready" in machines[3].steersman("status")
    signers = ["kubernetes.io/kube-apiserver-client-kubelet"] * 2 + ["kubernetes.io/kubelet-serving"] * 2
    eventually(lambda: sorted(_issued(machines[1])) == signers)
    assert "administrator" not in machines[2].steersman("join", f"{machines[1].address}:6443")
    assert "a node of the cluster at https://198.51.100.1:6443" in machines[2].steersman("token", "list", code=1)


def _issued(machine: Machine) -> list[str]:
    """The signers of the requests, once all are signed."""
    items = machine.get("certificatesigningrequests")["items"]
    return [item["spec"]["signerName"] for item in items] if all(item["status"].get("certificate") for item in items) else []


def asked_of(machine: Machine, pod: str, address: str, answer: str, what: str) -> None:
    """Wait until that is what the pod is answered there."""
    eventually(lambda: machine.kubectl("exec", pod, "--", "wget", "-qO-", f"http://{address}") == answer, what=what)


def answered(machine: Machine, url: str, by: set[str]) -> None:
    """Wait until all of them, in turn, answer the machine: rules and addresses follow what the API shows."""
    eventually(lambda: {machine.curl(url).strip() for _ in range(len(by))} == by, what=f"{machine.name} asks {url}")


def test_pods_of_all_nodes_reach_each_other_under_their_own_addresses(
    machines: Machines, pods: dict[str, tuple[str, str]]
) -> None:
    first = machines[1]
    for node, (name, _) in pods.items():
        for other, (_, address) in pods.items():
            asked_of(first, name, address, f"I am on {other}\n", f"{node} reaches {other}")
    for name, _ in pods.values():
        # By all, under their own addresses.
        told(partial(first.kubectl, "logs", name), *(f"{address}]" for _, address in pods.values()))
    # What is larger than a packet of the overlay gets through, and what pods send fits.
    name, _ = pods["node-2"]
    assert "1450" in first.kubectl("exec", name, "--", "cat", "/sys/class/net/eth0/mtu")
    first.kubectl("exec", name, "--", "ping", "-c", "1", "-W", "60", "-s", "8000", pods["node-3"][1])


def test_services_and_names_answer_from_every_node(machines: Machines, pods: dict[str, tuple[str, str]]) -> None:
    first = machines[1]
    everywhere = {f"I am on {node}" for node in pods}
    address = first.get("service", "web")["spec"]["clusterIP"]
    for name, _ in pods.values():
        inside = ("exec", name, "--")
        thrice = (*inside, "sh", "-c", "for i in 1 2 3; do wget -qO- http://web:81; done")
        told(partial(first.kubectl, *thrice), *everywhere)
        assert address in first.kubectl(*inside, "nslookup", "web.default.svc.cluster.local")
        assert "reached" in first.kubectl(*inside, "sh", "-c", "nc -w 60 kubernetes 443 < /dev/null && echo reached")
    for machine in (machines[n] for n in (1, 2, 3)):
        for url in (f"http://{address}:81", f"http://{machine.address}:30081", f"http://{machine.address}:81"):
            answered(machine, url, everywhere)
    # From another machine: any node's port leads to any pod; with the policy Local, and by host port, to the node's own.
    for n in (1, 2, 3):
        answered(machines[4], f"http://{machines[n].address}:30081", everywhere)
        for port in (30082, 8080):
            answered(machines[4], f"http://{machines[n].address}:{port}", {f"I am on node-{n}"})
        # Under the client's own address.
        told(partial(first.kubectl, "logs", pods[f"node-{n}"][0]), f"{machines[4].address}]")


def test_a_joined_node_comes_back_after_kill_9_with_its_pods_untouched(
    machines: Machines, pods: dict[str, tuple[str, str]]
) -> None:
    first, second = machines[1], machines[2]
    name, address = pods["node-2"]
    before = first.get("pod", name)["status"]["containerStatuses"]
    for part in ("supervisor", "node"):
        second.kill(part)
    assert first.curl(f"http://{address}") == "I am on node-2\n"
    assert "node-2 is in the cluster" in second.steersman("join", f"{first.address}:6443")
    eventually(lambda: first.get("pod", name)["status"]["containerStatuses"] == before, what="the same containers")
    asked_of(first, name, pods["node-3"][1], "I am on node-3\n", "node-2 reaches node-3")


def test_pods_of_a_lost_node_move_and_it_comes_back_clean(machines: Machines, pods: dict[str, tuple[str, str]]) -> None:
    first = machines[1]
    first.kubectl("rollout", "status", "deployment/movable", "--timeout=240s")

    def movable() -> dict[str, str]:
        """Running pods and where they are."""
        items = first.get("pods", "-l", "app=movable")["items"]
        return {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in items if "deletionTimestamp" not in pod["metadata"]}

    def resolvers() -> set[str]:
        items = first.get("endpointslices", "-n", "kube-system", "-l", "kubernetes.io/service-name=kube-dns")["items"]
        return {each["nodeName"] for item in items for each in item["endpoints"] if each["conditions"]["ready"]}

    def outside() -> set[str]:
        status = first.get("service", "web")["status"]
        return {item["ip"] for item in status["loadBalancer"].get("ingress", ())}

    assert set(movable().values()) == {"node-1", "node-2", "node-3"}
    eventually(lambda: resolvers() == {"node-1", "node-2", "node-3"})
    eventually(lambda: outside() == {"198.51.100.1", "198.51.100.2", "198.51.100.3"})
    machines.lan.cut(machines[2])
    eventually(lambda: nodes(machines)["node-2"][0] == "NotReady")
    eventually(lambda: len(movable()) == 3 and set(movable().values()) == {"node-1", "node-3"})
    eventually(lambda: resolvers() == {"node-1", "node-3"}, what="the lost node's DNS is not asked any more")
    eventually(lambda: outside() == {"198.51.100.1", "198.51.100.3"}, what="the balancer has addresses of living nodes")
    answered(first, f"http://{first.address}:30081", {"I am on node-1", "I am on node-3"})
    machines.lan.mend(machines[2])
    eventually(lambda: nodes(machines)["node-2"][0] == "Ready")
    eventually(lambda: len(first.get("pods", "-l", "app=movable")["items"]) == 3, what="the pods that moved are gone there")
    eventually(lambda: resolvers() == {"node-1", "node-2", "node-3"})
    name, _ = pods["node-2"]
    assert first.get("pod", name)["status"]["containerStatuses"][0]["restartCount"] == 0
    asked_of(first, name, pods["node-1"][1], "I am on node-1\n", "node-2 reaches node-1")


def test_a_node_that_is_removed_is_drained_and_stays_away(machines: Machines) -> None:
    first, third = machines[1], machines[3]
    selector = '{"nodeSelector": {"disk": "ssd"}}'
    image = "--image=steersman.example/hello:1"
    pod = ("run", "alone", image, "--image-pull-policy=Never", f'--overrides={{"spec": {selector}}}', "--", "sleep", "99")
    first.kubectl(*pod)
    eventually(lambda: first.get("pod", "alone")["spec"].get("nodeName") == "node-3")
    assert "nobody would make these pods anew: default/alone" in first.steersman("remove", "node", "node-3", code=1)
    first.kubectl("delete", "pod", "alone", "--now")
    first.kubectl("create", "poddisruptionbudget", "movable", "--selector=app=movable", "--min-available=3")
    eventually(lambda: first.get("poddisruptionbudget", "movable")["status"].get("expectedPods") == 3)
    # On the node itself, so that the budget has something to protect there.
    if not any(pod["spec"]["nodeName"] == "node-3" for pod in first.get("pods", "-l", "app=movable")["items"]):
        pytest.fail("no movable pod is on node-3")
    said = first.steersman("remove", "node", "node-3", "--timeout", "1s", code=1)
    assert "disruption budgets did not let these pods go within 1 s: default/movable-" in said
    assert nodes(machines)["node-3"][0] == "Ready,SchedulingDisabled"
    first.kubectl("delete", "poddisruptionbudget", "movable")
    assert "steersman down --delete" in first.steersman("remove", "node", "node-3")
    assert set(nodes(machines)) == {"node-1", "node-2"}
    first.kubectl("rollout", "status", "deployment/movable", "--timeout=240s")
    assert "has no node node-3 any more" in third.steersman("status", code=1)
    users = [item["spec"]["username"] for item in first.get("certificatesigningrequests")["items"]]
    assert "system:node:node-3" not in users and "system:node:node-2" in users
    third.steersman("down", "--delete")
    assert not third.state.exists()
    again = third.join(first.steersman("token", "create").strip(), "--node-name", "node-3")
    assert "node-3 is in the cluster" in again
