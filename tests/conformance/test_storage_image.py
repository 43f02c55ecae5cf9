"""[sig-node] Image volumes: what is in an image, pulled from a registry as the image of a container is."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import pytest
from tests.conformance.objects import SLEEP, pod
from tests.conformance.space import Space, eventually
from tests.e2e.harness import Cluster

from steersman.api.resources import EVENTS, PODS
from steersman.cri.native import build
from steersman.machinery.meta import Obj

pytestmark = pytest.mark.root

_PORT = 5000
"""In the cluster's own network namespace."""
KITTEN = f"127.0.0.1:{_PORT}/lib/kitten:1"
_REGISTRY_YAML = """\
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %s}}
http: {addr: "127.0.0.1:%d"}
"""


@pytest.fixture(scope="module")
def kitten(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[str]:
    """An image which only a registry next to the node has, of two layers and no program."""
    if request.config.getoption("--cluster-runtime") == "containerd":
        pytest.skip("needs containerd 2.1, where Debian has 1.6")
    if not shutil.which("docker-registry") or not shutil.which("skopeo"):
        pytest.skip("needs docker-registry and skopeo")
    root = tmp_path_factory.mktemp("registry")
    (root / "config.yml").write_text(_REGISTRY_YAML % (root / "data", _PORT))
    layers = [build.Contents(text={"etc/os-release": "Alpine Linux\n"}), build.Contents(text={"data.json": "kitten.jpg\n"})]
    build.write_image(str(root / "kitten.tar"), KITTEN, [build.layer_tar(each) for each in layers], {})
    with open(root / "log", "wb") as log:
        serve = cluster.netns.wrap(["docker-registry", "serve", str(root / "config.yml")])
        registry = subprocess.Popen(serve, stdout=log, stderr=log)
    try:
        push = ["skopeo", "copy", "--dest-tls-verify=false", f"oci-archive:{root / 'kitten.tar'}", f"docker://{KITTEN}"]
        eventually(lambda: _pushed(cluster, push))
        yield KITTEN
    finally:
        registry.terminate()
        registry.wait()


def _pushed(cluster: Cluster, command: list[str]) -> bool:
    return subprocess.run(cluster.netns.wrap(command), capture_output=True).returncode == 0


def _with_image(reference: str, **mount: str) -> Obj:
    mounts = [{"name": "volume", "mountPath": "/volume", **mount}]
    volume = {"name": "volume", "image": {"reference": reference, "pullPolicy": "Always"}}
    return pod(SLEEP, spec={"volumes": [volume]}, volumeMounts=mounts)


@pytest.mark.conformance(
    "[sig-node] ImageVolume should succeed with pod and pull policy of Always [LinuxOnly] [MinimumKubeletVersion:1.35] "
    "[Conformance]"
)
def test_a_pod_sees_what_is_in_the_image(space: Space, kitten: str) -> None:
    space.running(_with_image(kitten))
    assert space.exec("pod", "cat", "/volume/data.json") == "kitten.jpg\n"
    assert space.exec("pod", "cat", "/volume/etc/os-release") == "Alpine Linux\n"
    assert "Read-only file system" in space.exec("pod", "rm", "/volume/data.json", code=1)

    def told() -> list[tuple[str, str | None]]:
        listed = [each for each in space.list(EVENTS) if KITTEN in each["message"]]
        return sorted((each["reason"], each["involvedObject"].get("fieldPath")) for each in listed)

    # Events are written beside what they tell of.
    eventually(lambda: told() == [("Pulled", None), ("Pulling", None)])


def test_a_part_of_an_image_is_named_by_an_expression(space: Space, kitten: str) -> None:
    wanted = _with_image(kitten, subPathExpr="$(FOLDER)")
    wanted["spec"]["containers"][0]["env"] = [{"name": "FOLDER", "value": "etc"}]
    space.running(wanted)
    assert space.exec("pod", "ls", "/volume") == "os-release\n"


def test_a_container_waits_for_an_image_that_is_not_there(space: Space, kitten: str) -> None:
    space.create(PODS, _with_image(f"{kitten}-none"))
    waiting = space.until(PODS, "pod", lambda it: _waiting(it).get("reason") == "ImagePullBackOff")
    assert _waiting(waiting)["message"].startswith(f'Back-off pulling image "{kitten}-none": ErrImagePull: ')


def test_a_part_that_is_not_in_the_image_is_told(space: Space, kitten: str) -> None:
    space.create(PODS, _with_image(kitten, subPath="none"))
    waiting = space.until(PODS, "pod", lambda it: _waiting(it).get("reason") == "CreateContainerError")
    assert "ImageVolumeMountFailed: " in _waiting(waiting)["message"]


def _waiting(made: Obj) -> Obj:
    statuses = made["status"].get("containerStatuses") or [{"state": {}}]
    found: Obj = statuses[0]["state"].get("waiting") or {}
    return found
