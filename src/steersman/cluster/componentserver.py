"""HTTPS pages of a scheduler or controller manager: /metrics, /healthz, /livez, /readyz. Upstream's ports are 10259 and 10257.

Who asks is known by a client certificate or a token (TokenReview), whether they may by a SubjectAccessReview about the path, as
upstream delegates it; the health pages are for everybody. One request per connection: these are asked every few seconds at most,
and a component that nobody asks shall not pay for a server's memory. So what the pages need is imported by the first request.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from steersman.api.resources import SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS
from steersman.client.interface import Client
from steersman.cluster.observed import Observed
from steersman.machinery.clock import Clock
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Obj

log = logging.getLogger(__name__)

_REQUEST_S, _HEAD_LIMIT = 32.0, 64 * 1024
_REMEMBER_S, _MEMO_LIMIT = 10.0, 1024
_HEALTH = ("healthz", "livez", "readyz")
_MASTERS, _AUTHENTICATED = "system:masters", "system:authenticated"
_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """Where the pages are. cert and key None: a certificate of its own that nobody trusts. client_ca None: no certificates."""

    bind_address: str = "0.0.0.0"
    port: int
    cert: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class _User:
    name: str
    groups: tuple[str, ...]


_ANONYMOUS = _User("system:anonymous", ("system:unauthenticated",))


@contextlib.asynccontextmanager
async def serving(pages: Pages | None, observed: Observed, client: Client, clock: Clock) -> AsyncIterator[int]:
    """Serve while inside; gives the port. Raises OSError, ssl.SSLError. pages None: nothing is served."""
    if pages is None:
        yield 0
        return
    server = _Server(observed, client, clock)
    listener = await asyncio.start_server(
        server.answer, pages.bind_address, pages.port, ssl=_tls(pages, clock), limit=_HEAD_LIMIT, ssl_handshake_timeout=_REQUEST_S
    )
    port = int(listener.sockets[0].getsockname()[1])
    log.info("pages served: component=%s port=%d", observed.name, port)
    async with listener:
        yield port


class _Server:
    def __init__(self, observed: Observed, client: Client, clock: Clock) -> None:
        self._observed, self._client, self._clock = observed, client, clock
        self._users: dict[str, tuple[float, _User | None]] = {}
        self._verdicts: dict[tuple[_User, str], tuple[float, bool]] = {}

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            async with asyncio.timeout(_REQUEST_S):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                status, body, content_type = await self._page(head, writer.get_extra_info("peercert"))
                writer.write(_answer(status, body, content_type, head.startswith("HEAD ")))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as fault:
            log.debug("client gone: component=%s error=%s", self._observed.name, fault)
        except Exception:
            log.exception("page failed: component=%s", self._observed.name)
        finally:
            writer.close()

    async def _page(self, head: str, certificate: Any) -> tuple[int, bytes, str]:
        lines = head.split("\r\n")
        method, _, rest = lines[0].partition(" ")
        path, _, query = rest.partition(" ")[0].partition("?")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        endpoint, _, check = path.strip("/").partition("/")
        if endpoint not in _HEALTH:
            try:
                user = await self._user(certificate, headers.get("authorization", ""))
                if user is None:
                    return 401, b"Unauthorized\n", _TEXT
                if not await self._may(user, path):
                    return 403, f'forbidden: User "{user.name}" cannot get path "{path}"\n'.encode(), _TEXT
            except (StatusError, ConnectionError) as fault:
                return 500, f"{fault}\n".encode(), _TEXT
        if method not in ("GET", "HEAD"):
            return 405, b"Method Not Allowed\n", _TEXT
        if endpoint in _HEALTH:
            return self._health(endpoint, check, "verbose" in query)
        if path == "/metrics":
            from steersman.cluster import componentmetrics

            return 200, componentmetrics.render(self._observed), componentmetrics.CONTENT_TYPE
        return 404, b"404 page not found\n", _TEXT

    def _health(self, endpoint: str, check: str, verbose: bool) -> tuple[int, bytes, str]:
        """Who has lost its lease has ended: so there is nothing that could be unwell here and still answer."""
        checks = ("ping", "leaderElection") if self._observed.leads is not None else ("ping",)
        if check:
            return (200, b"ok", _TEXT) if check in checks else (404, b"404 page not found\n", _TEXT)
        if not verbose:
            return 200, b"ok", _TEXT
        return 200, "".join([*(f"[+]{name} ok\n" for name in checks), f"{endpoint} check passed\n"]).encode(), _TEXT

    async def _user(self, certificate: Any, authorization: str) -> _User | None:
        """None: wrong credentials. Raises StatusError, ConnectionError."""
        if certificate:
            pairs = [pair for part in certificate.get("subject", ()) for pair in part]
            name = next((value for key, value in pairs if key == "commonName"), "")
            if name:
                groups = tuple(value for key, value in pairs if key == "organizationName")
                return _User(name, (*groups, _AUTHENTICATED))
        token = authorization[7:].strip() if authorization.lower().startswith("bearer ") else ""
        if not token:
            return _ANONYMOUS
        now_s = self._clock.monotonic()
        until_s, user = self._users.get(token, (0.0, None))
        if until_s <= now_s:
            review: Obj = {**_typed(TOKEN_REVIEWS), "spec": {"token": token}}
            status = (await self._client.create(TOKEN_REVIEWS, review)).get("status") or {}
            told = status.get("user") or {}
            user = _User(told.get("username") or "", tuple(told.get("groups") or ())) if status.get("authenticated") else None
            _remember(self._users, token, (now_s + _REMEMBER_S, user))
        return user

    async def _may(self, user: _User, path: str) -> bool:
        if _MASTERS in user.groups:
            return True
        now_s = self._clock.monotonic()
        until_s, allowed = self._verdicts.get((user, path), (0.0, False))
        if until_s <= now_s:
            spec = {"user": user.name, "groups": list(user.groups), "nonResourceAttributes": {"path": path, "verb": "get"}}
            review: Obj = {**_typed(SUBJECT_ACCESS_REVIEWS), "spec": spec}
            answer = await self._client.create(SUBJECT_ACCESS_REVIEWS, review)
            allowed = bool((answer.get("status") or {}).get("allowed"))
            _remember(self._verdicts, (user, path), (now_s + _REMEMBER_S, allowed))
        return allowed


def _remember(memo: dict[Any, Any], key: Any, value: Any) -> None:
    if len(memo) >= _MEMO_LIMIT:
        memo.clear()
    memo[key] = value


def _typed(resource: Any) -> Obj:
    return {"apiVersion": resource.api_version, "kind": resource.kind}


def _answer(status: int, body: bytes, content_type: str, head_only: bool) -> bytes:
    lines = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
        "",
        "",
    )
    return "\r\n".join(lines).encode() + (b"" if head_only else body)


def _tls(pages: Pages, clock: Clock) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if pages.cert is not None and pages.key is not None:
        context.load_cert_chain(pages.cert, pages.key)
    else:
        from steersman.kubelet.certificates import ensure_self_signed

        with tempfile.TemporaryDirectory() as directory:
            own = Path(directory) / "own.pem"
            ensure_self_signed(own, "localhost", clock.now())
            context.load_cert_chain(own)
    if pages.client_ca is not None:
        context.load_verify_locations(pages.client_ca)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context
