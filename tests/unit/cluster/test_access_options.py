"""Who may do what at the server of `up`, and names for its certificate: what is kept, when it may change, what is refused."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from tests.fakes.server import config

from steersman.apiserver.config import ConfigError
from steersman.cluster import accessoptions, certnames, supervisor
from steersman.cluster.accessoptions import AccessOptions
from steersman.cluster.commands import accessoptionflags
from steersman.cluster.settings import Paths, SettingsError, load, save
from steersman.cluster.up import Choices, decide_settings

FILES = {
    "authn.yaml": """apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous: {enabled: true, conditions: [{path: /livez}]}
""",
    "own.yaml": """apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer: {url: "https://kubernetes.default.svc.cluster.local", audiences: [a]}
  claimMappings: {username: {claim: sub, prefix: ""}}
""",
    "authz.yaml": """apiVersion: apiserver.config.k8s.io/v1
kind: AuthorizationConfiguration
authorizers: [{type: Node, name: node}, {type: RBAC, name: rbac}]
""",
    "admission.yaml": """apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: PodSecurity
  configuration:
    apiVersion: pod-security.admission.config.k8s.io/v1
    kind: PodSecurityConfiguration
    defaults: {enforce: baseline}
""",
    "level.yaml": """apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: PodSecurity
  configuration:
    apiVersion: pod-security.admission.config.k8s.io/v1
    kind: PodSecurityConfiguration
    defaults: {enforce: strict}
""",
    "tokens.csv": "secret,ann,1,dev\n",
}
FIRST = Choices(advertise_address="192.0.2.1", simulated_nodes=1)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def choices(*flags: str) -> Choices:
    parser = argparse.ArgumentParser()
    accessoptionflags.configure(parser)
    args = parser.parse_args(flags)
    return Choices(
        advertise_address="192.0.2.1",
        access=tuple(accessoptionflags.given(args).items()),
        cert_names=accessoptionflags.certificate_names(args),
    )


def test_a_cluster_keeps_what_was_chosen_and_what_is_not_given_stays(files: Path) -> None:
    paths = Paths(files / "state")
    flags: tuple[str, ...] = (
        "--authentication-config",
        "authn.yaml",
        "--token-auth-file",
        "tokens.csv",
        "--authorization-config",
        "authz.yaml",
    )
    flags += ("--admission-control-config-file", "admission.yaml", "--disable-admission-plugins", "LimitRanger, Priority")
    made = decide_settings(paths, choices(*flags, "--apiserver-cert-extra-sans", "api.example.com, 192.0.2.7"))
    assert made.access.authentication_config == str(files / "authn.yaml")
    assert made.apiserver_cert_extra_sans == ("api.example.com", "192.0.2.7")
    save(paths, made)
    assert load(paths) == made == decide_settings(paths, choices())
    less = decide_settings(paths, choices("--token-auth-file", "", "--apiserver-cert-extra-sans", ""))
    assert (less.access.token_auth_file, less.apiserver_cert_extra_sans) == ("", ())
    assert less.access.authorization_config == str(files / "authz.yaml")


def test_they_change_while_nothing_runs(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = Paths(files / "state")
    save(paths, decide_settings(paths, FIRST))
    monkeypatch.setattr(supervisor, "running", lambda paths: True)
    assert decide_settings(paths, choices("--apiserver-cert-extra-sans", "")) == load(paths)
    with pytest.raises(SettingsError, match="--token-auth-file, --apiserver-cert-extra-sans: settings of the API server change"):
        decide_settings(paths, choices("--token-auth-file", "tokens.csv", "--apiserver-cert-extra-sans", "x.example.com"))


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("--authentication-config", "none.yaml"), "none.yaml"),
        (("--authentication-config", "authz.yaml"), "AuthenticationConfiguration"),
        (("--authentication-config", "own.yaml"), "jwt.0..issuer.url"),
        (("--authorization-config", "authn.yaml"), "AuthorizationConfiguration"),
        (("--admission-control-config-file", "level.yaml"), "enforce"),
        (("--enable-admission-plugins", "Unheard"), 'enable-admission-plugins plugin "Unheard" is unknown'),
        (("--disable-admission-plugins", "Priority", "--enable-admission-plugins", "Priority"), "overlapped"),
        (("--token-auth-file", "none.csv"), "none.csv"),
    ],
)
def test_what_cannot_be_used_is_told_at_once(files: Path, flags: tuple[str, ...], why: str) -> None:
    with pytest.raises((ConfigError, SettingsError), match=why):
        decide_settings(Paths(files / "state"), choices(*flags))


def test_a_server_gets_what_was_chosen() -> None:
    options = AccessOptions(
        authentication_config="/n.yaml",
        token_auth_file="/t.csv",
        authorization_config="/z.yaml",
        admission_control_config_file="/a.yaml",
        enable_admission_plugins="A,B",
        disable_admission_plugins="C",
    )
    made = accessoptions.into(options, config())
    assert (made.authentication.config_file, made.authentication.token_auth_file) == (Path("/n.yaml"), Path("/t.csv"))
    assert made.authorization.config_file == Path("/z.yaml")
    assert (made.admission.enable_plugins, made.admission.disable_plugins) == (("A", "B"), ("C",))
    assert made.admission.control_config_file == Path("/a.yaml")


@pytest.mark.parametrize("text", ["a_b", "-x.example.com", "a.*.example.com", "192.0.2.1/24", "https://x", "ä.example.com"])
def test_no_certificate_has_such_a_name(text: str) -> None:
    with pytest.raises(SettingsError, match="--apiserver-cert-extra-sans: .* is neither an IP address nor a DNS name"):
        certnames.chosen(f"api.example.com,{text}")


def test_names_and_addresses_are_told_apart() -> None:
    given = certnames.chosen("*.example.com,192.0.2.7,2001:DB8::0001,api,api")
    assert certnames.parted(given) == (("*.example.com", "api"), ("192.0.2.7", "2001:db8::1"))
