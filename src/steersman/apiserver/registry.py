"""The one registry of served kinds: built-in kinds and CRDs alike are a KindSpec installed here.

Holds, per served (group, version, plural), what requests need: the spec, the bytes that frame its objects, its watch cache,
and what others have hung on it (store hooks, handlers of virtual kinds and special subresources).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from steersman.api.kinds import KindSpec
from steersman.apiserver.contracts import CallHandler, Lister, StoreHook
from steersman.apiserver.storage import Form, RawForm, Stored, head_of
from steersman.apiserver.watchcache.cache import WatchCache
from steersman.apiserver.watchcache.feed import Feed
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj


def _same(obj: Obj) -> Obj:
    return obj


def _nothing() -> None: ...


class Served:
    """A served kind of one version. `cache` is shared by all versions of the kind; None for virtual kinds."""

    __slots__ = (
        "spec", "resource", "head", "list_head", "_cache", "_form", "convert", "hooks", "bare_items", "events_sent",
        "deprecated_uses",
    )  # fmt: skip

    def __init__(
        self,
        spec: KindSpec,
        cache: WatchCache | None,
        hooks: list[StoreHook],
        *,
        bare_items: bool,
        form: Form | None = None,
    ) -> None:
        self.spec = spec
        self.resource = spec.resource
        self.head = head_of(spec.kind, spec.resource.api_version)
        self.list_head = head_of(spec.list_kind_name, spec.resource.api_version)
        self._cache = cache
        self._form = form
        self.convert: Callable[[Obj], Obj] | None = spec.conversion.from_storage if spec.conversion else None
        self.hooks = hooks
        self.bare_items = bare_items
        self.events_sent = 0
        """To watchers."""
        self.deprecated_uses: set[str] = set()
        """Subresources (empty: the kind itself) that were asked for although they are deprecated."""

    @property
    def cache(self) -> WatchCache:
        assert self._cache is not None, f"{self.resource.qualified} is never stored"
        return self._cache

    @property
    def stored(self) -> bool:
        return self._cache is not None

    @property
    def form(self) -> Form:
        """How objects look that are written now. Those in the cache may still have the form before."""
        return self._form or self.cache.form

    def key(self, namespace: str, name: str) -> str:
        return self.form.key(namespace, name)

    def tail(self, stored: Stored) -> bytes:
        """The object's bytes in this version, after the head."""
        return stored.tail if self.convert is None else stored.view(self.head, self.convert)

    def body(self, stored: Stored) -> bytes:
        return self.head + self.tail(stored)

    def decode(self, stored: Stored) -> Obj:
        """The object in this version: the caller's own."""
        obj = stored.decode()
        return obj if self.convert is None else {**self.convert(obj)}

    def peek(self, stored: Stored) -> Obj:
        """As `decode`, where the object is only read, not shown: managedFields may be missing."""
        return stored.peek() if self.convert is None else self.convert(stored.decode())

    def to_storage(self, obj: Obj) -> Obj:
        return obj if self.spec.conversion is None else self.spec.conversion.to_storage(obj)


Derive = Callable[[WatchCache, Form, Mapping[str, KindSpec], WatchCache | None], WatchCache]
"""The cache of a version that a webhook converts: from the cache of what is stored, the version's form, all versions by
apiVersion, and the cache that the version has had, which is taken again if it would be the same."""


