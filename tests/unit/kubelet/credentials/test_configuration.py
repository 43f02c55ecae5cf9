"""Configurations of credential providers: what is taken, and the one line that says what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from steersman.kubelet.credentials.configuration import V1, BadProviders, Provider, TokenAttributes, load
from steersman.machinery import yamlio

TOKEN = {"serviceAccountTokenAudience": "registry", "cacheType": "Token", "requireServiceAccount": True}


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    for name in ("ecr", "other"):
        (tmp_path / "bin" / name).write_text("#!/bin/sh\n")
    return tmp_path / "bin"


def plugin(**changes: Any) -> dict[str, Any]:
    made = {"name": "ecr", "matchImages": ["*.amazonaws.com"], "defaultCacheDuration": "12h", "apiVersion": V1, **changes}
    return {key: value for key, value in made.items() if value is not None}


def write(path: Path, *providers: Any, **changes: Any) -> Path:
    document = {"apiVersion": "kubelet.config.k8s.io/v1", "kind": "CredentialProviderConfig", "providers": list(providers)}
    path.write_text(yamlio.dump({**document, **changes}))
    return path


def test_a_configuration_is_understood(tmp_path: Path, programs: Path) -> None:
    attributes = {**TOKEN, "requiredServiceAccountAnnotationKeys": ["r.io/role"], "optionalServiceAccountAnnotationKeys": ["x"]}
    path = write(
        tmp_path / "c.yaml",
        plugin(args=["get", "-v"], env=[{"name": "REGION", "value": "eu"}]),
        plugin(name="other", defaultCacheDuration="0s", tokenAttributes=attributes),
    )
    ecr, other = load(path, programs)
    wanted = ("*.amazonaws.com",)
    assert ecr == Provider("ecr", str(programs / "ecr"), V1, wanted, 43200.0, ("get", "-v"), (("REGION", "eu"),))
    assert other.token == TokenAttributes("registry", "Token", True, ("r.io/role",), ("x",)) and other.default_cache_s == 0


def test_the_files_of_a_directory_are_read_in_order(tmp_path: Path, programs: Path) -> None:
    folder = tmp_path / "conf"
    folder.mkdir()
    with pytest.raises(BadProviders, match="no configuration files found"):
        load(folder, programs)
    write(folder / "20.yml", plugin())
    write(folder / "10.json", plugin(name="other"))
    (folder / "README").write_text("not one")
    assert [each.name for each in load(folder, programs)] == ["other", "ecr"]
    write(folder / "30.yaml", plugin())
    with pytest.raises(BadProviders, match='Duplicate value: "ecr"'):
        load(folder, programs)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no providers": ({"providers": []}, "at least 1 item in plugins is required"),
    "another kind": ({"kind": "Pod"}, 'unexpected kind "Pod"'),
    "another version": ({"apiVersion": "v7"}, 'is registered for version "v7"'),
    "no list": ({"providers": {"a": 1}}, "providers: must be a list"),
    "no object": ({"providers": ["ecr"]}, "providers[0]: must be an object"),
    "a field nobody knows": ({"providers": [plugin(matchImage=["x"])]}, 'unknown field "providers[0].matchImage"'),
    "at the top": ({"provider": []}, 'unknown field "provider"'),
    "a number for a name": ({"providers": [plugin(name=7)]}, "providers[0].name: must be a string"),
    "numbers in args": ({"providers": [plugin(args=[7])]}, "providers[0].args: must be a list of strings"),
    "env without a value": ({"providers": [plugin(env=[{"name": "A"}])]}, "providers[0].env[0]: must have name and value"),
    "no name": ({"providers": [plugin(name="")]}, 'Invalid value: ""'),
    "a path for a name": ({"providers": [plugin(name="../ecr")]}, 'Invalid value: "../ecr"'),
    "no apiVersion": ({"providers": [plugin(apiVersion=None)]}, "providers.apiVersion: Required value"),
    "a strange apiVersion": ({"providers": [plugin(apiVersion="v2")]}, 'providers.apiVersion: Unsupported value: "v2"'),
    "no images": ({"providers": [plugin(matchImages=[])]}, "providers.matchImages: Required value"),
    "a URL to match": ({"providers": [plugin(matchImages=["https://r.io"])]}, "match image is invalid"),
    "no duration": ({"providers": [plugin(defaultCacheDuration=None)]}, "providers.defaultCacheDuration: Required value"),
    "a negative duration": ({"providers": [plugin(defaultCacheDuration="-1s")]}, "must be greater than or equal to 0"),
    "no duration at all": ({"providers": [plugin(defaultCacheDuration="soon")]}, 'defaultCacheDuration: Invalid value: "soon"'),
    "a program that is not there": ({"providers": [plugin(name="gone")]}, "plugin binary executable"),
    "tokens of an old version": (
        {"providers": [plugin(tokenAttributes=TOKEN, apiVersion=V1 + "beta1")]},
        "tokenAttributes: Forbidden",
    ),
    "tokens for nobody": ({"providers": [plugin(tokenAttributes={})]}, "serviceAccountTokenAudience: Required value"),
    "a strange cacheType": (
        {"providers": [plugin(tokenAttributes={**TOKEN, "cacheType": "Pod"})]},
        'cacheType: Unsupported value: "Pod"',
    ),
    "annotations of no account": (
        {
            "providers": [
                plugin(
                    tokenAttributes={
                        **TOKEN, "requireServiceAccount": False, "requiredServiceAccountAnnotationKeys": ["a"],
                    }
                )
            ]
        },
        "requireServiceAccount cannot be false",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "text"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_in_one_line(changes: dict[str, Any], text: str, tmp_path: Path, programs: Path) -> None:
    path = write(tmp_path / "c.yaml", plugin(), **changes)
    with pytest.raises(BadProviders) as caught:
        load(path, programs)
    assert text in str(caught.value) and "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"image credential providers: {path}: ")


def test_files_that_are_not_there(tmp_path: Path, programs: Path) -> None:
    with pytest.raises(BadProviders, match="No such file or directory"):
        load(tmp_path / "none", programs)
    with pytest.raises(BadProviders, match="plugin binary directory .* did not exist"):
        load(write(tmp_path / "c.yaml", plugin()), tmp_path / "none")
    (tmp_path / "c.yaml").write_text("a: [")
    with pytest.raises(BadProviders):
        load(tmp_path / "c.yaml", programs)
