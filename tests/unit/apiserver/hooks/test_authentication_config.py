"""What aggregated API servers are told to believe, when several API servers tell them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.fakes import certs

from steersman.apiserver.hooks.authentication_config import joined
from steersman.machinery.clock import RealClock

NOW, LATER = RealClock().now(), datetime(9000, 1, 1, tzinfo=UTC)
CA, NAMES = "requestheader-client-ca-file", "requestheader-allowed-names"


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    directory = tmp_path_factory.mktemp("authorities")
    found = []
    for name in ("one", "two"):
        certs.authority(directory / f"{name}.crt")
        found.append((directory / f"{name}.crt").read_text())
    return found[0], found[1]


def test_servers_with_authorities_of_their_own_are_all_believed(authorities: tuple[str, str]) -> None:
    one, two = authorities
    both = joined({CA: one, "else": "kept"}, {CA: two}, NOW)
    assert both == {CA: one + two, "else": "kept"}
    assert joined(both, {CA: one}, NOW) == both == joined(both, {CA: two}, NOW), "nothing to write for either, ever after"


def test_an_authority_that_has_expired_goes_when_another_comes(authorities: tuple[str, str]) -> None:
    one, two = authorities
    assert joined({CA: one}, {CA: two}, LATER) == {CA: ""}


@pytest.mark.parametrize(
    ("before", "own", "told"),
    [
        ('["a"]', '["a"]', '["a"]'),
        ('["a"]', '["b"]', '["a","b"]'),
        ('["a","b"]', '["b"]', '["a","b"]'),
        ("nonsense", '["b"]', '["b"]'),
        ('"a"', '["b"]', '["b"]'),
    ],
)
def test_names_are_joined(before: str, own: str, told: str) -> None:
    assert joined({NAMES: before}, {NAMES: own}, NOW) == {NAMES: told}


def test_what_is_no_certificate_is_replaced(authorities: tuple[str, str], tmp_path: Path) -> None:
    one, _ = authorities
    assert joined({CA: "nonsense"}, {CA: one}, NOW) == {CA: one}
