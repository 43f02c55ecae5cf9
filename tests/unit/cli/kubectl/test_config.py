"""Which server and whose credentials a command line means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from steersman.cli.kubectl.config import FALLBACK_SERVER, target
from steersman.cli.kubectl.context import GLOBAL_FLAGS, Context
from steersman.cli.kubectl.errors import KubectlError
from steersman.cli.kubectl.flags import FlagSet

CONFIG: dict[str, Any] = {
    "clusters": [
        {"name": "c1", "cluster": {"server": "https://one:6443", "certificate-authority-data": "YQ=="}},
        {"name": "c2", "cluster": {"server": "https://two:6443"}},
    ],
    "users": [{"name": "u1", "user": {"token": "t1"}}, {"name": "u2", "user": {"token": "t2"}}],
    "contexts": [
        {"name": "one", "context": {"cluster": "c1", "user": "u1", "namespace": "team"}},
        {"name": "two", "context": {"cluster": "c2", "user": "u2"}},
    ],
    "current-context": "one",
}


def _flags(*argv: str) -> Any:
    return FlagSet("kubectl", GLOBAL_FLAGS).parse(argv)[0]


@pytest.mark.parametrize(
    ("argv", "server", "token", "namespace"),
    [
        ((), "https://one:6443", "t1", "team"),
        (("--context", "two"), "https://two:6443", "t2", "default"),
        (("--cluster", "c2"), "https://two:6443", "t1", "team"),
        (("--user", "u2"), "https://one:6443", "t2", "team"),
        (("--server", "three:1"), "http://three:1", "t1", "team"),
        (("--token", "mine"), "https://one:6443", "mine", "team"),
    ],
)
def test_flags_come_before_the_kubeconfig(argv: tuple[str, ...], server: str, token: str, namespace: str) -> None:
    found = target(CONFIG, _flags(*argv))
    assert (found.server, found.at.token, found.namespace) == (server, token, namespace)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--context", "x"), "Error in configuration: context was not found for specified context: x"),
        (("--cluster", "x"), 'error: no server found for cluster "x"'),
        (("--user", "x"), 'error: auth info "x" does not exist'),
    ],
)
def test_what_is_not_there_is_told(argv: tuple[str, ...], message: str) -> None:
    with pytest.raises(KubectlError) as caught:
        target(CONFIG, _flags(*argv))
    assert caught.value.text() == message


def test_without_any_configuration_it_is_the_old_local_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert target({}, _flags()).server == FALLBACK_SERVER


def test_no_check_of_certificates_means_no_authority_either() -> None:
    found = target(CONFIG, _flags("--insecure-skip-tls-verify")).at
    assert found.insecure and found.ca is None


def test_a_kubeconfig_that_is_named_must_exist(tmp_path: Path) -> None:
    ctx = Context("get", _flags(f"--kubeconfig={tmp_path}/no"))
    with pytest.raises(KubectlError, match=f"stat {tmp_path}/no: no such file or directory"):
        _ = ctx.kubeconfig


def test_the_environment_is_asked_before_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/a:/b")
    assert Context("get", _flags(), default_kubeconfig=tmp_path).kubeconfig_paths == [Path("/a"), Path("/b")]
    monkeypatch.delenv("KUBECONFIG")
    assert Context("get", _flags(), default_kubeconfig=tmp_path).kubeconfig_paths == [tmp_path]


@pytest.mark.parametrize(("text", "seconds"), [("0", 0.0), ("5", 5.0), ("2m", 120.0)])
def test_a_request_timeout_may_lack_its_unit(text: str, seconds: float) -> None:
    assert Context("get", _flags("--request-timeout", text)).request_timeout_s == seconds
