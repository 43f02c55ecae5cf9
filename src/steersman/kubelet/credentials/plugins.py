"""Credential provider plugins: programs of the node that are asked, image by image, for credentials; and what they said is kept.

A plugin that fails is told in one line of the log, and the image is pulled without what it would have said, as upstream does.
Source: KEP-2133, KEP-4412; upstream pkg/credentialprovider/plugin/plugin.go.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from steersman.cri.messages import RegistryAuth
from steersman.kubelet.credentials.configuration import Provider
from steersman.kubelet.credentials.keyring import Keyring, matches, repository
from steersman.machinery import duration, programs
from steersman.machinery.clock import Clock
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Obj, dig
from steersman.machinery.waiting import Locks, within

log = logging.getLogger(__name__)

TIMEOUT_S = 60.0
_REQUEST, _RESPONSE = "CredentialProviderRequest", "CredentialProviderResponse"
_STDERR_SHOWN = 200


class PluginFailed(Exception):
    """Why there are no credentials, in one line."""


class Accounts(Protocol):
    """What plugins may be told of pods' service accounts. Both raise StatusError and ConnectionError."""

    async def account(self, pod: Obj) -> Obj:
        """The pod's ServiceAccount."""

    async def token(self, pod: Obj, audience: str) -> str:
        """A token of it, bound to the pod."""


Run = Callable[..., Awaitable[programs.Outcome]]


@dataclass(frozen=True, slots=True)
class _Identity:
    """The service account in a request, and as a part of keys under which answers are kept."""

    fields: Mapping[str, Any]
    key: str = ""


@dataclass(slots=True)
class _Kept:
    auths: Mapping[str, RegistryAuth]
    until_s: float


class Plugin:
    """One provider."""

    def __init__(self, provider: Provider, clock: Clock, accounts: Accounts | None = None, run: Run = programs.run) -> None:
        self.provider, self._clock, self._accounts, self._run = provider, clock, accounts, run
        self._kept: dict[tuple[str, str, str], _Kept] = {}
        self._locks: Locks[tuple[str, str]] = Locks()

    def is_for(self, image: str) -> bool:
        return any(matches(place, image) for place in self.provider.match_images)

    async def ask(self, image: str, pod: Obj | None) -> Mapping[str, RegistryAuth]:
        """Credentials by place for a repository, from the cache if they are there. Raises PluginFailed."""
        identity = await self._identity(pod)
        if identity is None:
            return {}
        # Who wants the same at once, asks once.
        async with self._locks[image, identity.key]:
            kept = self._find(image, identity.key)
            return kept if kept is not None else await self._fresh(image, identity)

    def _find(self, image: str, identity: str) -> Mapping[str, RegistryAuth] | None:
        now_s = self._clock.monotonic()
        for key in [key for key, kept in self._kept.items() if kept.until_s <= now_s]:
            del self._kept[key]
        for kind, of in _cache_keys(image).items():
            kept = self._kept.get((kind, of, identity))
            if kept is not None:
                return kept.auths
        return None

    async def _fresh(self, image: str, identity: _Identity) -> Mapping[str, RegistryAuth]:
        answer = await self._execute(image, identity)
        kind, auths, keep_s = _understood(answer, self.provider)
        if keep_s > 0:
            key = kind, _cache_keys(image)[kind], identity.key
            self._kept[key] = _Kept(auths, self._clock.monotonic() + keep_s)
        return auths

    async def _identity(self, pod: Obj | None) -> _Identity | None:
        """None: the plugin is only for pods with a service account, and this is none. Raises PluginFailed."""
        wanted = self.provider.token
        if wanted is None:
            return _Identity({})
        name = dig(pod or {}, "spec", "serviceAccountName", default="")
        if self._accounts is None or pod is None or not name:
            return None if wanted.required else _Identity({})
        try:
            account = await self._accounts.account(pod)
            token = await self._accounts.token(pod, wanted.audience)
        except (StatusError, ConnectionError) as error:
            raise PluginFailed(f'no token of service account "{name}" for the plugin {self.provider.name}: {error}') from error
        annotations: Mapping[str, str] = dig(account, "metadata", "annotations", default=None) or {}
        missing = [key for key in wanted.required_keys if key not in annotations]
        if missing:
            raise PluginFailed(f'service account "{name}" lacks the annotation {missing[0]}, which {self.provider.name} requires')
        shown = {key: annotations[key] for key in (*wanted.required_keys, *wanted.optional_keys) if key in annotations}
        what: Any = (
            token if wanted.cache_type == "Token" else [account["metadata"].get(each) for each in ("namespace", "name", "uid")]
        )
        key = hashlib.sha256(orjson.dumps([what, shown], option=orjson.OPT_SORT_KEYS)).hexdigest()
        return _Identity({"serviceAccountToken": token, "serviceAccountAnnotations": shown}, key)

    async def _execute(self, image: str, identity: _Identity) -> bytes:
        provider, outcomes = self.provider, list[programs.Outcome]()
        request = {"apiVersion": provider.api_version, "kind": _REQUEST, "image": image, **identity.fields}
        lead = f"error execing credential provider plugin {provider.name} for image {image}"

        async def execute() -> None:
            argv = [provider.program, *provider.args]
            outcomes.append(await self._run(argv, stdin=orjson.dumps(request), env={**os.environ, **dict(provider.env)}))

        try:
            if not await within(self._clock, TIMEOUT_S, execute):
                raise PluginFailed(f"{lead}: no answer within {TIMEOUT_S:g}s")
        except OSError as error:
            raise PluginFailed(f"{lead}: {error.strerror or error}") from error
        (outcome,) = outcomes
        if outcome.code:
            said = outcome.stderr.decode(errors="replace").strip().partition("\n")[0][:_STDERR_SHOWN]
            raise PluginFailed(f"{lead}: exit status {outcome.code}{': ' if said else ''}{said}")
        return outcome.stdout


