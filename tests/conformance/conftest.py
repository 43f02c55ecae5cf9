"""What every conformance test gets: a namespace with the usual things to do in it."""

from __future__ import annotations

import pytest
from tests.conformance.api import Api
from tests.conformance.space import IMAGE, Space
from tests.e2e.harness import Cluster

from steersman.cri.native import build


@pytest.fixture(scope="session")
def image(cluster: Cluster) -> str:
    """The test image on the node: busybox, whose entrypoint answers HTTP on 8080 with its host name."""
    assert cluster.steersman("example", "--image-only", "1").strip() == IMAGE
    return IMAGE


@pytest.fixture(scope="session")
def echo_image(cluster: Cluster) -> str:
    """An image with both an entrypoint and a default argument."""
    name, archive = "conformance.example/echo:1", cluster.state / "echo.tar"
    config = {"Entrypoint": ["/bin/echo", "entrypoint"], "Cmd": ["default"], "Env": ["PATH=/bin"]}
    build.write_image(str(archive), name, [build.layer_tar(build.busybox_contents())], config)
    cluster.steersman("image", "load", str(archive))
    return name


@pytest.fixture
def space(cluster: Cluster, api: Api, image: str, namespace: str) -> Space:
    return Space(cluster, api, namespace)
