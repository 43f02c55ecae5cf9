"""Every part of the architecture as a process of its own, started by its own command: together they are a cluster.

etcd is Debian's; the API server gets flags, everybody else a kubeconfig and the few flags that say where it runs. They are
started before there is an API server, which they wait for. Of the elected ones there are two. The tests are one story, in order.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.alone import LEASE_S, LEASES, NODE, Alone
from tests.e2e.harness import Stopwatch, eventually

from steersman.cluster import addons, cloud
from steersman.cluster.example import deploy
from steersman.machinery.clock import RealClock
from steersman.machinery.meta import Obj, dig

pytestmark = pytest.mark.root

IMAGE = "steersman.example/hello:1"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Alone]:
    made = Alone(f"stm-alone-{os.getpid()}")
    try:
        # The wrong way round: everybody waits for the API server, and that for etcd.
        for name in LEASES:
            made.elected(name)
        made.kubelet()
        made.component("proxy", f"--hostname-override={NODE}")
        made.component("dns", f"--hostname-override={NODE}")
        for part in made.parts.values():
            part.says("waiting for the API server")
        made.apiserver()
        made.etcd()
        eventually(lambda: made.kubectl("get", "--raw", "/readyz") == "ok")
        # What a cluster's administrator writes: who may do what the parts do, and the Service of the DNS server.
        objects: list[Obj] = [obj for _, obj in (*addons.dns(made.settings), *cloud.objects())]
        made.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
        yield made
    except BaseException:
        for name, part in made.parts.items():
            print(f"--- {name}\n{part.said[-3000:]}")
        raise
    finally:
        made.remove()


HELLO = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: hello}
spec:
  replicas: 2
  selector: {matchLabels: {app: hello}}
  template:
    metadata: {labels: {app: hello}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - {name: hello, image: "steersman.example/hello:1", imagePullPolicy: Never, ports: [{containerPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: hello}
spec:
  type: LoadBalancer
  selector: {app: hello}
  ports: [{port: 80, targetPort: 8080}]
"""


def ready(cluster: Alone, count: int) -> bool:
    found = cluster.get("deployment", "hello")
    return bool(dig(found, "status", "readyReplicas", default=0) == count)


def test_parts_started_by_their_own_commands_are_a_cluster(cluster: Alone) -> None:
    eventually(
        lambda: "True" in cluster.kubectl("get", "node", NODE, "-o", "jsonpath={.status.conditions[?(@.type=='Ready')].status}")
    )
    assert asyncio.run(deploy.build_image(cluster.paths, cluster.settings, RealClock())) == IMAGE
    assert IMAGE in cluster.steersman("image", "ls")
    cluster.apply(HELLO)
    eventually(lambda: ready(cluster, 2))
    service = eventually(
        lambda: dig(cluster.get("service", "hello"), "status", "loadBalancer", "ingress") and cluster.get("service", "hello")
    )
    # kube-proxy: the cluster address and the load balancer's; the cloud controllers gave that.
    for address in (service["spec"]["clusterIP"], service["status"]["loadBalancer"]["ingress"][0]["ip"]):
        cluster.answers(address)
    # The kubelet's server, through the API server; DNS, through the proxy.
    pod = cluster.kubectl("get", "pods", "-l", "app=hello", "-o", "name").split()[0]
    asked = ("exec", pod, "--", "busybox", "nslookup", "hello.default.svc.cluster.local")
    eventually(lambda: service["spec"]["clusterIP"] in cluster.kubectl(*asked))
    # Each has said that it waited, once.
    for name, part in cluster.parts.items():
        assert part.said.count("waiting for the API server") == (0 if name in ("etcd", "apiserver") else 1), part.said
        assert "Traceback" not in part.said, part.said


def test_the_kubelet_does_what_its_configuration_says(cluster: Alone) -> None:
    assert cluster.get("node", NODE)["status"]["capacity"]["pods"] == "23"
    shown = json.loads(cluster.kubectl("get", "--raw", f"/api/v1/nodes/{NODE}/proxy/configz"))["kubeletconfig"]
    assert (shown["podPidsLimit"], shown["tlsCertFile"]) == (97, str(cluster.paths.pki / "kubelet-serving.crt"))
    assert shown["serializeImagePulls"] is True
    pod = cluster.get("pods", "-l", "app=hello")["items"][0]
    status = cluster.kubectl("exec", pod["metadata"]["name"], "--", "cat", "/proc/1/status")
    assert "Seccomp:\t2" in status
    limits = [path.read_text().strip() for path in Path("/sys/fs/cgroup").glob(f"**/pod{pod['metadata']['uid']}/pids.max")]
    assert limits == ["97"]


def test_of_two_one_works_and_the_other_takes_over_from_a_dead_one(cluster: Alone) -> None:
    for name in LEASES:
        cluster.elected(name, number=2)
    for name in LEASES:
        cluster.parts[f"{name}-2"].says("waiting, another leads")
        assert cluster.leader(name) == name
    for name in LEASES:
        cluster.parts[name].end(signal.SIGKILL)
    watch = Stopwatch()
    for name in LEASES:
        cluster.led_by(name, f"{name}-2")
    assert watch.seconds > 1, "taken over from somebody who might still live"
    cluster.kubectl("scale", "deployment", "hello", "--replicas=3")
    eventually(lambda: ready(cluster, 3))
    told = ("get", "events", "-n", "kube-system", "--field-selector", "reason=LeaderElection", "-o", "name")
    eventually(lambda: len(cluster.kubectl(*told).split()) == 6, what="an event of each that became leader")


@pytest.mark.parametrize("name", list(LEASES))
def test_a_leader_that_is_told_to_end_hands_over_at_once(cluster: Alone, name: str) -> None:
    cluster.elected(name)
    follower = cluster.parts[name]
    follower.says("waiting, another leads")
    watch = Stopwatch()
    assert cluster.parts[f"{name}-2"].end() == 0
    cluster.led_by(name, name)
    assert watch.seconds < LEASE_S - 5, "the lease has run out"
    assert "Traceback" not in cluster.parts[f"{name}-2"].said


def test_a_leader_that_loses_its_lease_ends_with_upstreams_words(cluster: Alone) -> None:
    thief = {"spec": {"holderIdentity": "a-thief", "leaseDurationSeconds": 3600}}
    part = cluster.parts["scheduler"]
    cluster.kubectl("patch", "lease", "kube-scheduler", "-n", "kube-system", "--type=merge", "-p", json.dumps(thief))
    assert part.process.wait(120) == 1
    assert part.said.splitlines()[-1] == "steersman scheduler: leaderelection lost"
    cluster.kubectl("delete", "lease", "kube-scheduler", "-n", "kube-system")
    cluster.elected("scheduler")
    cluster.led_by("scheduler", "scheduler")


def test_every_part_ends_at_once_and_cleanly_when_told(cluster: Alone) -> None:
    cluster.kubectl("delete", "deployment,service", "hello")
    eventually(lambda: not cluster.get("pods")["items"])
    for name in ("dns", "proxy", "kubelet", *LEASES, "apiserver", "etcd"):
        part = cluster.parts[name]
        watch = Stopwatch()
        code = part.end()
        # etcd ends by the signal itself.
        assert code == (-signal.SIGTERM if name == "etcd" else 0), f"{name}: {code}\n{part.said[-2000:]}"
        assert watch.seconds < 20, f"{name} took {watch.seconds:.1f} s"
        assert "Traceback" not in part.said, part.said
