"""Custom resources from one version to another by asking a webhook; what is asked is in api/customresources/conversion.py."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from steersman.api.customresources import conversion
from steersman.api.kinds import KindSpec, WebhookConversion
from steersman.apiserver.hookclient import HookClient, NoAnswer
from steersman.apiserver.storage import encode
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Obj

_TIMEOUT_S = 30.0
_AT_ONCE = 500
"""Objects in one question."""


@dataclass(frozen=True)
class Converting:
    """One definition's. kinds: its versions by apiVersion, those that are not served left out."""

    webhook: WebhookConversion
    kinds: Mapping[str, KindSpec]
    client: HookClient

    def like(self, other: Converting) -> bool:
        """Whether the other makes the same of every object."""
        mine, theirs = ({name: (kind.read, kind.settle) for name, kind in it.kinds.items()} for it in (self, other))
        return self.webhook == other.webhook and mine == theirs

    async def read(self, values: Sequence[bytes], api_version: str) -> list[bytes]:
        """Stored objects in a version, encoded. Raises StatusError."""
        read = self.kinds[api_version].read
        objects: list[Obj] = [orjson.loads(value) for value in values]
        for obj in objects:
            if read is not None:
                read(obj)
        return [encode(obj) for obj in await self.convert(objects, api_version)]

    async def write(self, value: bytes) -> bytes:
        """An object in any version as it is stored. Raises StatusError."""
        (obj,) = await self.convert([orjson.loads(value)], self.webhook.storage.api_version)
        return encode(obj)

    async def convert(self, objects: Sequence[Obj], api_version: str) -> list[Obj]:
        """Those that are of that version already stay as they are. Raises StatusError."""
        made = list(objects)
        foreign = [index for index, obj in enumerate(made) if obj.get("apiVersion") != api_version]
        for start in range(0, len(foreign), _AT_ONCE):
            some = foreign[start : start + _AT_ONCE]
            for index, obj in zip(some, await self._ask([made[index] for index in some], api_version), strict=True):
                made[index] = obj
        target = self.kinds.get(api_version)
        for index in foreign:
            if target is not None and target.settle is not None:
                target.settle(made[index])
        return made

    async def _ask(self, objects: list[Obj], api_version: str) -> list[Obj]:
        try:
            asked = conversion.review(self.webhook.reviews, str(uuid.uuid4()), api_version, objects)
            try:
                answer = await self.client.post(self.webhook.client, asked, timeout_s=_TIMEOUT_S)
            except NoAnswer as fault:
                raise conversion.failed(objects, str(fault)) from fault
            return conversion.converted(asked, answer)
        except conversion.Refused as fault:
            raise StatusError(str(fault)) from fault
