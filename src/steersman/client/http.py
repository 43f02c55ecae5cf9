"""HttpTransport: requests to an API server over HTTP(S) with aiohttp. Knows nothing of resources or objects."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from steersman.client.interface import Answer

CONNECT_TIMEOUT_S = 10
REQUEST_TIMEOUT_S = 70
"""Above the API server's own limit for a request (60 s), so that its answer comes first."""

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
        self._ssl = make_ssl_context(ca, cert, key, insecure=insecure) if server.startswith("https:") else None
        self._tls_server_name = tls_server_name or None
        self._token, self._token_file = token, token_file
        self._token_stamp = 0
        self._session: aiohttp.ClientSession | None = None

    async def request(self, method: str, target: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
        try:
            async with self._open().request(method, self._url(target), **self._options(headers, body, streaming=False)) as got:
                return Answer(got.status, _lower(got.headers), await got.read())
        except (aiohttp.ClientError, OSError) as error:
            raise self._unreachable(error) from error

    @asynccontextmanager
    async def stream(
        self, method: str, target: str, *, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[HttpStreamAnswer]:
        try:
            got = await self._open().request(method, self._url(target), **self._options(headers, b"", streaming=True))
        except (aiohttp.ClientError, OSError) as error:
            raise self._unreachable(error) from error
        try:
            yield HttpStreamAnswer(got, self)
        finally:
            # Not release(): the rest of the stream is of no use, and would keep the connection busy.
            got.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, socket_factory=_keep_alive_socket, ssl=self._ssl or True)
            self._session = aiohttp.ClientSession(
                connector=connector,
                skip_auto_headers=("User-Agent", "Accept-Encoding", "Content-Type", "Accept"),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def _url(self, target: str) -> URL:
        return URL(self.server + target, encoded=True)

    def _options(self, headers: Mapping[str, str] | None, body: bytes, *, streaming: bool) -> dict[str, Any]:
        sent = dict(headers or {})
        if token := self._current_token():
            sent["Authorization"] = f"Bearer {token}"
        timeout = aiohttp.ClientTimeout(total=None if streaming else REQUEST_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S)
        options: dict[str, Any] = {"headers": sent, "timeout": timeout, "allow_redirects": False}
        if body:
            options["data"] = body
        if self._tls_server_name:
            options["server_hostname"] = self._tls_server_name
        return options

    def _current_token(self) -> str:
        if self._token_file is None:
            return self._token
        stamp = os.stat(self._token_file).st_mtime_ns
        if stamp != self._token_stamp:
            self._token, self._token_stamp = self._token_file.read_text().strip(), stamp
        return self._token

    def _unreachable(self, error: BaseException) -> ConnectionError:
        return ConnectionError(f"the API server at {self.server} can't be reached: {_why(error)}")


class HttpStreamAnswer:
    """A response body as it arrives. A connection that breaks in the middle raises ConnectionError."""

    def __init__(self, got: aiohttp.ClientResponse, transport: HttpTransport) -> None:
        self.status = got.status
        self._got, self._transport = got, transport

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._got.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, OSError) as error:
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


def _keep_alive_socket(address: Any) -> socket.socket:
    """A socket that notices a silent peer within about 30 s: a watch on a dead server would else wait forever."""
    family, kind, proto, _, _ = address
    made = socket.socket(family, kind, proto)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)
    return made


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    """Lower-case names; repeated headers (Warning) joined as RFC 9110 has it."""
    found: dict[str, str] = {}
    for name, value in headers.items():
        lowered = name.lower()
        found[lowered] = f"{found[lowered]}, {value}" if lowered in found else value
    return found


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted ({error.certificate_error})"
    return str(error).replace("\n", " ").rstrip(".") or type(error).__name__
