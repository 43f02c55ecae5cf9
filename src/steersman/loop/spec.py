"""What a controller is: a name, what it watches, and a pure function from (snapshot, key, now) to a Decision.

The runner (runner.py) feeds informers, queues keys, calls `reconcile`, performs the actions, and retries failed keys with
back-off. It does not reconcile a key again before its informers have seen what the key's last turn wrote, so controllers
need no expectations of their own. Nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeAlias

from steersman.machinery.gvk import Resource
from steersman.machinery.labels import Selector
from steersman.machinery.meta import Key, Obj

Objs: TypeAlias = list[Obj]


class Snapshot(Protocol):
    """A read-only view of the informers' caches. Objects are shared: never change them."""

    def get(self, resource: Resource, namespace: str, name: str) -> Obj | None: ...

    def list(self, resource: Resource, namespace: str | None = None, selector: Selector | None = None) -> Objs:
        """All objects, of one namespace if given, whose labels match."""

    def owned_by(self, resource: Resource, uid: str) -> Objs:
        """Objects whose controller owner reference has that uid (indexed)."""

    def indexed(self, resource: Resource, index: str, value: str) -> Objs:
        """Objects for which the Watch's index function of that name gave that value."""

    def find_uid(self, uid: str) -> tuple[Resource, Obj] | None:
        """An object of any watched resource by uid. Only where the controller has `discovered` watches."""

    def dependents(self, uid: str) -> Sequence[tuple[Resource, Obj]]:
        """Objects of any watched resource with an owner reference to that uid. Only with `discovered` watches."""

    def resources(self) -> Sequence[Resource]:
        """All resources discovery shows that can be listed, watched and deleted. Only with `discovered` watches."""


# --- what a controller may ask for -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Create:
    """Creates next to each other with the same `batch` go out in slow-start batches (1, 2, 4, ...), stopping at an error."""

    resource: Resource
    obj: Obj
    batch: str = ""


@dataclass(frozen=True, slots=True)
class Update:
    """PUT; a Conflict requeues the key."""

    resource: Resource
    obj: Obj
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Patch:
    resource: Resource
    namespace: str
    name: str
    patch: Obj | Sequence[Obj]
    kind: str = "merge"
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Delete:
    """uid and resource_version are preconditions. NotFound counts as done."""

    resource: Resource
    namespace: str
    name: str
    uid: str = ""
    resource_version: str = ""
    grace_period_s: int | None = None
    propagation: str = ""
    batch: str = ""


@dataclass(frozen=True, slots=True)
class Fetch:
    """A live GET, where a cache may not be trusted (owners before a deletion). The result's error may be NotFound."""

    resource: Resource
    namespace: str
    name: str
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class FetchList:
    """A live LIST, of what cannot be watched (metrics). The result's obj is the List; its error may be NotFound: not served."""

    resource: Resource
    namespace: str
    label_selector: str = ""


@dataclass(frozen=True, slots=True)
class Emit:
    """Record an event about an object."""

    about: Obj
    type: str
    reason: str
    message: str
    related: Obj | None = None
    action: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """Work outside the API, at a cloud provider: the runner awaits `do()`, whose answer is the result's `value`.

    `what` names it for logs and tests.
    """

    what: str
    do: Callable[[], Awaitable[Any]]


Action: TypeAlias = Create | Update | Patch | Delete | Fetch | FetchList | Emit | Call


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an action: the server's object (a Call's `value`), or the error.

    `skipped`: an earlier one of its batch failed.
    """

    action: Action
    obj: Obj | None = None
    error: Exception | None = None
    skipped: bool = False
    value: Any = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Actions in order; then `then(results)` gives more (events, status), which may go on in turn. A failed action (other
    than NotFound for Delete, Fetch, FetchList) requeues the key with back-off after `then` has run. `again_after_s`: look at
    the key again that much later.
    """

    actions: Sequence[Action] = ()
    then: Callable[[Sequence[Result]], Decision] | None = None
    again_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Watch:
    """A resource the controller reads. keys(obj) maps an object (old and new are both given) to queue keys; empty = read only.

    `indexes`: name -> function giving the values an object is found under by Snapshot.indexed.
    """

    resource: Resource
    keys: Callable[[Obj], Iterable[Key]] | None = None
    indexes: dict[str, Callable[[Obj], Iterable[str]]] = field(default_factory=dict)
    keys_with: Callable[[Obj, Snapshot], Iterable[Key]] | None = None
    """Like `keys`, when the mapping needs the caches (a pod to the services that select it)."""
    field_selector: str = ""
    metadata_only: bool = False
    """The controller looks at nothing but metadata: no whole objects are held for its sake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerSpec:
    """A controller. `every_s`: all keys of `periodic(snapshot)` are queued that often."""

    name: str
    watches: tuple[Watch, ...]
    reconcile: Callable[[Snapshot, Key, datetime], Decision]
    workers: int = 5
    reports_as: str = ""
    """The source its events name, where upstream's recorder has another name than the controller."""
    every_s: float | None = None
    periodic: Callable[[Snapshot], Iterable[Key]] | None = None
    max_retries: int | None = None
    retry_s: tuple[float, float] = (0.005, 1000.0)
    """The first pause before a failed key's next try, which doubles, and the longest."""
    discovered: Callable[[Sequence[Resource]], tuple[Watch, ...]] | None = None
    """More watches, made from what discovery shows (metadata only); asked again every 30 s. For garbage collection and quotas."""
