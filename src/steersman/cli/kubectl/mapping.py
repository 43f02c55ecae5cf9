"""REST mapping: from what people write (`po`, `deploy`, `ingresses.networking.k8s.io`) and what objects say to resources.

What the server serves is asked once in six hours and kept in ~/.kube/cache/discovery (or $KUBECACHEDIR, --cache-dir), per
server. A word that is not found makes it be asked again. Source: upstream client-go restmapper, discovery/cached/disk.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import orjson

from steersman.cli.kubectl.errors import KubectlError
from steersman.client.discovery import Discovered, discover
from steersman.client.interface import Client
from steersman.machinery.clock import Clock
from steersman.machinery.errors import Unauthorized
from steersman.machinery.gvk import Resource, api_version
from steersman.machinery.meta import Obj

CACHE_LIFE = timedelta(hours=6)

Mapping = Discovered
"""A resource as the server described it: `.resource` (group, version, plural, namespaced, kind), `.short_names`, `.verbs` …"""


class NoMatch(KubectlError):
    """No resource by that name, or no such kind."""


class Mapper:
    """`cache` is the file to keep discovery in, None to keep it in memory only."""

    def __init__(self, client: Client, clock: Clock, cache: Path | None) -> None:
        self._client, self._clock, self._cache = client, clock, cache
        self._served: list[Mapping] | None = None
        self._fresh = False

    async def all(self, *, fresh: bool = False) -> list[Mapping]:
        """Everything served, in the server's order. `fresh`: ask the server even if the answer is kept."""
        if self._served is None and not fresh:
            self._served = self._read()
        if self._served is None or (fresh and not self._fresh):
            try:
                self._served = await discover(self._client)
            except Unauthorized:
                # Upstream's discovery tells the answer's code in its own words, whatever the server said.
                reason = "the server has asked for the client to provide credentials"
                raise KubectlError(f"You must be logged in to the server ({reason})") from None
            self._fresh = True
            self._write(self._served)
        return self._served

    async def for_argument(self, word: str) -> Mapping:
        """The resource a person means: plural, singular, short name or kind; also `plural.group` and `plural.version.group`."""
        return await self._find(
            lambda served: _by_word(served, word), NoMatch(f'the server doesn\'t have a resource type "{word.partition(".")[0]}"')
        )

    async def for_kind(self, group: str, version: str, kind: str) -> Mapping:
        """The resource that serves a kind; with an empty version the one its group prefers."""

        def fits(item: Mapping) -> bool:
            at = item.resource
            return at.kind == kind and at.group == group and (at.version == version if version else item.preferred)

        where = api_version(group, version)
        return await self._find(
            lambda served: next(filter(fits, served), None), NoMatch(f'no matches for kind "{kind}" in version "{where}"')
        )

    async def category(self, name: str) -> list[Mapping]:
        """The resources of a category (`all`), each once, in the server's order; empty if there is no such category."""
        found: dict[tuple[str, str], Mapping] = {}
        for item in await self.all():
            if name in item.categories and item.preferred:
                found.setdefault((item.resource.group, item.resource.plural), item)
        return list(found.values())

    async def _find(self, search: Callable[[list[Mapping]], Mapping | None], missing: NoMatch) -> Mapping:
        found = search(await self.all())
        if found is None and not self._fresh:
            found = search(await self.all(fresh=True))
        if found is None:
            raise missing
        return found

    def _read(self) -> list[Mapping] | None:
        if self._cache is None:
            return None
        try:
            age_s = self._clock.now().timestamp() - self._cache.stat().st_mtime
            if not 0 <= age_s < CACHE_LIFE.total_seconds():
                return None
            return [_unpacked(*row) for row in orjson.loads(self._cache.read_bytes())]
        except (OSError, ValueError, TypeError):
            return None

    def _write(self, served: list[Mapping]) -> None:
        """A cache that can't be written is no reason to fail: a read-only home is normal in containers."""
        if self._cache is None:
            return
        draft = self._cache.with_name(f".{self._cache.name}.{os.getpid()}")
        try:
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(orjson.dumps([_packed(item) for item in served]))
            draft.replace(self._cache)
        except OSError:
            pass


def cache_file(directory: Path, server: str) -> Path:
    """Where discovery of a server is kept, below the cache directory."""
    host = re.sub(r"[^A-Za-z0-9.]", "_", server.partition("://")[2] or server)
    return directory / "discovery" / host / "steersman-resources.json"


def _by_word(served: Iterable[Mapping], word: str) -> Mapping | None:
    """Plurals and singulars of all groups come before short names: a short name must not hide a resource."""
    lowered = word.lower()
    name, _, rest = lowered.partition(".")
    short: Mapping | None = None
    kind: Mapping | None = None
    for item in served:
        at = item.resource
        names = (at.plural, item.singular or at.kind.lower())
        if (not rest and item.preferred and lowered in names) or (rest and name in names and _qualifies(item, rest)):
            return item
        if short is None and item.preferred and name in item.short_names and (not rest or _qualifies(item, rest)):
            short = item
        if kind is None and at.kind == word.partition(".")[0] and (_qualifies(item, rest) if rest else item.preferred):
            kind = item
    return short or kind


def _qualifies(item: Mapping, rest: str) -> bool:
    """`apps`, `v1.apps`, or `v1.` for the core group."""
    at = item.resource
    if rest == f"{at.version}.{at.group}" or (rest == at.group and item.preferred):
        return True
    # A group may be cut short: `ingresses.networking` is upstream's shorthand.
    return bool(at.group) and item.preferred and at.group.startswith(f"{rest}.")


def _packed(item: Mapping) -> list[object]:
    words = (item.singular, item.short_names, item.categories, item.subresources)
    return [list(item.resource), sorted(item.verbs), *words, item.preferred]


def _unpacked(
    resource: list[str],
    verbs: list[str],
    singular: str,
    short: list[str],
    categories: list[str],
    subs: list[str],
    preferred: bool,
) -> Mapping:
    group, version, plural, namespaced, kind = resource
    return Discovered(
        Resource(group, version, plural, bool(namespaced), kind),
        frozenset(verbs), singular, tuple(short), tuple(categories), tuple(subs), preferred,
    )  # fmt: skip


class Target(NamedTuple):
    """One request's worth: a name, or (without one) a whole collection in a namespace or in all."""

    mapping: Mapping
    namespace: str = ""
    name: str = ""
    source: str = ""
    obj: Obj | None = None
