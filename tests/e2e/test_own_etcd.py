"""A cluster over an etcd of its own: it starts with it, outlives its death, and finds its objects again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from tests.e2e.harness import Stopwatch, eventually
from tools.throwaway import Cluster

pytestmark = pytest.mark.root


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster(f"stm-etcd-{os.getpid()}")
    try:
        made.steersman("up", "--node-name", "node-1", "--store", "etcd")
        yield made
    finally:
        made.remove()


def test_a_cluster_keeps_its_objects_in_an_etcd_of_its_own(cluster: Cluster) -> None:
    assert "etcd " in cluster.steersman("status")
    cluster.kubectl("create", "configmap", "kept", "--from-literal=a=b")

    before = cluster.kill("etcd")
    eventually(lambda: cluster.pid("etcd") not in (0, before), what="another etcd")
    # A write that was not acknowledged may have been made all the same.
    after = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: after}\n"
    eventually(lambda: cluster.apply(after).startswith("configmap/after "))

    # One that hangs: told at once and in one sentence, and taken up again.
    log = cluster.state / "logs" / "apiserver.log"
    os.kill(cluster.pid("etcd"), signal.SIGSTOP)
    try:
        eventually(lambda: "[-]etcd failed" in cluster.run("kubectl", "get", "--raw", "/readyz", code=1))
        clock = Stopwatch()
        told = cluster.run("kubectl", "get", "configmap", "kept", code=1)
        # Two attempts of five seconds each; kubectl does not try again by itself.
        assert clock.seconds < 40 and "could not be completed at this time, please try again: etcd does not answer at" in told
        assert log.read_text().count("store unavailable") <= 2
    finally:
        os.kill(cluster.pid("etcd"), signal.SIGCONT)
    eventually(lambda: cluster.run("kubectl", "get", "--raw", "/readyz", code=None) == "ok")
    assert "kept" in cluster.kubectl("get", "configmaps")

    refused = cluster.steersman("up", "--store", "sqlite", code=1)
    assert "--store is etcd for the cluster" in refused
    cluster.steersman("down")
    assert not (cluster.state / "store.db").exists()
    cluster.steersman("up")
    assert cluster.get("configmap", "kept")["data"] == {"a": "b"}

    # Only what etcd's own CA signed gets in: the certificates of the cluster's parts do not.
    pki = cluster.state / "pki"
    ask = ["curl", "-sS", "--max-time", "5", "--cacert", f"{pki}/etcd/ca.crt", "https://127.0.0.1:12379/health"]
    admitted = ["--cert", f"{pki}/apiserver-etcd-client.crt", "--key", f"{pki}/apiserver-etcd-client.key"]
    assert "true" in cluster.run(*ask, *admitted)
    assert "true" not in cluster.run(*ask, "--cert", f"{pki}/admin.crt", "--key", f"{pki}/admin.key", code=None)
