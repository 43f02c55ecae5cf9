"""What credential provider plugins are told of pods' service accounts (KEP-4412): read from the API server as the node."""

from __future__ import annotations

from steersman.api.resources import SERVICE_ACCOUNTS
from steersman.kubelet.objects import ObjectCache, TokenCache
from steersman.machinery.meta import Obj, namespace_of

_LIFE_S = 3600


class PodAccounts:
    """plugins.Accounts over the kubelet's own caches."""

    def __init__(self, objects: ObjectCache, tokens: TokenCache) -> None:
        self._objects, self._tokens = objects, tokens

    async def account(self, pod: Obj) -> Obj:
        return await self._objects.read(SERVICE_ACCOUNTS, namespace_of(pod), pod["spec"]["serviceAccountName"])

    async def token(self, pod: Obj, audience: str) -> str:
        return await self._tokens.get(pod, [audience], _LIFE_S)
