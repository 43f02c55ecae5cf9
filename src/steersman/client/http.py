"""HttpTransport: requests to an API server over HTTP(S), on connections that are kept. Knows nothing of resources or objects."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from steersman.client.connection import Address, Broken, HttpConnection, connect
from steersman.client.counting import RequestCounts
from steersman.client.interface import Answer

CONNECT_TIMEOUT_S = 10
REQUEST_TIMEOUT_S = 70
"""Above the API server's own limit for a request (60 s), so that its answer comes first."""
_IDLE_S = 30.0
_STALE_S = 60.0
"""Servers close what is idle for longer (API servers after 90 s), which would break a write that is just on its way."""
_REPEATABLE = frozenset({"GET", "HEAD"})

# Pem files, or their content.
Pem = Path | bytes


class HttpTransport:
    """Keep-alive connections to one server. `server` is `https://host:port[/prefix]`.

    `token_file` is read again whenever it changes, since bound service account tokens are renewed in place.
    """

    def __init__(
        self,
        server: str,
        *,
        ca: Pem | None = None,
        cert: Pem | None = None,
        key: Pem | None = None,
        token: str = "",
        token_file: Path | None = None,
        tls_server_name: str = "",
        insecure: bool = False,
    ) -> None:
        self.server = server.rstrip("/")
        parts = urlsplit(self.server)
        self._make_tls = partial(make_ssl_context, ca, cert, key, insecure=insecure)
        tls = self._make_tls() if parts.scheme == "https" else None
        host = parts.hostname or ""
        self._address = Address(host, parts.port or (443 if tls else 80), tls, tls_server_name or host)
        self._host, self._prefix = parts.netloc, parts.path
        self._token, self._token_file = token, token_file
        self._token_stamp = 0
        self.counts = RequestCounts()
        self._generation = 0
        self._idle: list[HttpConnection] = []  # the one used last is at the end

    async def request(self, method: str, target: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S), self._exchange(method, target, headers, body) as connection:
                return Answer(connection.status, connection.headers, await connection.body())
        except OSError as error:
            raise self._unreachable(error) from error

    @asynccontextmanager
    async def stream(
        self, method: str, target: str, *, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[HttpStreamAnswer]:
        exchange = self._exchange(method, target, headers, b"")
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                connection = await exchange.__aenter__()
        except OSError as error:
            raise self._unreachable(error) from error
        try:
            yield HttpStreamAnswer(connection, self)
        finally:
            await exchange.__aexit__(None, None, None)

    async def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def reload(self) -> None:
        """Take up certificate and key again, whose files have changed; what is connected with the old ones is not used again."""
        if self._address.tls is not None:
            self._address = self._address._replace(tls=self._make_tls())
        self._generation += 1
        while self._idle:
            self._idle.pop().close()

    @asynccontextmanager
    async def _exchange(
        self, method: str, target: str, headers: Mapping[str, str] | None, body: bytes
    ) -> AsyncIterator[HttpConnection]:
        """A connection with the answer's head read. It is kept for the next request if its body is read whole, else closed."""
        sent = {"Host": self._host, **(headers or {})}
        if token := self._current_token():
            sent["Authorization"] = f"Bearer {token}"
        connection = self._take() or await self._connect()
        began_s = asyncio.get_running_loop().time()
        try:
            try:
                await connection.send(method, self._prefix + target, sent, body)
            except Broken as fault:
                # The server closed a kept connection while the request was on its way. Reading twice does no harm.
                if not (connection.used_at and fault.unanswered and method in _REPEATABLE):
                    raise
                connection.close()
                connection = await self._connect()
                await connection.send(method, self._prefix + target, sent, body)
            self.counts.answered(self._host, method, connection.status, asyncio.get_running_loop().time() - began_s)
            yield connection
        finally:
            self._give_back(connection)

    async def _connect(self) -> HttpConnection:
        generation = self._generation
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            connection = await connect(self._address)
        connection.generation = generation
        return connection

    def _take(self) -> HttpConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable and asyncio.get_running_loop().time() - connection.used_at < _STALE_S:
                return connection
            connection.close()
        return None

    def _give_back(self, connection: HttpConnection) -> None:
        """Keep a connection that can be used again; let those go that a burst has left behind."""
        if not connection.reusable or connection.generation != self._generation:
            connection.close()
            return
        connection.used_at = asyncio.get_running_loop().time()
        self._idle.append(connection)
        while connection.used_at - self._idle[0].used_at > _IDLE_S:
            self._idle.pop(0).close()

    def _current_token(self) -> str:
        if self._token_file is None:
            return self._token
        stamp = os.stat(self._token_file).st_mtime_ns
        if stamp != self._token_stamp:
            self._token, self._token_stamp = self._token_file.read_text().strip(), stamp
        return self._token

    def _unreachable(self, error: OSError) -> ConnectionError:
        return ConnectionError(f"the API server at {self.server} can't be reached: {_why(error)}")


class HttpStreamAnswer:
    """A response body as it arrives. A connection that breaks in the middle raises ConnectionError."""

    def __init__(self, got: HttpConnection, transport: HttpTransport) -> None:
        self.status = got.status
        self._got, self._transport = got, transport

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._got.chunks():
                yield chunk
        except OSError as error:
            raise ConnectionError(f"the stream from {self._transport.server} broke: {_why(error)}") from error


def make_ssl_context(ca: Pem | None, cert: Pem | None, key: Pem | None, *, insecure: bool = False) -> ssl.SSLContext:
    """A client context. Without `ca` the machine's own authorities are trusted."""
    if isinstance(ca, Path):
        context = ssl.create_default_context(cafile=ca)
    else:
        context = ssl.create_default_context(cadata=ca.decode() if ca else None)
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert is not None and key is not None:
        with _PemFile(cert) as cert_path, _PemFile(key) as key_path:
            context.load_cert_chain(cert_path, key_path)
    return context


class _PemFile:
    """A path for PEM content: ssl loads certificate chains from files only. In memory, so that keys never touch a disk."""

    def __init__(self, pem: Pem) -> None:
        self._pem, self._fd = pem, -1

    def __enter__(self) -> str:
        if isinstance(self._pem, Path):
            return str(self._pem)
        self._fd = os.memfd_create("pem")
        os.write(self._fd, self._pem)
        return f"/proc/self/fd/{self._fd}"

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)


def _why(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message or error})"
    # asyncio's own text for a failed connection tells its arguments instead of the reason. TLS and look-ups count otherwise.
    plain = error.errno and not isinstance(error, ssl.SSLError | socket.gaierror)
    text = os.strerror(error.errno).lower() if plain and error.errno else error.strerror or str(error)
    return text.replace("\n", " ").rstrip(".") or type(error).__name__
