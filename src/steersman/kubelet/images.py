"""Images for containers: pull policies, credentials, one pull at a time per image, back-off, events.

Source: upstream pkg/kubelet/images/image_manager.go.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from steersman.cri.interface import ImageService, RuntimeFault
from steersman.cri.messages import Image, RegistryAuth
from steersman.kubelet.backoff import Backoff
from steersman.kubelet.counts import Counts, size_label
from steersman.kubelet.credentials import keyring
from steersman.kubelet.credentials.plugins import Plugins
from steersman.kubelet.kit import Recorder, field_path
from steersman.kubelet.steadytime import SteadyTime
from steersman.machinery import duration
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj, uid_of
from steersman.machinery.waiting import Locks

log = logging.getLogger(__name__)


def with_default_tag(image: str) -> str:
    """Neither tag nor digest: `:latest`. Raises ValueError for what can't be an image name."""
    if not image or image != image.strip() or any(letter.isspace() for letter in image):
        raise ValueError(f'couldn\'t parse image name "{image}": invalid reference format')
    name = image.rpartition("/")[2]
    if name != name.lower() and "@" not in name and ":" not in name:
        raise ValueError(f'couldn\'t parse image name "{image}": invalid reference format: repository name must be lowercase')
    return image if "@" in image or ":" in name else f"{image}:latest"


def pull_policy(chosen: str, image: str) -> str:
    """What the container or volume says, or upstream's default."""
    return chosen if chosen else ("Always" if image.endswith(":latest") else "IfNotPresent")


def credentials(image: str, secrets: Sequence[Obj]) -> list[RegistryAuth]:
    """Those of the pull secrets that are for the image, of the most particular place first."""
    return keyring.of_secrets(secrets).lookup(image)


@dataclass(slots=True)
class _Failure:
    at: datetime
    reason: str
    message: str


