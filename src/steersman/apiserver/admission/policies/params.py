"""The parameters that a binding hands to a policy: objects of any served kind, custom resources too.

They are read from the watch caches; that one is missing is believed only when its cache is level with the store.
Source: upstream apiserver pkg/admission/plugin/policy/generic.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from steersman.apiserver.admission.policies.kinds import Kinds
from steersman.apiserver.registry import Served
from steersman.apiserver.watchcache.cache import WatchCache
from steersman.machinery import labels
from steersman.machinery.gvk import split_api_version
from steersman.machinery.meta import Obj, labels_of

_PATIENCE_S = 1.0
_NOTHING: Sequence[Obj | None] = (None,)


class ConfigurationFault(Exception):
    """A policy or binding that cannot be used for this request; the text is upstream's."""


def param_served(kind: Obj, kinds: Kinds) -> Served:
    """Where parameters of a kind are. Raises ConfigurationFault."""
    version, name = str(kind.get("apiVersion") or ""), str(kind.get("kind") or "")
    found = kinds.of(version, name)
    if found is None or not found.stored:
        raise ConfigurationFault(f"failed to find resource referenced by paramKind: '{_gvk(version, name)}'")
    return found


async def collect(served: Served | None, reference: Obj | None, namespace: str) -> Sequence[Obj | None]:
    """One for each time that the policy is to be evaluated; None is no parameter. namespace: the request's.

    served: None for policies without a paramKind. Raises ConfigurationFault.
    """
    if served is None or reference is None:
        return _NOTHING
    where = str(reference.get("namespace") or "")
    if served.resource.namespaced:
        where = where or namespace
        if not where:
            text = "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
            raise ConfigurationFault(text)
    elif where:
        raise ConfigurationFault("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
    cache = served.cache
    if not cache.loaded:
        await _loaded(served)
    found = await _named(cache, where, str(reference["name"])) if reference.get("name") else _selected(cache, where, reference)
    if not found and reference.get("parameterNotFoundAction") == "Deny":
        raise ConfigurationFault("no params found for policy binding with `Deny` parameterNotFoundAction")
    return [_in_version(served, obj) for obj in found]


async def _loaded(served: Served) -> None:
    """Raises ConfigurationFault for what takes too long: a definition made a moment ago, or one whose webhook is not there."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await served.cache.ready.wait()
    except TimeoutError:
        text = f"paramKind kind `{_gvk(served.resource.api_version, served.spec.kind)}` not yet synced to use for admission"
        raise ConfigurationFault(text) from None


def _gvk(api_version: str, kind: str) -> str:
    group, version = split_api_version(api_version)
    return f"{group}/{version}, Kind={kind}"


async def _named(cache: WatchCache, namespace: str, name: str) -> list[Obj]:
    found = cache.get(namespace, name)
    if found is None:
        await cache.settle()
        found = cache.get(namespace, name)
    return [] if found is None else [found]


def _selected(cache: WatchCache, namespace: str, reference: Obj) -> list[Obj]:
    selector = labels.from_label_selector(reference.get("selector") or {})
    return [obj for obj in cache.list(namespace or None) if selector.matches(labels_of(obj))]


def _in_version(served: Served, obj: Obj) -> Obj:
    """As the policy's paramKind has it."""
    seen = obj if served.convert is None else served.convert(obj)
    return {**seen, "apiVersion": served.resource.api_version, "kind": served.spec.kind}
