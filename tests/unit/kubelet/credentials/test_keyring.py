"""Which credentials are for which image."""

from __future__ import annotations

import base64
import json

import pytest

from steersman.cri.messages import RegistryAuth
from steersman.kubelet.credentials.keyring import Keyring, matches, of_secrets, repository
from steersman.machinery.meta import Obj

REPOSITORIES = {
    "busybox": "docker.io/library/busybox",
    "busybox:1": "docker.io/library/busybox",
    "team/app@sha256:00": "docker.io/team/app",
    "index.docker.io/busybox": "docker.io/library/busybox",
    "localhost/app:1": "localhost/app",
    "r.io:5000/a/b:1@sha256:00": "r.io:5000/a/b",
    "r.io:5000/a": "r.io:5000/a",
}


@pytest.mark.parametrize(("image", "name"), REPOSITORIES.items(), ids=REPOSITORIES)
def test_an_image_has_a_full_name(image: str, name: str) -> None:
    assert repository(image) == name


MATCHES = [
    ("123.dkr.ecr.*.amazonaws.com", "123.dkr.ecr.eu.amazonaws.com/app", True),
    ("*.azurecr.io", "team.azurecr.io/app", True),
    ("*.azurecr.io", "a.b.azurecr.io/app", False),  # a pattern is one part of the name
    ("*.io", "r.io.evil.com/app", False),
    ("*", "r.io/app", False),
    ("gcr.io", "gcr.io/app", True),
    ("*.*.r.io", "a.b.r.io/app", True),
    ("r.io:8080/path", "r.io:8080/path/app", True),
    ("r.io/path", "r.io:8080/path/app", False),
    ("r.io:8080", "r.io/app", False),
    ("r.io/team", "r.io/teams/app", True),  # a prefix, as upstream has it
    ("r.io/team", "r.io/other", False),
    ("app*.r.io", "app-1.r.io/x", True),
    ("r.[a-i]o", "r.io/x", True),
    ("r.[^i]o", "r.io/x", False),
    ("r.io:port", "r.io/x", False),
]


@pytest.mark.parametrize(("place", "image", "fits"), MATCHES)
def test_a_place_fits_an_image(place: str, image: str, fits: bool) -> None:
    assert matches(place, image) is fits


def test_the_most_particular_place_comes_first_and_docker_hub_has_many_names() -> None:
    keyring = Keyring()
    for place in ("https://index.docker.io/v1/", "r.io", "r.io/team/app", "https://r.io/v2/team", "r.*"):
        keyring.add(place, RegistryAuth(username=place))
    found = [auth.username for auth in keyring.lookup("r.io/team/app:1")]
    assert found == ["r.io/team/app", "https://r.io/v2/team", "r.io", "r.*"]
    assert [auth.username for auth in keyring.lookup("busybox")] == ["https://index.docker.io/v1/"]
    keyring.add("docker.io/team", RegistryAuth(username="team's"))
    assert [auth.username for auth in keyring.lookup("team/app")] == ["team's"]


def _secret(key: str, document: object) -> Obj:
    text = document if isinstance(document, str) else json.dumps(document)
    return {"data": {key: base64.b64encode(text.encode()).decode()}}


def test_a_malformed_pull_secret_does_not_hide_another() -> None:
    good = {"auths": {"r.io": {"auth": base64.b64encode(b"me:pass:word").decode()}}}
    bad: list[object] = ["{", "[]", {"auths": []}, {"auths": {"r.io": {"auth": "!"}}}, {"auths": {"r.io": 1}}, "null"]
    secrets = [_secret(".dockerconfigjson", each) for each in bad] + [{}, {"data": {}}, _secret(".dockerconfigjson", good)]
    assert of_secrets(secrets).lookup("r.io/app") == [RegistryAuth("me", "pass:word")]
    assert of_secrets([_secret(".dockercfg", good["auths"])]).lookup("r.io/app") == [RegistryAuth("me", "pass:word")]