def _cache_keys(image: str) -> Mapping[str, str]:
    """For what an answer of each cacheKeyType is kept, the most particular first."""
    return {"Image": image, "Registry": image.partition("/")[0], "Global": ""}


def _understood(data: bytes, provider: Provider) -> tuple[str, Mapping[str, RegistryAuth], float]:
    """(cacheKeyType, credentials by place, seconds to keep them). Raises PluginFailed."""
    lead = f"credential provider plugin {provider.name}"
    try:
        answer = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise PluginFailed(f"{lead} did not answer with JSON") from None  # nothing of it is shown: it may hold a password
    if not isinstance(answer, dict) or answer.get("kind") != _RESPONSE:
        found = answer.get("kind") if isinstance(answer, dict) else ""
        raise PluginFailed(f'{lead}: failed to decode {_RESPONSE}, unexpected Kind: "{found or ""}"')
    if answer.get("apiVersion") != provider.api_version:
        text = f"expected apiVersion:{provider.api_version}, actual apiVersion:{answer.get('apiVersion')}"
        raise PluginFailed(f"{lead}: apiVersion from credential plugin response did not match {text}")
    kind = str(answer.get("cacheKeyType") or "")
    if kind not in _cache_keys(""):
        raise PluginFailed(f'{lead} did not return a valid cacheKeyType: "{kind}"')
    try:
        keep = answer.get("cacheDuration")
        keep_s = provider.default_cache_s if keep is None else duration.parse_go(keep)
        auths = {str(place): RegistryAuth(_text(each, "username"), _text(each, "password")) for place, each in _entries(answer)}
    except (TypeError, ValueError, AttributeError) as error:
        raise PluginFailed(f"{lead}: failed to decode {_RESPONSE}: {type(error).__name__}") from None
    return kind, auths, keep_s


def _entries(answer: Obj) -> Sequence[tuple[str, Obj]]:
    return list((answer.get("auth") or {}).items())


def _text(entry: Obj, key: str) -> str:
    found = entry.get(key, "")
    if not isinstance(found, str):
        raise TypeError(key)
    return found


class Plugins:
    """All of a node's, in their order."""

    def __init__(self, plugins: Sequence[Plugin] = ()) -> None:
        self._plugins = plugins

    async def lookup(self, image: str, pod: Obj | None = None) -> list[RegistryAuth]:
        """What they have for the image."""
        wanted = repository(image)
        found: dict[str, RegistryAuth] = {}
        for plugin in self._plugins:
            if not plugin.is_for(wanted):
                continue
            try:
                auths = await plugin.ask(wanted, pod)
            except PluginFailed as error:
                log.error(
                    "failed getting credentials from a credential provider provider=%s error=%s", plugin.provider.name, error
                )
                continue
            for place, auth in auths.items():
                found.setdefault(place, auth)  # of two that say something of a place, the earlier
        keyring = Keyring()
        for place, auth in found.items():
            keyring.add(place, auth)
        return keyring.lookup(wanted)
