"""What commands work with: the runtime that is asked, the command line, where output goes."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TextIO, TypeVar

from cri_api.v1 import api_pb2 as cri
from google.protobuf.message import Message

from steersman.cri.interface import NotThere, RuntimeFault
from steersman.cri.remote.calls import IMAGES, QUICK_S, RUNTIME, Endpoint
from steersman.machinery.clock import Clock

A = TypeVar("A", bound=Message)
_ENOUGH = 64
"""Characters of a whole id: it needs not be looked for."""


@dataclass(frozen=True, slots=True)
class Context:
    args: argparse.Namespace
    runtime: Endpoint
    images: Endpoint
    clock: Clock
    out: TextIO
    err: TextIO
    timeout_s: float | None = None
    """As the command line has it; None: by call."""

    async def ask(self, call: str, request: Message, answer: type[A], timeout_s: float = QUICK_S) -> A:
        """A call of the RuntimeService. Raises RuntimeFault."""
        return await self.runtime.call(RUNTIME + call, request, answer, self.timeout_s or timeout_s)

    async def ask_images(self, call: str, request: Message, answer: type[A], timeout_s: float = QUICK_S) -> A:
        return await self.images.call(IMAGES + call, request, answer, self.timeout_s or timeout_s)

    async def pods(self, labels: Mapping[str, str] | None = None) -> list[cri.PodSandbox]:
        request = cri.ListPodSandboxRequest(filter=cri.PodSandboxFilter(label_selector=labels))
        return _newest(each for each in (await self.ask("ListPodSandbox", request, cri.ListPodSandboxResponse)).items)

    async def containers(self, labels: Mapping[str, str] | None = None) -> list[cri.Container]:
        request = cri.ListContainersRequest(filter=cri.ContainerFilter(label_selector=labels))
        return _newest(each for each in (await self.ask("ListContainers", request, cri.ListContainersResponse)).containers)

    async def pod_id(self, given: str) -> str:
        """Of a pod, by the beginning of its id. Raises NotThere, RuntimeFault."""
        return given if len(given) >= _ENOUGH else _one(given, [each.id for each in await self.pods()], "pod sandbox")

    async def container_id(self, given: str) -> str:
        return given if len(given) >= _ENOUGH else _one(given, [each.id for each in await self.containers()], "container")

    def say(self, text: str) -> None:
        self.out.write(f"{text}\n")

    def complain(self, text: object) -> None:
        self.err.write(f"steersman crictl: {text}\n")

    @property
    def labels(self) -> dict[str, str]:
        """Of --label. Raises RuntimeFault."""
        pairs = [each.partition("=") for each in self.args.label]
        for key, equals, _ in pairs:
            if not equals:
                raise RuntimeFault(f"incorrectly formatted label {key!r}: it should be KEY=VALUE")
        return {key: value for key, _, value in pairs}


Dated = TypeVar("Dated", cri.PodSandbox, cri.Container)


def _newest(found: Iterable[Dated]) -> list[Dated]:
    def created(each: Dated) -> int:
        return each.created_at

    return sorted(found, key=created, reverse=True)


def _one(given: str, known: list[str], what: str) -> str:
    found = [each for each in known if each.startswith(given)]
    if not found:
        raise NotThere(f"{what} {given!r} not found")
    if len(found) > 1:
        raise RuntimeFault(f"{what} id {given!r} is ambiguous: {len(found)} begin so")
    return found[0]
