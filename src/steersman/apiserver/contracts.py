"""The seams inside the API server: who asks, what is asked, and what authentication, authorisation and admission look like.

Lowest module of the package: everything here may import it, it imports none of its siblings but http.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol, runtime_checkable

from steersman.apiserver.http import Request, Response
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj
from steersman.store.interface import Delete, Guard, Put


@dataclass(frozen=True, slots=True)
class UserInfo:
    """Who makes the request (authentication.k8s.io/v1 UserInfo)."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


ANONYMOUS = UserInfo("system:anonymous", groups=("system:unauthenticated",))
LOOPBACK = UserInfo("system:apiserver", groups=("system:masters", "system:authenticated"))
"""The API server's own identity, for its hooks through the in-process transport."""


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """What a URL and method mean. For non-resource paths only verb and path are set."""

    verb: str
    path: str
    is_resource: bool = False
    group: str = ""
    version: str = ""
    namespace: str = ""
    plural: str = ""
    subresource: str = ""
    name: str = ""
    parts: tuple[str, ...] = ()
    """What follows the subresource (proxy paths)."""
    field_selector: str = ""
    """As sent with list, watch and deletecollection: the node authorizer lets a node list the pods it has by it."""
    label_selector: str = ""


class Verdict(Enum):
    ALLOW = "allow"
    DENY = "deny"
    NO_OPINION = "no opinion"


class Authenticator(Protocol):
    async def authenticate(self, request: Request) -> UserInfo:
        """The user, ANONYMOUS when no credentials are given. Raises Unauthorized for bad ones."""


class Authorizer(Protocol):
    async def authorize(self, user: UserInfo, info: RequestInfo) -> tuple[Verdict, str]:
        """The verdict and, if it says more than yes or no, the reason. Must be fast: called on every request."""


def _no_options(_operation: str) -> Obj | None:
    return None


@dataclass(slots=True)
class AdmissionRequest:
    """One write, for admission. `obj` is changed in place by mutating plugins; None for delete. `old` None for create."""

    operation: str
    """CREATE, UPDATE, DELETE, CONNECT."""
    resource: Resource
    subresource: str
    namespace: str
    name: str
    obj: Obj | None
    old: Obj | None
    user: UserInfo
    dry_run: bool = False
    warnings: list[str] = field(default_factory=list)
    audit_annotations: dict[str, str] = field(default_factory=dict)
    """What plugins note for the audit event, by keys of their own domain."""
    changed_from_outside: bool = False
    """Set by who has changed `obj` as webhooks or policies say: all that mutates then runs once more (reinvocationPolicy)."""
    again: bool = False
    """This is that second time."""
    memory: dict[str, object] | None = None
    """What plugins remember from the first time, by their names."""
    options: Callable[[str], Obj | None] = _no_options
    """The options of an operation, as an object of meta.k8s.io/v1: made for who asks for it."""


class AdmissionPlugin(Protocol):
    """One admission controller: it takes part in the phases whose interface it has. Raises a StatusError to refuse."""

    name: str


@runtime_checkable
class MutationInterface(AdmissionPlugin, Protocol):
    async def admit(self, request: AdmissionRequest) -> None: ...


@runtime_checkable
class ValidationInterface(AdmissionPlugin, Protocol):
    async def validate(self, request: AdmissionRequest) -> None: ...


class Lister(Protocol):
    """Decoded objects of one resource, from the watch cache, kept by the server. Shared: never change them."""

    @property
    def version(self) -> int:
        """Changes whenever any object of the resource changes: a key for memoising what is derived."""

    def get(self, namespace: str, name: str) -> Obj | None: ...

    def list(self, namespace: str | None = None) -> list[Obj]: ...

    async def settle(self) -> None:
        """Return when everything that was committed before the call is here. Absence means something only after it."""


class Listers(Protocol):
    def __call__(self, resource: Resource) -> Lister: ...


class StoreHook(Protocol):
    """Work that must be atomic with a write of one kind (service addresses). Called inside the write, before validation.

    new is None on deletion, old None on creation; `new` may be changed in place. Returns guards and ops that join the commit.
    If one of these guards fails, the write calls `prepare` again with fresh copies.
    """

    async def prepare(
        self, new: Obj | None, old: Obj | None, *, dry_run: bool
    ) -> tuple[Sequence[Guard], Sequence[Put | Delete]]: ...


class Dropped(Exception):
    """The server is too busy for this request: 429. `headers` go with the answer."""

    def __init__(self, retry_after_s: int, headers: Mapping[str, str] | None = None) -> None:
        super().__init__("Too many requests, please try again later.")
        self.retry_after_s = retry_after_s
        self.headers = headers or {}


class Seat(Protocol):
    """What a request needs to be served. `headers` go with its answer."""

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def waits(self) -> bool:
        """Whether it is not its turn yet."""

    async def granted(self, limit_s: float) -> None:
        """Return when it is. Raises Dropped when it takes longer than that."""

    def leave(self) -> None:
        """The request is served, or (a watch) has begun. More than once does no harm."""


class FlowControl(Protocol):
    """Keeps the server from doing more at once than it can."""

    def admit(self, request: Request, info: RequestInfo, user: UserInfo) -> Seat:
        """Called for every request but long-running ones other than watches. Must be fast. Raises Dropped."""


Joining = tuple[Sequence[Guard], Sequence[Put | Delete]]
"""Guards and operations that join a commit."""


class Charging(Protocol):
    """What an object costs its namespace (ResourceQuota): asked last on create and update, of what all others have accepted."""

    def concerns(self, request: AdmissionRequest) -> bool:
        """Whether anything may have to be paid. Cheap: asked on every write."""

    def charged(self, request: AdmissionRequest) -> AbstractAsyncContextManager[Joining]:
        """The commit belongs inside, with what this gives. Raises Forbidden when it is too much.

        If a guard of it fails, somebody else has paid meanwhile: enter again.
        """


Explain = Callable[[UserInfo, RequestInfo], str]
"""Why an Authorizer allows something, in upstream's words; empty if there is no more to say."""


class Trail(Protocol):
    """What is recorded of one request (audit/trail.py). `id`: that of its events, and of its Audit-Id header."""

    id: str
    annotations: dict[str, str]

    def impersonates(self, user: UserInfo, constraint: str) -> None:
        """From here on the request is that user's. constraint: the verb by which, empty for the legacy way."""

    def decided(self, user: UserInfo, asked: RequestInfo, allowed: bool, reason: str) -> None:
        """What the authorizer has said."""

    def requested(self, obj: Obj) -> None:
        """The object that was sent, decoded."""

    def answered(self, response: Response, long_running: bool) -> None:
        """The answer is known. If it is streamed, `completed` follows at its end."""

    def completed(self) -> None: ...

    def panicked(self, fault: BaseException) -> None:
        """The request has met a bug; `answered` says nothing more."""


class Auditing(Protocol):
    def begin(self, request: Request, info: RequestInfo, user: UserInfo) -> Trail | None:
        """None for a request of which nothing is recorded. Must be fast: called on every request."""


@dataclass(slots=True)
class Call:
    """A routed, authorised request, as handlers of virtual kinds and special subresources get it."""

    request: Request
    info: RequestInfo
    user: UserInfo


CallHandler = Callable[[Call], Awaitable[Response]]
"""Serves one (group, plural, subresource, method) that the generic path does not: reviews, tokens, bindings, exec ..."""
