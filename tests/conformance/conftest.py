"""What every conformance test gets: a namespace with the usual things to do in it."""

from __future__ import annotations

import subprocess

import pytest
from tests.conformance.api import Api
from tests.conformance.space import IMAGE, Space
from tests.e2e.harness import Cluster

from steersman.cri.native import build
from steersman.machinery.meta import Obj


@pytest.fixture(scope="session")
def image(cluster: Cluster) -> str:
    """The test image on the node: busybox, whose entrypoint answers HTTP on 8080 with its host name."""
    assert cluster.steersman("example", "--image-only", "1").strip() == IMAGE
    return IMAGE


def load(cluster: Cluster, name: str, config: Obj, *more: build.Contents) -> str:
    """Make an image of busybox and more, and put it onto the node; its name."""
    archive = cluster.state / "image.tar"
    layers = [build.layer_tar(contents) for contents in (build.busybox_contents(), *more)]
    build.write_image(str(archive), name, layers, {"Env": ["PATH=/bin"], **config})
    cluster.steersman("image", "load", str(archive))
    return name


@pytest.fixture(scope="session")
def echo_image(cluster: Cluster) -> str:
    """An image with both an entrypoint and a default argument."""
    return load(cluster, "conformance.example/echo:1", {"Entrypoint": ["/bin/echo", "entrypoint"], "Cmd": ["default"]})


@pytest.fixture(scope="session")
def perl_image(cluster: Cluster) -> str:
    """Perl as every Debian has it, for UDP: Debian's busybox has nothing that speaks it."""
    modules = subprocess.run(["perl", "-e", "print grep(/perl-base$/, @INC)"], capture_output=True, text=True, check=True).stdout
    libraries = {library.lstrip("/"): library for library in build.shared_libraries("/usr/bin/perl")}
    return load(
        cluster,
        "conformance.example/perl:1",
        {},
        build.Contents(copy={"bin/perl": "/usr/bin/perl", modules.lstrip("/"): modules, **libraries}),
    )


@pytest.fixture
def space(cluster: Cluster, api: Api, image: str, namespace: str) -> Space:
    return Space(cluster, api, namespace)
