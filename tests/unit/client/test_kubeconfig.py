"""kubeconfig files: what a context stands for, merging, and who may read what is written."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest

from steersman.client import kubeconfig

CA = b"-----BEGIN CERTIFICATE-----"

FILE = f"""
apiVersion: v1
kind: Config
current-context: one
clusters:
- name: c1
  cluster: {{server: "https://one:6443", certificate-authority-data: {base64.b64encode(CA).decode()}}}
- name: c2
  cluster: {{server: "https://two:6443", certificate-authority: pki/ca.crt, tls-server-name: two.local}}
users:
- name: u1
  user: {{token: secret}}
- name: u2
  user: {{client-certificate: pki/me.crt, client-key: /abs/me.key, tokenFile: tok}}
contexts:
- name: one
  context: {{cluster: c1, user: u1, namespace: team}}
- name: two
  context: {{cluster: c2, user: u2}}
- name: broken
  context: {{cluster: nowhere, user: u1}}
"""


def test_a_context_gives_server_credentials_and_namespace(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(FILE)
    config = kubeconfig.read(path)
    one = kubeconfig.resolve(config)
    assert (one.server, one.token, one.namespace, one.ca, one.context) == ("https://one:6443", "secret", "team", CA, "one")
    two = kubeconfig.resolve(config, "two")
    assert (two.ca, two.cert, two.key) == (tmp_path / "pki/ca.crt", tmp_path / "pki/me.crt", Path("/abs/me.key"))
    assert (two.token_file, two.namespace, two.tls_server_name) == (tmp_path / "tok", "default", "two.local")


@pytest.mark.parametrize(
    ("context", "message"),
    [("broken", "the kubeconfig has no cluster 'nowhere'"), ("absent", "the kubeconfig has no context 'absent'")],
)
def test_what_is_missing_is_named(tmp_path: Path, context: str, message: str) -> None:
    path = tmp_path / "config"
    path.write_text(FILE)
    with pytest.raises(kubeconfig.KubeconfigError, match=message):
        kubeconfig.resolve(kubeconfig.read(path), context)


def test_merging_replaces_entries_of_the_same_name_and_keeps_the_others_private(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "config"
    path.parent.mkdir()
    path.write_text(FILE)
    kubeconfig.merge_into(path, kubeconfig.make("c1", "https://new:1", ca=CA, cert=b"cert", key=b"key", user="u1"))
    config = kubeconfig.read(path)
    assert sorted(entry["name"] for entry in config["clusters"]) == ["c1", "c2"]
    now = kubeconfig.resolve(config)
    assert (now.context, now.server, now.cert, now.key) == ("c1", "https://new:1", b"cert", b"key")
    assert kubeconfig.resolve(config, "two").server == "https://two:6443"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_of_several_files_the_first_wins(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    kubeconfig.write(first, kubeconfig.make("c", "https://first:1", ca=CA))
    kubeconfig.write(second, kubeconfig.make("c", "https://second:1", ca=CA))
    assert kubeconfig.resolve(kubeconfig.read(first, tmp_path / "absent", second)).server == "https://first:1"
    assert kubeconfig.default_paths({"KUBECONFIG": f"{first}:{second}"}) == [first, second]


def test_a_pod_connects_by_its_service_account(tmp_path: Path) -> None:
    (tmp_path / "namespace").write_text("team\n")
    environ = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    found = kubeconfig.in_cluster(environ, tmp_path)
    assert (found.server, found.namespace, found.token_file) == ("https://[fd00::1]:443", "team", tmp_path / "token")
    with pytest.raises(kubeconfig.KubeconfigError):
        kubeconfig.in_cluster({}, tmp_path)


def test_a_file_that_is_no_kubeconfig_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "config"
    for text in ("- a list", "a: [unclosed"):
        path.write_text(text)
        with pytest.raises(kubeconfig.KubeconfigError, match=str(path)):
            kubeconfig.read(path)
