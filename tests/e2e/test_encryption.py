"""docs/encryption.md, typed: an existing cluster is encrypted, gets another key while it runs, and loses one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.documents import commands, typed
from tests.e2e.harness import Cluster, eventually

pytestmark = pytest.mark.root


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster(f"stm-enc-{os.getpid()}")
    try:
        made.steersman("up", "--simulated-nodes", "1")
        yield made
    finally:
        made.remove()


def on_disk(cluster: Cluster) -> bytes:
    return b"".join(path.read_bytes() for path in cluster.state.glob("store.db*"))


def test_a_cluster_is_encrypted_and_changes_its_keys(cluster: Cluster, tmp_path: Path) -> None:
    encrypt, rewrite, rotate = commands("encryption.md")
    hidden, shown = "Y29ycmVjdC1ob3JzZQ==", '"value":"Y29ycmVjdC1ob3JzZQ=="'
    cluster.kubectl("create", "secret", "generic", "token", "--from-literal=value=correct-horse")
    assert hidden.encode() in on_disk(cluster)

    typed(cluster, encrypt, tmp_path)
    assert shown in cluster.kubectl("get", "secret", "token", "-o", "jsonpath={}")
    assert "token " in cluster.kubectl("get", "secrets")
    typed(cluster, rewrite, tmp_path)
    assert b"k8s:enc:aesgcm:v1:key1:" in on_disk(cluster)

    typed(cluster, rotate, tmp_path)
    assert b"k8s:enc:aesgcm:v1:key2:" in on_disk(cluster)
    assert shown in cluster.kubectl("get", "secret", "token", "-o", "jsonpath={}")
    cluster.kubectl("create", "secret", "generic", "later", "--from-literal=value=another-secret")
    assert b"YW5vdGhlci1zZWNyZXQ=" not in on_disk(cluster)
    assert "change while nothing runs" in cluster.steersman("up", "--encryption-provider-config", "", code=1)

    # With none of its keys: told, and nothing else is touched.
    file = tmp_path / "encryption.yaml"
    kept = file.read_text()
    file.write_text(kept.replace("name: key2", "name: key3"))
    said = 'unable to transform key "/registry/secrets/default/token": no matching key was found'
    cluster.steersman("down")
    cluster.steersman("up")
    for arguments in (("get", "secret", "token"), ("get", "secrets")):
        assert "Error from server (InternalError)" in cluster.run("kubectl", *arguments, code=1)
    assert said in cluster.run("kubectl", "get", "secret", "token", code=1)
    assert "kube-root-ca.crt" in cluster.kubectl("get", "configmaps")
    log = (cluster.state / "logs" / "apiserver.log").read_text()
    assert "key=/registry/secrets/default/token" in log and hidden not in log
    # The old key may go: nothing is encrypted with it any more.
    file.write_text(kept[: kept.index(", {name: key1")] + kept[kept.index("]}") :])
    eventually(lambda: shown in cluster.run("kubectl", "get", "secret", "token", "-o", "jsonpath={}", code=None))

    file.write_text("kind: Secret\n")
    elsewhere = ("--encryption-provider-config", str(file), "--state-dir", str(tmp_path / "new"))
    assert 'no kind "Secret" is registered' in cluster.steersman("up", "--simulated-nodes", "1", *elsewhere, code=1)
