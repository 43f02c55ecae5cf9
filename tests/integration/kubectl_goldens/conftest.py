"""One cluster with two simulated nodes for all transcripts, and a place with a namespace for each."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.clients.served import NODES, Served
from tests.integration.kubectl_goldens.transcripts import Place

from steersman.machinery import yamlio

GOLDEN = Path(__file__).parents[2] / "golden" / "kubectl"
VERSION = "v1.32."
"""What kubectl prints is kubectl's, so that the transcripts are those of one version."""


@pytest.fixture(scope="session")
def program() -> str:
    found = shutil.which("kubectl")
    if found is None:
        pytest.skip("kubectl is not installed")
    said = subprocess.run([found, "version", "--client"], capture_output=True, text=True, check=True).stdout
    if VERSION not in said:
        pytest.skip(f"the transcripts are those of kubectl {VERSION}x, and this is {said.split()[2]}")
    return found


@pytest.fixture(scope="session")
def served(program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = Served(tmp_path_factory.mktemp("goldens"))
    environment = {**os.environ, "KUBECONFIG": str(made.kubeconfig)}
    try:
        for number in range(1, NODES + 1):
            for condition in ("create", "condition=Ready"):
                waiting = [program, "wait", f"--for={condition}", f"node/sim-{number:04}", "--timeout=120s"]
                subprocess.run(waiting, env=environment, capture_output=True, check=True)
        yield made
    finally:
        made.end()


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of discovery, shared: what it says does not change. (A transcript that installs kinds names a cache of its own.)"""
    return tmp_path_factory.mktemp("cache")


def place(directory: Path, kubeconfig: Path, cache: Path, namespace: str) -> Place:
    """With a copy of the files, a home, and a kubeconfig whose context has the namespace."""
    shutil.copytree(GOLDEN / "files", directory / "files")
    config = yamlio.load(kubeconfig.read_bytes())
    config["contexts"][0]["context"]["namespace"] = namespace
    (directory / "config").write_text(yamlio.dump(config))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "TMPDIR": str(directory),
        "KUBECONFIG": str(directory / "config"),
        "KUBECACHEDIR": str(cache),
        "TZ": "UTC",
        "LANG": "C.UTF-8",
    }
    return Place(directory / "files", environment)
