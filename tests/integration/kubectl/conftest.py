"""One API server on the loopback interface, with certificates and policy, and upstream's kubectl to talk to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.loopback import Kubectl, serving

__all__ = ["Kubectl", "kubectl", "served"]


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str, Path]]:
    """The server's kubeconfig, its address and its certificate authority."""
    with serving(tmp_path_factory.mktemp("cluster")) as server:
        yield server.config, server.url, server.pki


@pytest.fixture(scope="session")
def kubectl(served: tuple[Path, str, Path], tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """Run upstream's kubectl with these arguments as the administrator; its output. A failure is shown with what it said."""
    return Kubectl(served[0], tmp_path_factory.mktemp("cache"))
