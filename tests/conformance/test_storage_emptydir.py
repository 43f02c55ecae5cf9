"""[sig-storage] EmptyDir volumes: their modes, their medium, and that the containers of a pod share them."""

from __future__ import annotations

import itertools

import pytest
from tests.conformance.objects import SLEEP, container, pod, volume_pod
from tests.conformance.space import Space, eventually

from steersman.api.resources import PODS

pytestmark = pytest.mark.root

MEDIA = {"default": {}, "tmpfs": {"medium": "Memory"}}


@pytest.mark.parametrize(
    ("user", "mode", "medium"),
    [
        pytest.param(
            user,
            mode,
            medium,
            marks=pytest.mark.conformance(
                f"[sig-storage] EmptyDir volumes should support ({user},{mode},{medium}) [LinuxOnly] [NodeConformance] "
                "[Conformance]"
            ),
        )
        for user, mode, medium in itertools.product(("root", "non-root"), ("0644", "0666", "0777"), MEDIA)
    ],
)
def test_files_are_written_with_their_modes(space: Space, user: str, mode: str, medium: str) -> None:
    uid = 0 if user == "root" else 1001
    script = (
        f"umask 0; echo mount-tester new file > /v/file && chmod {mode} /v/file && cat /v/file && stat -c '%a %u' /v/file; "
        "grep -o ' /v tmpfs ' /proc/mounts; true"
    )
    made = volume_pod(script, {"emptyDir": MEDIA[medium]}, spec={"securityContext": {"runAsUser": uid}})
    mounted = " /v tmpfs \n" if medium == "tmpfs" else ""
    assert space.output(made) == f"mount-tester new file\n{mode[1:]} {uid}\n{mounted}"


@pytest.mark.parametrize(
    "medium",
    [
        pytest.param(
            medium,
            marks=pytest.mark.conformance(
                f"[sig-storage] EmptyDir volumes volume on {words} should have the correct mode [LinuxOnly] [NodeConformance] "
                "[Conformance]"
            ),
        )
        for medium, words in (("default", "default medium"), ("tmpfs", "tmpfs"))
    ],
)
def test_everybody_may_write(space: Space, medium: str) -> None:
    said = space.output(volume_pod("stat -c %a /v; grep -c ' /v tmpfs ' /proc/mounts; true", {"emptyDir": MEDIA[medium]}))
    assert said == {"default": "777\n0\n", "tmpfs": "1777\n1\n"}[medium]


@pytest.mark.conformance("[sig-storage] EmptyDir volumes pod should support shared volumes between containers [Conformance]")
def test_the_containers_of_a_pod_share_a_volume(space: Space) -> None:
    mounts = [{"name": "v", "mountPath": "/v"}]
    writer = container("echo Hello from the busy-box sub-container > /v/file", name="sub", volumeMounts=mounts)
    reader = container(SLEEP, volumeMounts=mounts)
    spec = {"volumes": [{"name": "v", "emptyDir": {}}], "containers": [reader, writer]}
    space.create(PODS, pod(spec=spec, name="shared"))
    eventually(lambda: space.exec("shared", "cat", "/v/file", container="main") == "Hello from the busy-box sub-container\n")
