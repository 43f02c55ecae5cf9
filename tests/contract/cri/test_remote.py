"""What only a runtime in another process can do wrong: hang, go away and come back; pulls by it, with credentials."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes import dockerregistry
from tests.fakes.containerd import PAUSE_IMAGE, Containerd

from steersman.cri.interface import RuntimeFault
from steersman.cri.messages import RegistryAuth
from steersman.cri.native import build
from steersman.cri.remote.calls import RUNTIME, Endpoint
from steersman.cri.remote.images import RemoteImages
from steersman.machinery.clock import RealClock

pytestmark = pytest.mark.root

# user:secret, as htpasswd's bcrypt
_ACCOUNT = "user:$2b$04$yjSlW9sxc6WcAi3J9Nw/gu7hXgLFZpmEcZNnW7pDMdM2sRv7PSxNe"


def test_a_runtime_that_hangs_is_told_in_one_sentence_and_found_again(containerd: Containerd) -> None:
    async def scenario() -> None:
        from cri_api.v1 import api_pb2 as cri

        endpoint = Endpoint(containerd.socket, RealClock())
        request = cri.VersionRequest()
        await endpoint.call(RUNTIME + "Version", request, cri.VersionResponse)
        containerd.hang()
        try:
            with pytest.raises(RuntimeFault, match=r"at \S+ did not answer Version within 0.3 s$"):
                await endpoint.call(RUNTIME + "Version", request, cri.VersionResponse, 0.3)
        finally:
            containerd.go_on()
        answer = await endpoint.call(RUNTIME + "Version", request, cri.VersionResponse)
        assert answer.runtime_name == "containerd"
        await endpoint.close()

    asyncio.run(scenario())


def test_the_image_that_sandboxes_are_made_of_is_pinned_and_no_other(containerd: Containerd) -> None:
    async def scenario() -> None:
        endpoint = Endpoint(containerd.socket, RealClock())
        listed = await RemoteImages(endpoint, RealClock()).list_images()
        assert len(listed) > 1 and [each.repo_tags for each in listed if each.pinned] == [(PAUSE_IMAGE,)]
        await endpoint.close()

    asyncio.run(scenario())


def test_a_runtime_that_is_not_there_is_named(tmp_path: Path) -> None:
    async def scenario() -> None:
        endpoint = Endpoint(str(tmp_path / "none.sock"), RealClock())
        with pytest.raises(RuntimeFault, match=r"the container runtime at \S+/none.sock cannot be reached: "):
            await RemoteImages(endpoint, RealClock()).list_images()
        await endpoint.close()

    asyncio.run(scenario())


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """host:port of a registry with lib/small:1, for user:secret only.

    An image of its own: CRI removes images with all their names, and other tests need theirs.
    """
    archive = tmp_path / "small.tar"
    layers = [build.layer_tar(build.Contents(text={"etc/motd": text})) for text in ("first", "second")]
    build.write_image(str(archive), "lib/small:1", layers, {"Cmd": ["sh"]})
    with dockerregistry.serving(tmp_path, account=_ACCOUNT) as address:
        copy = ["skopeo", "copy", "--dest-tls-verify=false", "--dest-creds", "user:secret"]
        copy += [f"oci-archive:{archive}", f"docker://{address}/lib/small:1"]
        done = subprocess.run(copy, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        yield address


def test_pulls_carry_credentials_and_fail_with_a_reason(containerd: Containerd, registry: str) -> None:
    async def scenario() -> None:
        endpoint = Endpoint(containerd.socket, RealClock())
        images = RemoteImages(endpoint, RealClock())
        name = f"{registry}/lib/small:1"
        for image, auth, reason in (
            (name, None, "ErrImagePull"),
            (name, RegistryAuth("user", "wrong"), "ErrImagePull"),
            (f"{registry}/lib/small:none", RegistryAuth("user", "secret"), "ErrImagePull"),
            ("127.0.0.1:1/x:1", None, "RegistryUnavailable"),
            ("lib/UPPER:1", None, "InvalidImageName"),
        ):
            with pytest.raises(RuntimeFault) as caught:
                await images.pull_image(image, auth)
            assert caught.value.reason == reason, (image, str(caught.value))
        before = {each.id for each in await images.list_images()}
        await images.pull_image(name, RegistryAuth("user", "secret"))
        found = await images.image_status(name)
        assert found is not None and name in found.repo_tags
        await images.remove_image(name)
        assert await images.image_status(name) is None
        await images.remove_image(name)
        assert {each.id for each in await images.list_images()} == before
        await endpoint.close()

    asyncio.run(scenario())
