"""`steersman kubelet --config`: what is wrong with a configuration is said in one line, before anything is begun."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from steersman.__main__ import main
from steersman.cluster import kubeletsettings
from steersman.cluster.bootstrapped import Keeping
from steersman.cluster.commands import kubelet
from steersman.cluster.settings import Paths, SettingsError

HEAD = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"


def arguments(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    kubelet.configure(parser)
    return parser.parse_args(["--kubeconfig", "x", "--hostname-override", "n1", "--node-ip", "192.0.2.1", *given])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "failed to read kubelet config file"),
        ("maxPods: many", "cannot unmarshal string into Go struct field KubeletConfiguration.maxPods of type int32"),
        (
            "maxPods: -1",
            "failed to validate kubelet configuration, error: invalid configuration: maxPods (--max-pods) -1 must be",
        ),
        ("port: 70000\nmaxPods: -1", "error: [invalid configuration: maxPods"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_told(
    content: str | None, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.yaml"
    if content is not None:
        path.write_text(HEAD + content)
    assert main(["kubelet", "--kubeconfig", str(tmp_path / "none"), "--config", str(path)]) == 1
    said = capsys.readouterr()
    lines = (said.out + said.err).splitlines()
    assert len(lines) == 1 and lines[0].startswith("steersman kubelet: ") and told in lines[0], lines
    assert str(path) in lines[0]


def test_swap_is_refused_unless_it_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swaps = tmp_path / "swaps"
    swaps.write_text("Filename Type Size Used Priority\n/dev/sda2 partition 1000 0 -2\n")
    monkeypatch.setattr(kubeletsettings, "_SWAPS", swaps)
    path = tmp_path / "config.yaml"
    path.write_text(HEAD)
    with pytest.raises(SettingsError, match="running with swap on is not supported"):
        kubeletsettings.read(path, None)
    path.write_text(HEAD + "failSwapOn: false\n")
    assert kubeletsettings.read(path, None) == {"failSwapOn": False}


def test_flags_override_the_file_which_overrides_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        HEAD + "port: 10333\nclusterDomain: a.example\nclusterDNS: [10.0.0.9]\nfailSwapOn: false\n"
        "containerRuntimeEndpoint: unix:///run/c.sock\n"
        "staticPodPath: static\nregisterWithTaints: [{key: a, effect: NoSchedule}]\n"
    )  # fmt: skip
    given = kubeletsettings.read(path, None)
    paths = Paths(tmp_path / "state")
    args = arguments("--port", "10444", "--node-labels", "a=b,c=", "--register-with-taints", "x=y:NoExecute,z:NoSchedule")
    settings = kubeletsettings.cluster_settings(args, given, paths)
    assert (settings.runtime, settings.runtime_endpoint) == ("containerd", "unix:///run/c.sock")
    config = kubeletsettings.kubelet_config(args, given, paths, settings)
    assert (config.port, config.cluster_domain, config.cluster_dns) == (10444, "a.example", ("10.0.0.9",))
    assert config.static_pod_path == tmp_path / "static" and config.node_labels == {"a": "b", "c": ""}
    assert config.register_with_taints == (
        {"key": "x", "value": "y", "effect": "NoExecute"},
        {"key": "z", "effect": "NoSchedule"},
    )
    plain = kubeletsettings.kubelet_config(arguments(), None, paths, kubeletsettings.cluster_settings(arguments(), None, paths))
    assert (plain.port, plain.cluster_dns, plain.static_pod_path) == (10250, ("10.96.0.10",), paths.manifests)
    assert plain.max_parallel_image_pulls == 0
    assert config.configuration["evictionHard"]["imagefs.available"] == "15%"
    assert plain.configuration["evictionHard"] == config.configuration["evictionHard"] | {
        "nodefs.available": "5%",
        "imagefs.available": "5%",
    }
    # Images must not be removed long before the disk counts as short.
    limits = [(each["imageGCHighThresholdPercent"], each["imageGCLowThresholdPercent"]) for each in
              (config.configuration, plain.configuration)]  # fmt: skip
    assert limits == [(85, 80), (95, 90)]


@pytest.mark.parametrize(
    ("flag", "value", "told"),
    [("--node-labels", "a", '"a" is not KEY=VALUE'), ("--register-with-taints", "a=b:Never", "invalid taint spec: a=b:Never")],
)
def test_labels_and_taints_that_are_none_are_told(flag: str, value: str, told: str, tmp_path: Path) -> None:
    args, paths = arguments(flag, value), Paths(tmp_path)
    with pytest.raises(SettingsError, match=told):
        kubeletsettings.kubelet_config(args, None, paths, kubeletsettings.cluster_settings(args, None, paths))


def test_which_certificates_are_kept_fresh_is_the_configurations_to_say() -> None:
    assert kubeletsettings.keeping(None) == Keeping(client=True, serving=True)
    assert kubeletsettings.keeping({}) == Keeping(client=False, serving=False)
    assert kubeletsettings.keeping({"rotateCertificates": True}) == Keeping(client=True, serving=False)