class Pace:
    """How many pulls at once (0: any number), and how many per second in the long run (0: any number)."""

    def __init__(self, clock: Clock, parallel: int = 0, qps: float = 0.0, burst: int = 10) -> None:
        self._clock, self._qps, self._burst = clock, qps, burst
        self._places = asyncio.Semaphore(parallel) if parallel else None
        self._tokens, self._counted_s = float(burst), clock.monotonic()

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a place. Raises RuntimeFault when there were too many pulls lately: upstream does not wait for that."""
        if self._qps > 0:
            now_s = self._clock.monotonic()
            self._tokens = min(self._tokens + (now_s - self._counted_s) * self._qps, float(self._burst))
            self._counted_s = now_s
            if self._tokens < 1:
                raise RuntimeFault("pull QPS exceeded", reason="ErrImagePull")
            self._tokens -= 1
        async with self._places or contextlib.nullcontext():
            yield


class ImageManager:
    """`ensure` gives the image a container starts from."""

    def __init__(
        self,
        images: ImageService,
        recorder: Recorder,
        clock: Clock,
        pace: Pace | None = None,
        plugins: Plugins | None = None,
        counts: Counts | None = None,
    ) -> None:
        self._images, self._recorder, self._clock = images, recorder, clock
        self._pace, self._plugins, self._counts = pace or Pace(clock), plugins or Plugins(), counts or Counts()
        self._backoff, self._steady = Backoff(10.0, 300.0), SteadyTime(clock)
        self._failures: dict[str, _Failure] = {}
        self._locks: Locks[tuple[str, RegistryAuth | None]] = Locks()

    async def ensure(self, pod: Obj, spec: Obj, secrets: Sequence[Obj]) -> Image:
        """The image, pulled if policy says so. Raises RuntimeFault whose reason is the container's waiting reason."""
        chosen = str(spec.get("imagePullPolicy") or "")
        return await self._ensure(pod, str(spec.get("image") or ""), chosen, secrets, field_path(pod, spec["name"]))

    async def ensure_volume(self, pod: Obj, source: Obj, secrets: Sequence[Obj]) -> Image:
        """The same for an image volume; its events are the pod's."""
        return await self._ensure(pod, str(source.get("reference") or ""), str(source.get("pullPolicy") or ""), secrets, "")

    async def _ensure(self, pod: Obj, reference: str, chosen: str, secrets: Sequence[Obj], where: str) -> Image:
        try:
            image = with_default_tag(reference)
        except ValueError as error:
            text = f'Failed to apply default image tag "{reference}": {error}'
            self._recorder.event(pod, "Warning", "InspectFailed", text, field_path=where)
            raise RuntimeFault(text, reason="InvalidImageName") from None
        policy = pull_policy(chosen, image)
        present = await self._inspect(pod, image, reference, where)
        if present is not None and policy != "Always":
            text = f'Container image "{reference}" already present on machine and can be accessed by the pod'
            self._recorder.event(pod, "Normal", "Pulled", text, field_path=where)
            return present
        if policy == "Never":
            text = f'Container image "{reference}" is not present with pull policy of Never'
            self._recorder.event(pod, "Warning", "ErrImageNeverPull", text, field_path=where)
            raise RuntimeFault(text, reason="ErrImageNeverPull")
        return await self._pull(pod, image, reference, secrets, where)

    def retry_in(self, pod: Obj, image: str) -> float:
        """Seconds until a failed pull may be tried again."""
        key = f"{uid_of(pod)}_{image}"
        failure = self._failures.get(key)
        return self._backoff.remaining(key, failure.at, self._steady.now()) if failure else 0.0

    async def _inspect(self, pod: Obj, image: str, reference: str, where: str) -> Image | None:
        try:
            return await self._images.image_status(image)
        except RuntimeFault as error:
            text = f'Failed to inspect image "{reference}": {error}'
            self._recorder.event(pod, "Warning", "InspectFailed", text, field_path=where)
            raise RuntimeFault(text, reason=error.reason or "ImageInspectError") from None

    async def _pull(self, pod: Obj, image: str, reference: str, secrets: Sequence[Obj], where: str) -> Image:
        """`image` is `reference` with a tag; events show the image as the pod names it."""
        key = f"{uid_of(pod)}_{image}"
        failure = self._failures.get(key)
        if failure is not None and self._backoff.remaining(key, failure.at, self._steady.now()) > 0:
            text = f'Back-off pulling image "{reference}"'
            self._recorder.event(pod, "Normal", "BackOff", text, field_path=where)
            raise RuntimeFault(f"{text}: {failure.reason}: {failure.message}", reason="ImagePullBackOff")
        self._recorder.event(pod, "Normal", "Pulling", f'Pulling image "{reference}"', field_path=where)
        asked_s = self._clock.monotonic()
        try:
            auths = [*credentials(image, secrets), *await self._plugins.lookup(image, pod)]
            pulled, took_s = await self._pull_with(image, auths)
        except RuntimeFault as error:
            self._recorder.event(pod, "Warning", "Failed", f'Failed to pull image "{reference}": {error}', field_path=where)
            now = self._steady.now()
            reason = error.reason or "ErrImagePull"
            self._backoff.next(key, now, now)
            self._failures[key] = _Failure(now, reason, str(error))
            raise RuntimeFault(str(error), reason=reason) from None
        self._failures.pop(key, None)
        size = size_label(pulled.size_bytes)
        self._counts.observe("kubelet_image_pull_duration_seconds", took_s, image_size_in_bytes=size)
        whole = duration.format_go(round(self._clock.monotonic() - asked_s, 3))
        text = f'Successfully pulled image "{reference}" in {duration.format_go(round(took_s, 3))} ({whole} including waiting).'
        text += f" Image size: {pulled.size_bytes} bytes."
        self._recorder.event(pod, "Normal", "Pulled", text, field_path=where)
        return pulled

    async def _pull_with(self, image: str, auths: Sequence[RegistryAuth]) -> tuple[Image, float]:
        """(the image, seconds the pull took). The same image with the same credentials is pulled once for all who wait."""
        choices: Sequence[RegistryAuth | None] = auths or (None,)
        for index, auth in enumerate(choices):
            async with self._locks[image, auth]:
                try:
                    async with self._pace.turn():
                        started_s = self._clock.monotonic()
                        ref = await self._images.pull_image(image, auth)
                except RuntimeFault:
                    if index + 1 == len(choices):
                        raise
                    continue
                found = await self._images.image_status(ref) or await self._images.image_status(image)
                if found is None:
                    raise RuntimeFault(f'image "{image}" is not there after its pull', reason="ErrImagePull")
                return found, self._clock.monotonic() - started_s
        raise AssertionError("there is always one choice")

    def forget(self, pod_uid: str) -> None:
        self._backoff.forget(f"{pod_uid}_")
        for key in [key for key in self._failures if key.startswith(f"{pod_uid}_")]:
            del self._failures[key]
