"""Parts of the kubelet's server that need no server."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.server import host, pages, tls
from steersman.kubelet.server.diskuse import count
from steersman.kubelet.server.exposition import Exposition


def test_a_loop_that_does_not_turn_is_not_healthy() -> None:
    idle_s = [0.0]
    found = pages.checks(KubeletConfig(node_name="n", sync_frequency_s=60), lambda: idle_s[0])
    assert pages.healthz(found, []).text == "ok"
    idle_s[0] = 301
    answer = pages.healthz(found, [])
    assert answer.status == 500
    assert answer.text == "[+]ping ok\n[+]log ok\n[-]syncloop failed: reason withheld\nhealthz check failed\n"
    assert pages.healthz(found, ["syncloop"]).status == 500 and pages.healthz(found, ["ping"]).status == 200
    patient = pages.checks(KubeletConfig(node_name="n", sync_frequency_s=600), lambda: idle_s[0])
    assert pages.healthz(patient, []).status == 200


@pytest.mark.parametrize(
    ("suite", "name"),
    [
        ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"),
        ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"),
        ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305"),
        ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "ECDHE-RSA-AES128-SHA"),
        ("TLS_RSA_WITH_AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
    ],
)
def test_cipher_suites_are_known_by_their_go_names(suite: str, name: str) -> None:
    assert tls.openssl_name(suite) == name
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(name)
    assert name in {each["name"] for each in context.get_ciphers()}


def test_files_are_counted_once_whatever_they_are_called(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 10_000)
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "loop").symlink_to(tmp_path)
    used, inodes = count(tmp_path)
    assert inodes == 5 and 10_000 <= used < 40_000
    assert count(tmp_path / "none") == (0, 0)


def test_traffic_is_that_of_the_namespace() -> None:
    assert {each.name for each in host.traffic()} == {
        line.partition(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()[2:]
    } - {"lo"}
    assert host.traffic(1 << 30) == []


def test_the_text_form_escapes_what_it_must() -> None:
    page = Exposition({"a": ("gauge", "A."), "b": ("gauge", "B.")})
    page.add("a", 1, {"x": 'quo"te\\n', "w": "1"}, 5)
    assert page.text() == '# HELP a A.\n# TYPE a gauge\na{w="1",x="quo\\"te\\\\n"} 1 5\n'
