"""The file of --encryption-provider-config: what it may say, whom it is about, and upstream's words for what is wrong."""

from __future__ import annotations

import base64
import builtins
from pathlib import Path
from typing import Any

import pytest

from steersman.apiserver.config import ConfigError
from steersman.apiserver.encryption.config import load
from steersman.machinery import yamlio
from steersman.machinery.meta import Obj

SECRET = base64.b64encode(b"k" * 32).decode()
SHORT = base64.b64encode(b"k" * 5).decode()
AES16 = base64.b64encode(b"k" * 16).decode()


def key(secret: str = SECRET, name: str = "key1") -> Obj:
    return {"keys": [{"name": name, "secret": secret}]}


def entry(*resources: str, **providers: Any) -> Obj:
    return {"resources": list(resources), "providers": [{name: value} for name, value in providers.items()]}


def written(directory: Path, *entries: Obj, **more: Any) -> Path:
    path = directory / "encryption.yaml"
    body = {"kind": "EncryptionConfiguration", "apiVersion": "apiserver.config.k8s.io/v1", "resources": list(entries), **more}
    path.write_text(yamlio.dump(body))
    return path


def complaint(path: Path) -> str:
    with pytest.raises(ConfigError) as raised:
        load(path)
    assert SECRET not in str(raised.value)
    return str(raised.value)


def test_the_nearest_entry_is_the_one_that_counts(tmp_path: Path) -> None:
    found = load(
        written(
            tmp_path,
            entry("secrets", "widgets.example.org", aescbc=key()),
            entry("*.apps", aesgcm=key()),
            entry("*.*", secretbox=key(), identity={}),
        )
    )
    prefixes = {}
    for group, plural in [("", "secrets"), ("example.org", "widgets"), ("apps", "deployments"), ("", "pods"), ("x.org", "ys")]:
        transformer = found.of(group, plural)
        assert transformer is not None
        prefixes[plural] = [provider.prefix.decode() for provider in transformer.providers]
    box = ["k8s:enc:secretbox:v1:", ""]
    aes = {"secrets": ["k8s:enc:aescbc:v1:"], "widgets": ["k8s:enc:aescbc:v1:"], "deployments": ["k8s:enc:aesgcm:v1:"]}
    assert prefixes == aes | {"pods": box, "ys": box}


def test_the_core_group_is_a_dot_after_the_star(tmp_path: Path) -> None:
    found = load(written(tmp_path, entry("*.", identity={})))
    assert found.of("", "secrets") is not None
    assert found.of("apps", "deployments") is None


def test_entries_for_the_same_resource_add_up(tmp_path: Path) -> None:
    found = load(written(tmp_path, entry("secrets", aescbc=key()), entry("secrets", identity={})))
    transformer = found.of("", "secrets")
    assert transformer is not None and len(transformer.providers) == 2


