"""Which images a runtime must keep: those it pins, and the one of its sandboxes, where it pins none (containerd 1.6)."""

from __future__ import annotations

import asyncio

import orjson
import pytest
from cri_api.v1 import api_pb2 as cri
from google.protobuf.message import Message

from steersman.cri.remote.calls import QUICK_S, A, Endpoint
from steersman.cri.remote.images import RemoteImages
from steersman.machinery.clock import VirtualClock

_TAGS = {"sha256:1": "registry.k8s.io/pause:3.6", "sha256:2": "docker.io/library/web:1"}


class Runtime(Endpoint):
    """Answers from here. `info`: what its verbose status says."""

    def __init__(self, info: dict[str, str], pinned: str = "") -> None:
        super().__init__("/nowhere", VirtualClock())
        self.info, self.pinned, self.asked = info, pinned, list[str]()

    async def call(self, method: str, request: Message, answer: type[A], timeout_s: float | None = QUICK_S) -> A:
        name = method.rpartition("/")[2]
        self.asked.append(name)
        images = {tag: cri.Image(id=key, repo_tags=[tag], pinned=key == self.pinned) for key, tag in _TAGS.items()}
        made: Message
        if name == "ListImages":
            made = cri.ListImagesResponse(images=images.values())
        elif name == "Status":
            made = cri.StatusResponse(info=self.info)
        else:
            assert isinstance(request, cri.ImageStatusRequest)
            made = cri.ImageStatusResponse(image=images.get(request.image.image))
        return answer.FromString(made.SerializeToString())


def _config(image: str) -> dict[str, str]:
    return {"config": orjson.dumps({"sandboxImage": image}).decode()}


@pytest.mark.parametrize(
    ("info", "pinned", "kept"),
    [
        (_config("registry.k8s.io/pause:3.6"), "", ["sha256:1"]),
        (_config("registry.k8s.io/pause:3.9"), "", []),
        (_config(""), "", []),
        ({"config": '{"sandboxImage": 7}'}, "", []),
        ({}, "", []),
        ({}, "sha256:2", ["sha256:2"]),
    ],
)
def test_the_sandbox_image_counts_as_pinned(info: dict[str, str], pinned: str, kept: list[str]) -> None:
    runtime = Runtime(info, pinned)
    listed = asyncio.run(RemoteImages(runtime, VirtualClock()).list_images())
    assert [each.id for each in listed if each.pinned] == kept
    assert len(listed) == 2


def test_a_runtime_that_pins_images_is_not_asked_for_more() -> None:
    runtime = Runtime(_config("registry.k8s.io/pause:3.6"), "sha256:2")
    asyncio.run(RemoteImages(runtime, VirtualClock()).list_images())
    assert runtime.asked == ["ListImages"]
