"""Which plugins are on, in which order, and how they are configured by a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.fakes.listers import FakeListers

from steersman.apiserver import admission, authz
from steersman.apiserver.access import AdmissionSettings
from steersman.apiserver.config import ConfigError
from steersman.machinery.clock import VirtualClock

CONFIGURATION = """
apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: PodSecurity
  configuration:
    apiVersion: pod-security.admission.config.k8s.io/v1
    kind: PodSecurityConfiguration
    defaults: {enforce: baseline}
"""


def chain(**settings: Any) -> list[str]:
    listers = FakeListers()
    plugins = admission.chain(listers, VirtualClock(), authz.build(listers), AdmissionSettings(**settings))
    return [plugin.name for plugin in plugins]


def test_the_chain_keeps_upstreams_order() -> None:
    assert chain() == [
        "CertificateRecord", "NamespaceLifecycle", "LimitRanger", "ServiceAccount", "NodeRestriction", "TaintNodesByCondition",
        "PodSecurity", "Priority", "DefaultTolerationSeconds", "DefaultStorageClass", "StorageObjectInUseProtection",
        "PersistentVolumeClaimResize", "RuntimeClass", "CertificateApproval", "CertificateSigning",
        "CertificateSubjectRestriction", "DefaultIngressClass", "PodTopologyLabels", "PodResizeValidator",
        "MutatingAdmissionPolicy", "MutatingAdmissionWebhook", "ValidatingAdmissionPolicy", "ValidatingAdmissionWebhook",
        "RBACEscalation",
    ]  # fmt: skip


def test_plugins_are_switched_off_by_name() -> None:
    assert set(chain()) - set(chain(disable_plugins=("PodSecurity", "Priority"))) == {"PodSecurity", "Priority"}
    assert not admission.is_on("ResourceQuota", AdmissionSettings(disable_plugins=("ResourceQuota",)))
    assert admission.is_on("ResourceQuota", AdmissionSettings())


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"enable_plugins": ("Podsecurity",)}, 'enable-admission-plugins plugin "Podsecurity" is unknown'),
        ({"disable_plugins": ("X",)}, 'disable-admission-plugins plugin "X" is unknown'),
        (
            {"enable_plugins": ("Priority",), "disable_plugins": ("Priority",)},
            "Priority in enable-admission-plugins and disable-admission-plugins overlapped",
        ),
    ],
)
def test_wrong_names_are_told(settings: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        chain(**settings)


def test_a_file_configures_plugins_inline_or_by_another_file(tmp_path: Path) -> None:
    file, other = tmp_path / "admission.yaml", tmp_path / "podsecurity.yaml"
    file.write_text(CONFIGURATION)
    assert "PodSecurity" in chain(control_config_file=file)
    other.write_text("{apiVersion: pod-security.admission.config.k8s.io/v1, kind: PodSecurityConfiguration, defaults: {warn: x}}")
    inline = CONFIGURATION[: CONFIGURATION.index("  configuration")]
    file.write_text(inline + "  path: podsecurity.yaml\n")
    with pytest.raises(ConfigError, match="defaults.warn"):
        chain(control_config_file=file)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[]", "no object"),
        ("{", "yaml: "),
        ("{apiVersion: v1, kind: Pod}", "is not AdmissionConfiguration of apiserver.config.k8s.io/v1"),
        (CONFIGURATION.replace("plugins:", "plugin:"), 'unknown field "plugin"'),
        (CONFIGURATION + "- path: x\n", "a plugin without a name"),
        (CONFIGURATION + "- {name: x, pat: x}\n", r'unknown field "plugins\[1\].pat"'),
    ],
)
def test_a_file_that_is_wrong_is_told(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "admission.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=why):
        chain(control_config_file=file)