@pytest.mark.parametrize("size", [16, 24, 32])
def test_aes_keys_have_three_lengths(tmp_path: Path, size: int) -> None:
    secret = base64.b64encode(b"k" * size).decode()
    assert load(written(tmp_path, entry("secrets", aescbc=key(secret), aesgcm=key(secret)))).of("", "secrets") is not None


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([], "resources: Required value: at least one resources is required"),
        ([entry(identity={})], "resources[0].resources: Required value: at least one resources[0].resources is required"),
        ([entry("secrets")], "resources[0].providers: Required value: at least one resources[0].providers is required"),
        ([entry("Secrets", identity={})],
         'resources[0].resources[0]: Invalid value: "Secrets": resource name should not contain capital letters'),
        ([entry("*", identity={})],
         "resources[0].resources[0]: Invalid value: \"*\": use '*.' to encrypt all the resources from core API group or *.* to "
         "encrypt all resources"),
        ([entry("serviceipallocations", identity={})],
         'resources[0].resources[0]: Invalid value: "serviceipallocations": resources which do not have REST API/s cannot be '
         "encrypted"),
        ([entry("events.events.k8s.io", identity={})],
         "resources[0].resources[0]: Invalid value: \"events.events.k8s.io\": '*.events.k8s.io' objects are stored using the "
         "'events' API group in etcd. Use 'events' instead in the config file"),
        ([entry("ingresses.extensions", identity={})],
         "resources[0].resources[0]: Invalid value: \"ingresses.extensions\": 'extensions' group has been removed and cannot be "
         "used for encryption"),
        ([entry("secrets.*", identity={})],
         'resources[0].resources[0]: Invalid value: "secrets.*": encrypting the same resource across groups is not supported'),
        ([entry("secrets", "*.", identity={})],
         "resources[0].resources: Invalid value: [\"secrets\",\"*.\"]: using overlapping resources such as 'secrets' and '*.' in "
         "the same resource list is not allowed as they will be masked"),
        ([entry("secrets", "secrets", identity={})],
         'resources[0].resources: Invalid value: ["secrets","secrets"]: the same resource cannot be specified multiple times'),
        ([{"resources": ["secrets"], "providers": [{}]}],
         "resources[0].providers[0]: Invalid value: {}: provider does not contain any of the expected providers: KMS, AESGCM, "
         "AESCBC, Secretbox, Identity"),
        ([{"resources": ["secrets"], "providers": [{"identity": {}, "aescbc": key()}]}],
         'resources[0].providers[0]: Invalid value: "REDACTED": more than one provider specified in a single element, should '
         "split into different list elements"),
        ([entry("secrets", aescbc={"keys": []})],
         "resources[0].providers[0].aescbc.keys: Required value: at least one keys is required"),
        ([entry("secrets", aescbc=key(name=""))],
         "resources[0].providers[0].aescbc.keys[0].name: Required value: name is a mandatory field for a key"),
        ([entry("secrets", aescbc=key(""))],
         "resources[0].providers[0].aescbc.keys[0].secret: Required value: secret is a mandatory field for a key"),
        ([entry("secrets", aesgcm=key("not base64!"))],
         'resources[0].providers[0].aesgcm.keys[0].secret: Invalid value: "REDACTED": secrets must be base64 encoded'),
        ([entry("secrets", aesgcm=key(SHORT))],
         'resources[0].providers[0].aesgcm.keys[0].secret: Invalid value: "REDACTED": secret is not of the expected length, got '
         "5, expected one of [16 24 32]"),
        ([entry("secrets", secretbox=key(AES16))],
         'resources[0].providers[0].secretbox.keys[0].secret: Invalid value: "REDACTED": secret is not of the expected length, '
         "got 16, expected one of [32]"),
        ([entry("secrets", kms={"name": "vault"})],
         "resources[0].providers[0].kms: Forbidden: KMS plugins are not supported here: use aesgcm, secretbox or aescbc"),
        ([entry("*.apps", identity={}), entry("deployments.apps", identity={})],
         'resource "deployments.apps" is masked by earlier rule "*.apps"'),
        ([entry("*.*", identity={}), entry("secrets", identity={})], 'resource "secrets" is masked by earlier rule "*.*"'),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_upstreams_words(tmp_path: Path, entries: list[Obj], why: str) -> None:
    path = written(tmp_path, *entries)
    assert complaint(path) == f"error while parsing encryption provider configuration file {path}: {why}"


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    said = complaint(written(tmp_path, entry("Secrets", aescbc=key(SHORT))))
    assert ": [resources[0].resources[0]: " in said and ", resources[0].providers[0].aescbc.keys[0].secret: " in said


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "is empty"),
        ("a: [", "yaml: "),
        ("kind: Pod\napiVersion: v1\n", 'no kind "Pod" is registered for version "v1"'),
        ("- 1\n", "Expected `object`, got `array`"),
        (
            f"kind: EncryptionConfiguration\napiVersion: apiserver.config.k8s.io/v1\nresources: {SECRET}\n",
            "Expected `array | null`",
        ),
    ],
)
def test_files_that_are_no_configuration_are_refused(tmp_path: Path, content: str, why: str) -> None:
    path = tmp_path / "encryption.yaml"
    path.write_text(content)
    assert why in complaint(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "no.yaml"
    assert complaint(path) == f'error opening encryption provider configuration file "{path}": No such file or directory'


def test_secretbox_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("nacl"):
            raise ModuleNotFoundError(name="nacl")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    assert "secretbox needs the package nacl: install steersman[encryption]" in complaint(
        written(tmp_path, entry("secrets", secretbox=key()))
    )
