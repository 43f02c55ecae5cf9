"""No verb of kubectl's help is forgotten in the transcripts, and every kind can be explained down to its last field."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.integration.clients.served import Served
from tests.integration.kubectl_goldens.conftest import GOLDEN, place
from tests.integration.kubectl_goldens.transcripts import commands

_LISTED = re.compile(r"^  ([a-z-]+)  +\S", re.MULTILINE)
_WITH_MORE = ("create", "set", "rollout", "certificate", "config", "auth", "apply", "top")
"""Verbs that have verbs of their own."""


def listed(program: str, *verb: str) -> list[str]:
    text = subprocess.run([program, *verb, "--help"], capture_output=True, text=True, check=True).stdout
    if verb:
        text = text.partition("Available Commands:")[2].partition("\n\n")[0]
    else:
        text = text.partition("Usage:")[0]
    return _LISTED.findall(text)


def test_no_verb_of_the_help_is_forgotten(program: str) -> None:
    typed = [command for path in GOLDEN.glob("*.txt") for command in commands(path.read_text())]
    verbs: list[tuple[str, ...]] = [(verb,) for verb in listed(program)]
    assert len(verbs) > 40
    verbs += [(verb, below) for verb in _WITH_MORE for below in listed(program, verb)]
    assert len(verbs) > 90
    missing = [" ".join(verb) for verb in verbs if not any(_types(command, verb) for command in typed)]
    assert missing == []


def _types(command: str, verb: tuple[str, ...]) -> bool:
    return re.search(rf"\bkubectl {' '.join(verb)}(?![\w-])", command) is not None


@pytest.fixture
def environment(served: Served, cache: Path, tmp_path: Path) -> Mapping[str, str]:
    return place(tmp_path, served.kubeconfig, cache, "default").environment


def test_every_kind_is_explained_with_all_its_fields(
    program: str, environment: Mapping[str, str], request: pytest.FixtureRequest
) -> None:
    """Against a list of kinds, versions and numbers of fields."""

    def said(*arguments: str) -> str:
        done = subprocess.run([program, *arguments], env=dict(environment), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout

    rows = [line.split() for line in said("api-resources", "--no-headers").splitlines()]
    kinds = sorted((row[-3], row[0], row[-1]) for row in rows)
    assert len(kinds) > 60

    def explained(kind: tuple[str, str, str]) -> str:
        version, plural, name = kind
        text = said("explain", plural, f"--api-version={version}", "--recursive")
        assert re.search(rf"^KIND: +{name}$", text, re.MULTILINE), text
        fields = re.findall(r"^ +\w\S*\t<", text, re.MULTILINE)
        return f"{version} {name}: {len(fields)} fields"

    with ThreadPoolExecutor(4) as pool:
        lines = list(pool.map(explained, kinds))
    golden = GOLDEN / "explained.list"
    if request.config.getoption("--update-goldens"):
        golden.write_text("\n".join(lines) + "\n")
    assert lines == golden.read_text().splitlines()
