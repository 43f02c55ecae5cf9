"""Files made from ConfigMaps, Secrets, downward API items and tokens: shared by the plain and the projected volumes."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from steersman.api.resources import CONFIG_MAPS, SECRETS
from steersman.kubelet import pods, security
from steersman.kubelet.downward import field_value
from steersman.kubelet.resources import resource_field
from steersman.kubelet.volumes.atomic import File
from steersman.kubelet.volumes.base import Request, VolumeFault
from steersman.machinery.meta import Obj, namespace_of


def keyed(contents: Mapping[str, bytes], items: Sequence[Obj] | None, mode: int, optional: bool, kind: str) -> dict[str, File]:
    """All keys, or those picked by `items` under their paths. kind: `config` or `secret`, for the message."""
    if not items:
        return {key: File(value, mode) for key, value in contents.items()}
    files = {}
    for item in items:
        if item["key"] not in contents:
            if optional:
                continue
            raise VolumeFault(f"references non-existent {kind} key: {item['key']}")
        wanted = item.get("mode")
        files[item["path"]] = File(contents[item["key"]], mode if wanted is None else wanted)
    return files


async def config_map_files(request: Request, name: str, source: Obj, mode: int) -> dict[str, File]:
    found = await request.objects.get(CONFIG_MAPS, namespace_of(request.pod), name, request.pod_uid)
    optional = bool(source.get("optional"))
    if found is None:
        if optional:
            return {}
        raise VolumeFault(f'configmap "{name}" not found')
    contents = {key: value.encode() for key, value in (found.get("data") or {}).items()}
    contents |= {key: base64.b64decode(value) for key, value in (found.get("binaryData") or {}).items()}
    return keyed(contents, source.get("items"), mode, optional, "config")


async def secret_files(request: Request, name: str, source: Obj, mode: int) -> dict[str, File]:
    found = await request.objects.get(SECRETS, namespace_of(request.pod), name, request.pod_uid)
    optional = bool(source.get("optional"))
    if found is None:
        if optional:
            return {}
        raise VolumeFault(f'secret "{name}" not found')
    contents = {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}
    return keyed(contents, source.get("items"), mode, optional, "secret")


def downward_files(request: Request, items: Sequence[Obj], mode: int) -> dict[str, File]:
    files = {}
    for item in items:
        try:
            if ref := item.get("fieldRef"):
                text = field_value(request.pod, ref["fieldPath"])
            else:
                text = resource_field(request.pod, None, item["resourceFieldRef"], request.allocatable)
        except ValueError as error:
            raise VolumeFault(str(error)) from None
        wanted = item.get("mode")
        files[item["path"]] = File(text.encode(), mode if wanted is None else wanted)
    return files


async def token_files(request: Request, source: Obj, mode: int) -> dict[str, File]:
    """The token is private to the user the containers run as, if it is the same for all, and to the pod's group, if any."""
    audience = source.get("audience")
    expiration_s = source.get("expirationSeconds") or 3600
    token = await request.tokens.get(request.pod, [audience] if audience else [], expiration_s)
    users = {security.effective(request.pod, spec, "runAsUser") for spec in pods.all_containers(request.pod)}
    owner = users.pop() if len(users) == 1 else None
    if owner is not None or request.fs_group is not None:
        mode = 0o600
    return {source["path"]: File(token.encode(), mode, owner)}
