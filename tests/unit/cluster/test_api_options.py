"""Encryption and audit of `up` and `apiserver`: what flags become, what a cluster keeps, and what is told at once."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import pytest
from tests.fakes.server import config

from steersman.apiserver.config import ConfigError
from steersman.cluster import apioptions, controlplane, supervisor
from steersman.cluster.apioptions import ApiOptions
from steersman.cluster.commands import apiflags
from steersman.cluster.settings import ClusterSettings, Paths, SettingsError, load, save
from steersman.cluster.up import Choices, decide_settings

POLICY = "kind: Policy\napiVersion: audit.k8s.io/v1\nrules: [{level: Metadata}]\n"
ENCRYPTION = """kind: EncryptionConfiguration
apiVersion: apiserver.config.k8s.io/v1
resources: [{resources: [secrets], providers: [{identity: {}}]}]
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "encryption.yaml").write_text(ENCRYPTION)
    return tmp_path


def given(*flags: str) -> dict[str, object]:
    parser = argparse.ArgumentParser()
    apiflags.configure(parser)
    return apiflags.given(parser.parse_args(flags))


def test_only_what_is_given_changes(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files)
    before = ApiOptions(audit_log_path="-", audit_log_maxage=3)
    flags = given("--audit-policy-file", "policy.yaml", "--audit-log-maxsize=5", "--audit-webhook-batch-max-wait=2s")
    found = apioptions.chosen(flags, before)
    assert found == dataclasses.replace(
        before, audit_policy_file=str(files / "policy.yaml"), audit_log_maxsize=5, audit_webhook_batch_max_wait=2.0
    )
    assert apioptions.chosen(given(), found) == found
    assert apioptions.chosen(given("--audit-log-path", "", "--audit-policy-file", ""), found).audit_log_path == ""


@pytest.mark.parametrize(("text", "on"), [((), True), (("true",), True), (("false",), False)])
def test_reloading_is_a_flag_as_go_has_them(files: Path, text: tuple[str, ...], on: bool) -> None:
    flag = "--encryption-provider-config-automatic-reload"
    found = given("--encryption-provider-config", str(files / "encryption.yaml"), f"{flag}={text[0]}" if text else flag)
    options = apioptions.chosen(found, ApiOptions())
    assert options.encryption_provider_config_automatic_reload is on
    assert apioptions.chosen(given("--encryption-provider-config", ""), options) == ApiOptions()


def test_a_server_gets_what_was_chosen(files: Path) -> None:
    options = ApiOptions(
        encryption_provider_config="/e.yaml",
        encryption_provider_config_automatic_reload=True,
        audit_policy_file="/p.yaml",
        audit_log_path="/a.log",
        audit_webhook_initial_backoff=2.0,
    )
    made = apioptions.into(options, config())
    assert (made.encryption_provider_config, made.encryption_reload) == (Path("/e.yaml"), True)
    assert (made.audit.policy_file, made.audit.log_path, made.audit.log_maxage) == (Path("/p.yaml"), "/a.log", 366)
    assert made.audit.wanted and made.audit.webhook_initial_backoff_s == 2.0
    assert not apioptions.into(ApiOptions(), config()).audit.wanted


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("--encryption-provider-config", "none.yaml"), "error opening encryption provider configuration file"),
        (("--encryption-provider-config-automatic-reload",), "must be set with --encryption-provider-config"),
        (("--audit-policy-file", "none.yaml"), "loading audit policy file: failed to read file path"),
        (("--audit-log-path", "x", "--audit-log-mode", "never"), "invalid audit log mode never"),
    ],
)
def test_what_cannot_be_used_is_told_at_once(
    files: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], why: str
) -> None:
    monkeypatch.chdir(files)
    with pytest.raises(ConfigError, match=why):
        apioptions.chosen(given(*flags), ApiOptions())


def test_a_cluster_keeps_them_and_takes_others_while_nothing_runs(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = Paths(files / "state")
    first = decide_settings(paths, Choices(advertise_address="192.0.2.1", simulated_nodes=1))
    assert first.api == ApiOptions()
    save(paths, first)
    choice = Choices(api=(("encryption_provider_config", str(files / "encryption.yaml")),))
    second = decide_settings(paths, choice)
    assert second.api.encryption_provider_config == str(files / "encryption.yaml")
    save(paths, second)
    assert load(paths) == second
    monkeypatch.setattr(supervisor, "running", lambda paths: True)
    assert decide_settings(paths, choice) == second
    with pytest.raises(SettingsError, match="--encryption-provider-config: settings of the API server change while nothing runs"):
        decide_settings(paths, Choices(api=(("encryption_provider_config", ""),)))


def test_another_control_plane_machine_gets_the_keys_of_what_is_encrypted(files: Path) -> None:
    first, second = Paths(files / "first"), Paths(files / "second")
    first.pki.mkdir(parents=True)
    for name in ("ca.crt", "ca.key", "sa.key"):
        (first.pki / name).write_text(name)
    settings = ClusterSettings(
        node_name="a", advertise_address="192.0.2.1", store="etcd", etcd_servers=("http://192.0.2.9:2379",)
    )
    api = ApiOptions(encryption_provider_config=str(files / "encryption.yaml"))
    bundle = controlplane._files(first, dataclasses.replace(settings, api=api))
    made = controlplane.install(second, ClusterSettings(node_name="b", advertise_address="192.0.2.2"), bundle)
    copy = Path(made.api.encryption_provider_config)
    assert copy.is_relative_to(second.state) and copy.read_text() == ENCRYPTION and copy.stat().st_mode & 0o777 == 0o600
    bundle = controlplane._files(first, settings)
    assert controlplane.install(second, ClusterSettings(node_name="b", advertise_address="192.0.2.2"), bundle).api == ApiOptions()
