"""The request core's own Request and Response: server-neutral, so that the transport (connection.py, local.py) can change."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias
from urllib.parse import parse_qsl

from cryptography import x509

if TYPE_CHECKING:
    from steersman.apiserver.contracts import Trail


class RawConnection(Protocol):
    """The client's connection after a handler took it over (exec, attach, port-forward): bytes in, bytes out."""

    async def read(self) -> bytes:
        """b'' when the client is gone."""

    async def write(self, data: bytes) -> None: ...

    async def close(self) -> None: ...


@dataclass(slots=True)
class Request:
    """One HTTP request. Header names are lower case. `peer` is the verified client certificate's subject source, if any.

    `read_body()` reads at most the server's limit and raises RequestEntityTooLarge beyond. `take_over` is set where the
    transport can hand out the raw connection.
    """

    method: str
    path: str
    raw_query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    peer: x509.Certificate | None = None
    remote: str = ""
    read_body: Callable[[], Awaitable[bytes]] | None = None
    take_over: Callable[[], Awaitable[RawConnection]] | None = None
    repeated: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """All values of the headers that were sent more than once (Impersonate-Group); `headers` has the first."""
    queued_s: float = 0.0
    """How long it waited for its turn."""
    initialised: Callable[[], None] | None = None
    """A watch calls it when what was there at its beginning has been sent."""
    audit: Trail | None = None
    """What is recorded of the request, if anything is (audit/)."""
    _query: list[tuple[str, str]] | None = None

    @property
    def query_pairs(self) -> list[tuple[str, str]]:
        """Decoded query, in order, repeats kept."""
        if self._query is None:
            self._query = parse_qsl(self.raw_query, keep_blank_values=True) if self.raw_query else []
        return self._query

    def query(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        return next((value for key, value in self.query_pairs if key == name), default)


@dataclass(slots=True)
class Response:
    """A whole answer (`body`, or `parts` of `length` bytes in all, made as they are sent), a stream (`chunks`), or a
    taken-over connection (`upgraded`: nothing more is sent)."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    chunks: AsyncIterator[bytes] | None = None
    upgraded: bool = False
    parts: Iterable[bytes] | None = None
    length: int = 0
    hurried: bool = False
    """Of a stream: a client that takes nothing of it for a minute is cut off."""

    def whole(self) -> bytes:
        """The bytes of a whole answer."""
        return self.body if self.parts is None else b"".join(self.parts)


Handler: TypeAlias = Callable[[Request], Awaitable[Response]]


def warning_headers(texts: list[str]) -> list[str]:
    """RFC 7234 warnings, code 299, no duplicates; too much text is cut (facts: Warnings)."""
    unique = list(dict.fromkeys(text.replace("\n", " ").replace("\r", " ") for text in texts))
    if sum(map(len, unique)) > 4096:
        unique = [text[:256] for text in unique]
    quoted = (text.replace("\\", "\\\\").replace('"', '\\"') for text in unique)
    return [f'299 - "{text}"' for text in quoted]
