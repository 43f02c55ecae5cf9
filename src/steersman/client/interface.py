"""The client's seams: Transport (bytes to a server and back) and Client (verbs on resources)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj


@dataclass(slots=True)
class Answer:
    """A whole response."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class StreamAnswer(Protocol):
    """A response whose body is read as it comes."""

    status: int

    def chunks(self) -> AsyncIterator[bytes]: ...


class Transport(Protocol):
    """Carries requests: http.py over TLS, local.py into an API server of the same process."""

    async def request(self, method: str, target: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
        """`target` is path plus query, escaped. Raises ConnectionError (one sentence) if the server can't be reached."""

    def stream(
        self, method: str, target: str, *, headers: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[StreamAnswer]: ...

    async def close(self) -> None: ...


class WatchEvent(NamedTuple):
    """type: ADDED, MODIFIED, DELETED, BOOKMARK. ERROR events are raised as StatusError instead."""

    type: str
    object: Obj


class Client(Protocol):
    """The API's verbs. Raises machinery.errors.StatusError subclasses, and ConnectionError if the server can't be reached.

    Objects returned by informers are shared: copy before changing. Objects returned here are the caller's own.
    """

    async def get(
        self, resource: Resource, name: str, namespace: str = "", *, subresource: str = "", resource_version: str = ""
    ) -> Obj: ...

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_: str = "",
        resource_version: str = "",
    ) -> Obj:
        """The List object."""

    async def create(self, resource: Resource, obj: Obj, namespace: str = "", *, name: str = "", subresource: str = "") -> Obj:
        """POST. namespace defaults to the object's own. name+subresource: pods/binding, pods/eviction, serviceaccounts/token."""

    async def update(self, resource: Resource, obj: Obj, *, subresource: str = "") -> Obj: ...

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Obj | Sequence[Obj],
        namespace: str = "",
        *,
        kind: str = "merge",
        subresource: str = "",
    ) -> Obj:
        """kind: `merge`, `strategic`, `json` (patch is a list) or `apply` (force, field manager of this client)."""

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        grace_period_s: int | None = None,
        propagation: str = "",
        uid: str = "",
        resource_version: str = "",
    ) -> Obj: ...

    async def delete_collection(
        self, resource: Resource, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> Obj: ...

    def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        timeout_s: int = 0,
        bookmarks: bool = True,
    ) -> AsyncIterator[WatchEvent]: ...

    async def raw(self, method: str, target: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Any:
        """Any path; the JSON answer, or text if it is none. Errors as StatusError."""