class Registry:
    """What is served. `generation` grows with every change, for those who derive documents from it (discovery, OpenAPI)."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._served: dict[tuple[str, str, str], Served] = {}
        self._calls: dict[tuple[str, str, str], dict[str, CallHandler]] = {}
        self._hooks: dict[tuple[str, str], list[StoreHook]] = {}
        self._versions: dict[tuple[str, str], int] = {}
        self.generation = 0
        self.changed: Callable[[], None] = _nothing
        """Called when what is served has changed."""
        self.derive: Derive | None = None
        """Who serves the custom resources (crd/) says how."""

    @property
    def revision(self) -> int:
        """How far everything is that is served."""
        return self._feed.revision

    def install(self, spec: KindSpec, *, builtin: bool = True) -> Served:
        """Serve a kind from now on. Its objects are loaded in the background; requests wait for that."""
        resource = spec.resource
        stored_as = spec.conversion.storage if spec.conversion else resource
        cache = None if spec.virtual else self._feed.open(Form(stored_as, {} if spec.conversion else spec.selectable))
        if cache is not None and spec.conversion:
            cache.form.learn(spec.selectable, spec.conversion.from_storage)
        elif cache is not None:
            cache.form.learn(spec.selectable, _same)
        hooks = self._hooks.setdefault((resource.group, resource.plural), [])
        served = Served(spec, cache, hooks, bare_items=builtin)
        self._put(served)
        return served

    def serve(self, group: str, plural: str, specs: Sequence[KindSpec]) -> None:
        """Serve exactly these versions of a custom resource from now on. Built-in kinds are left as they are."""
        present = [
            served for served in self._served.values() if (served.resource.group, served.resource.plural) == (group, plural)
        ]
        if any(served.bare_items for served in present):
            return
        if specs:
            first = specs[0]
            fields = {label: pick for spec in specs for label, pick in spec.selectable.items()}
            form = Form(first.storage, fields, first.read) if first.webhook is None else RawForm(first.storage)
            cache = self._opened(form)
            hooks = self._hooks.setdefault((group, plural), [])
            for spec in specs:
                if spec.webhook is None:
                    self._put(Served(spec, cache, hooks, bare_items=False, form=form))
                else:
                    self._put(self._converted(spec, specs, cache, hooks))
        wanted = {spec.resource.version for spec in specs}
        for served in present:
            if served.resource.version not in wanted:
                self.uninstall(group, served.resource.version, plural)

    def _opened(self, form: Form) -> WatchCache:
        """The cache of a custom resource, or one that will look so."""
        cache = self._feed.open(form)
        if type(cache.form_to_be) is not type(form):
            # Nobody could read the one as the other, not even for a moment.
            self._feed.close(cache)
            return self._feed.open(form)
        if not form.same(cache.form_to_be):
            self._feed.reform(cache, form)
        return cache

    def _converted(self, spec: KindSpec, specs: Sequence[KindSpec], source: WatchCache, hooks: list[StoreHook]) -> Served:
        assert self.derive is not None, "a custom resource before there is anybody who serves them"
        resource = spec.resource
        before = self._served.get((resource.group, resource.version, resource.plural))
        kinds = {it.resource.api_version: it for it in specs}
        cache = self.derive(source, Form(resource, spec.selectable), kinds, before.cache if before is not None else None)
        return Served(spec, cache, hooks, bare_items=False)

    def _put(self, served: Served) -> None:
        key = (served.resource.group, served.resource.version, served.resource.plural)
        before = self._served.get(key)
        if before is None:
            self._versions[key[:2]] = self._versions.get(key[:2], 0) + 1
        elif before.stored and before.cache.lags and before.cache is not served.cache:
            before.cache.close()
        self._served[key] = served
        self.touch()

    def uninstall(self, group: str, version: str, plural: str) -> None:
        """Serve that kind no longer; its watches end when no other version is left."""
        served = self._served.pop((group, version, plural), None)
        if served is None:
            return
        self._versions[(group, version)] -= 1
        if not self._versions[(group, version)]:
            del self._versions[(group, version)]
        if served.stored:
            if served.cache.lags:
                served.cache.close()
            source = served.cache.source
            if not any(other.stored and other.cache.source is source for other in self._served.values()):
                self._feed.close(source)
        self.touch()

    def touch(self) -> None:
        """What clients are told of the server is no longer so."""
        self.generation += 1
        self.changed()

    def lookup(self, group: str, version: str, plural: str) -> Served | None:
        return self._served.get((group, version, plural))

    def knows_version(self, group: str, version: str) -> bool:
        return (group, version) in self._versions

    @property
    def specs(self) -> tuple[KindSpec, ...]:
        return tuple(served.spec for served in self._served.values())

    @property
    def served(self) -> Sequence[Served]:
        return tuple(self._served.values())

    def lister(self, resource: Resource) -> Lister:
        """contracts.Listers: decoded objects of a stored resource, in its stored version."""
        served = self._served.get((resource.group, resource.version, resource.plural))
        if served is None:
            raise KeyError(f"{resource.qualified} is not served")
        return served.cache

    def add_hook(self, resource: Resource, hook: StoreHook) -> None:
        """Join every write of that resource, in all its versions."""
        self._hooks.setdefault((resource.group, resource.plural), []).append(hook)

    def handle(self, group: str, plural: str, subresource: str, method: str, handler: CallHandler) -> None:
        """Let `handler` serve a method (`POST`, or `*`) of a virtual kind or of a subresource."""
        self._calls.setdefault((group, plural, subresource), {})[method] = handler

    def handler(self, group: str, plural: str, subresource: str, method: str) -> CallHandler | None:
        found = self._calls.get((group, plural, subresource))
        return None if found is None else found.get(method) or found.get("*")


@runtime_checkable
class Attached(Protocol):
    """An admission plugin that needs to know of kinds what no lister tells: their other versions, schemas, defaults."""

    def attach(self, registry: Registry) -> None:
        """Called once, before the server answers."""
