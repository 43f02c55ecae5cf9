"""Upstream's kubectl and certificate requests; `steersman token` on the same server."""

from __future__ import annotations

import argparse
import hashlib
import re
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from tests.fakes.requests import csr, pem
from tests.integration.kubectl.conftest import Kubectl

from steersman.cluster.commands import token
from steersman.cluster.settings import SettingsError
from steersman.machinery import yamlio


def test_requests_are_approved_denied_and_shown(kubectl: Kubectl, tmp_path: Path) -> None:
    for name, seconds in (("wanted", 7200), ("unwanted", None)):
        request = csr("kubernetes.io/kube-apiserver-client", pem("someone"), name=name, seconds=seconds)
        (tmp_path / name).write_text(yamlio.dump(request))
        kubectl("create", "-f", str(tmp_path / name))
    assert "Pending" in kubectl("get", "csr", "wanted")
    assert kubectl("certificate", "approve", "wanted") == "certificatesigningrequest.certificates.k8s.io/wanted approved\n"
    assert kubectl("certificate", "deny", "unwanted") == "certificatesigningrequest.certificates.k8s.io/unwanted denied\n"
    shown = [re.split(r"\s{2,}", line.strip()) for line in kubectl("get", "csr", "wanted", "unwanted").splitlines()]
    assert shown[0] == ["NAME", "AGE", "SIGNERNAME", "REQUESTOR", "REQUESTEDDURATION", "CONDITION"]
    signer, user = "kubernetes.io/kube-apiserver-client", "kubernetes-admin"
    assert [row[:1] + row[2:] for row in shown[1:]] == [
        ["wanted", signer, user, "120m", "Approved"],
        ["unwanted", signer, user, "<none>", "Denied"],
    ]
    reason = "{.status.conditions[0].reason}"
    assert kubectl("get", "csr", "wanted", "-o", f"jsonpath={reason}") == "KubectlApprove"
    refused = kubectl("certificate", "deny", "wanted", code=1)
    assert refused == 'error: certificate signing request "wanted" is already Approved\n'


def command(config: Path, *arguments: str) -> int:
    parser = argparse.ArgumentParser()
    token.configure(parser)
    return token.run(parser.parse_args([*arguments, *(("--kubeconfig", str(config)) if arguments[0] != "generate" else ())]))


def test_tokens_are_made_listed_and_deleted(served: tuple[Path, str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    config, server, directory = served

    def said(*arguments: str) -> str:
        assert command(config, *arguments) == 0
        return capsys.readouterr().out

    line = said("create", "--ttl", "2h", "--description", "for the test")
    made = line.split()[4]
    assert re.fullmatch(r"[a-z0-9]{6}\.[a-z0-9]{16}", made) and made != said("generate").strip()
    # The pin, computed as the OpenSSL recipe of kubeadm's documentation does.
    ca = x509.load_pem_x509_certificate((directory / "ca.crt").read_bytes()).public_key()
    info = ca.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    pin = f"sha256:{hashlib.sha256(info).hexdigest()}"
    address = server.removeprefix("https://")
    assert line == f"steersman join {address} --token {made} --discovery-token-ca-cert-hash {pin}\n"
    group = "system:bootstrappers:steersman:default-node-token"
    assert " abcdef.0123456789abcdef " in said("create", "abcdef.0123456789abcdef", "--ttl", "0", "--usages", "signing")
    rows = {row[0]: row[1:] for row in (re.split(r"\s{2,}", line.strip()) for line in said("list").splitlines())}
    assert rows["TOKEN"] == ["TTL", "EXPIRES", "USAGES", "DESCRIPTION", "EXTRA GROUPS"]
    assert rows["abcdef.0123456789abcdef"] == ["<forever>", "<never>", "signing", "<none>", group]
    assert rows[made][0] in ("119m", "1h", "2h") and rows[made][2:] == ["authentication,signing", "for the test", group]

    assert said("delete", made, "abcdef").splitlines() == [f'bootstrap token "{one}" deleted' for one in (made[:6], "abcdef")]
    assert said("list").splitlines() == ["TOKEN   TTL   EXPIRES   USAGES   DESCRIPTION   EXTRA GROUPS"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["create", "short"], "is no token"),
        (["create", "--usages", "everything"], "is none of signing, authentication"),
        (["create", "--groups", "system:masters"], "must begin with system:bootstrappers:"),
        (["create", "--ttl", "soon"], "--ttl"),
        (["create", "--ttl=-1h"], "negative"),
        (["delete", "xx"], "neither a token nor the id of one"),
        (["delete", "zzzzzz"], "there is no token zzzzzz"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(served: tuple[Path, str, Path], arguments: list[str], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        command(served[0], *arguments)
