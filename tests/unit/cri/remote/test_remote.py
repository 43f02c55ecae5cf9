"""The remote runtime's pure parts: words, exits, reasons, comparisons."""

from __future__ import annotations

import orjson
import pytest
from cri_api.v1 import api_pb2 as cri

from steersman.cri.interface import RuntimeFault
from steersman.cri.messages import ContainerConfig, EventKind, Mount, Resources, SandboxConfig, Security
from steersman.cri.remote import messages, streams, views
from steersman.cri.remote.abilities import no_image_volumes
from steersman.cri.remote.changes import Differ, is_of_exec
from steersman.cri.remote.images import pull_reason

_POD = SandboxConfig(name="p", uid="u", namespace="n")


def test_a_container_keeps_what_it_was_given() -> None:
    wanted = ContainerConfig(
        name="c",
        image="i",
        envs=(("A", "1"), ("A", "2")),
        labels={"k": "v"},
        stop_signal="SIGRTMIN+1",
        resources=Resources(memory_limit=5, huge_pages=(("2MB", 7),)),
        security=Security(run_as_user=0, seccomp="Localhost:/p"),
    )
    made = messages.container(wanted, _POD)
    assert [(each.key, each.value) for each in made.envs] == [("A", "1"), ("A", "2")]
    assert dict(made.labels) == {"k": "v", messages.UID_LABEL: "u"}
    assert made.stop_signal == cri.SIGRTMINPLUS1
    assert made.linux.resources.memory_limit_in_bytes == 5
    assert [(each.page_size, each.limit) for each in made.linux.resources.hugepage_limits] == [("2MB", 7)]
    security = made.linux.security_context
    # User 0 was asked for; a group was not.
    assert security.HasField("run_as_user") and not security.HasField("run_as_group")
    assert (security.seccomp.profile_type, security.seccomp.localhost_ref) == (cri.SecurityProfile.Localhost, "/p")


def _status(reason: str, code: str) -> bytes:
    cause = {"reason": "ExitCode", "message": code}
    return orjson.dumps({"status": "Failure", "reason": reason, "message": "words", "details": {"causes": [cause]}})


def test_the_last_status_of_a_session_is_the_exit_code_or_a_failure() -> None:
    assert streams.exit_code(b'{"status":"Success"}') == 0
    assert streams.exit_code(_status("NonZeroExitCode", "7")) == 7
    for told, words in ((_status("InternalError", "7"), "words"), (b"", "ended before"), (b"[]", "ended the command")):
        with pytest.raises(RuntimeFault, match=words):
            streams.exit_code(told)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('failed to do request: Head "http://x/v2/": dial tcp: connect: connection refused', "RegistryUnavailable"),
        ("failed to resolve reference: x: not found", "ErrImagePull"),
        ("unexpected status code 401 Unauthorized", "ErrImagePull"),
        ('failed to parse image reference "A": invalid reference format', "InvalidImageName"),
    ],
)
def test_a_pull_fails_with_the_kubelets_reason(message: str, reason: str) -> None:
    assert pull_reason(message) == reason


def test_what_happened_between_two_looks_is_told_step_by_step_and_once() -> None:
    def box(state: cri.PodSandboxState.ValueType) -> cri.PodSandbox:
        return cri.PodSandbox(id="s", state=state, metadata=cri.PodSandboxMetadata(uid="u"))

    exited = cri.Container(id="c", state=cri.CONTAINER_EXITED, labels={messages.UID_LABEL: "u"})
    differ = Differ()
    first = list(differ.compare([box(cri.SANDBOX_READY)], [exited]))
    assert [(each.container_id, each.kind) for each in first] == [
        ("s", EventKind.STARTED),
        ("c", EventKind.CREATED),
        ("c", EventKind.STARTED),
        ("c", EventKind.STOPPED),
    ]
    assert {each.pod_uid for each in first} == {"u"}
    assert list(differ.compare([box(cri.SANDBOX_READY)], [exited])) == []
    gone = [(each.container_id, each.kind) for each in differ.compare([], [])]
    assert gone == [("c", EventKind.DELETED), ("s", EventKind.STOPPED), ("s", EventKind.DELETED)]


def test_exits_of_commands_are_no_hints() -> None:
    def exit_event(container: bytes, process: bytes) -> bytes:
        event = b"\x0a" + bytes([len(container)]) + container + b"\x12" + bytes([len(process)]) + process
        wrapped = b"\x12" + bytes([len(event)]) + event
        topic = b"/tasks/exit"
        return b"\x1a" + bytes([len(topic)]) + topic + b"\x22" + bytes([len(wrapped)]) + wrapped

    assert is_of_exec(exit_event(b"c", b"command"))
    assert not is_of_exec(exit_event(b"c", b"c"))
    assert not is_of_exec(b"\x1a")


def test_details_of_another_shape_are_left_out() -> None:
    assert views.details({"info": "[1]"}) == views.details({"info": "no"}) == views.details({}) == {}


def test_a_mount_of_an_image_is_sent_as_one() -> None:
    mounts = (Mount("/v", "", readonly=True, image="sha256:1", image_sub_path="etc"), Mount("/h", "/host"))
    image, host = messages.container(ContainerConfig(name="c", image="i", mounts=mounts), _POD).mounts
    assert (image.image.image, image.image_sub_path, image.host_path) == ("sha256:1", "etc", "")
    assert not host.HasField("image")


@pytest.mark.parametrize(
    ("name", "version", "can"),
    [
        ("containerd", "1.6.20~ds1", False),
        ("containerd", "v2.0.4", False),
        ("containerd", "v2.1.0-rc.0", True),
        ("containerd", "2.2.0", True),
        ("cri-o", "1.30.9", False),
        ("cri-o", "1.36.0", True),
        ("another", "0.1", True),
        ("containerd", "unknown", True),
    ],
)
def test_runtimes_that_cannot_mount_images_are_told_by_their_version(name: str, version: str, can: bool) -> None:
    assert (no_image_volumes(name, version) == "") is can
