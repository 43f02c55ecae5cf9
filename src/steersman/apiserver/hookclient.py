"""Asking who a WebhookClientConfig names: a URL, or a Service of the cluster.

Source: apiserver/pkg/util/webhook/client.go. Not here: webhooks named by a kubeconfig (webhook.py).
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson

from steersman.apiserver.contracts import Lister
from steersman.client.connection import Address, Broken, HttpConnection, connect
from steersman.client.http import make_ssl_context
from steersman.machinery import depth
from steersman.machinery.meta import Obj

_LIMIT = 64 * 1024 * 1024
_MOST_CONTEXTS = 64
_MOST_IDLE, _IDLE_S = 64, 10.0
_PORT = 443
_GOOD = range(200, 300)
_UNKNOWN_AUTHORITY = ("unable to get local issuer certificate", "self-signed certificate", "self signed certificate")


class NoAnswer(Exception):
    """There is no answer that could be used; the text says why. code: the HTTP status of one that is an error."""

    def __init__(self, why: str, code: int = 0) -> None:
        super().__init__(why)
        self.code = code


class HookClient:
    """`services` gives the lister of Services, once there is one.

    keep: connections are used again within seconds, as a handshake costs more than a question; `close` ends them.
    """

    def __init__(self, services: Callable[[], Lister], *, keep: bool = False) -> None:
        self._services = services
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._keep = keep
        self._idle: list[tuple[Address, HttpConnection]] = []
        """The one used last is at the end."""

    async def post(self, config: Obj, body: Obj, *, timeout_s: float) -> Any:
        """The JSON that answers an object. Raises NoAnswer."""
        address, name, target = await self._where(config, f"timeout={timeout_s:g}s")
        headers = {"Host": name, "Content-Type": "application/json", "Accept": "application/json"}
        if not self._keep:
            headers["Connection"] = "close"
        where = _post(name, target)
        try:
            async with asyncio.timeout(timeout_s):
                status, answer = await self._exchange(address, target, headers, orjson.dumps(body), where)
        except TimeoutError as fault:
            raise NoAnswer(f"{where}: context deadline exceeded") from fault
        except OSError as fault:
            raise NoAnswer(f"{where}: {_reason(fault, address)}") from fault
        if status not in _GOOD:
            raise NoAnswer(f"{where}: the server answered with status {status}", status)
        try:
            return depth.loads(answer)
        except ValueError as fault:
            raise NoAnswer(f"{where}: {fault}") from fault

    def close(self) -> None:
        while self._idle:
            self._idle.pop()[1].close()

    async def _exchange(
        self, address: Address, target: str, headers: Mapping[str, str], body: bytes, where: str
    ) -> tuple[int, bytes]:
        """Status and body of the answer. Raises OSError, NoAnswer."""
        while (connection := self._take(address)) is not None:
            try:
                return await self._over(connection, address, target, headers, body, where)
            except Broken as fault:
                # It was being closed while the question was on its way.
                if not fault.unanswered:
                    raise
        return await self._over(await connect(address), address, target, headers, body, where)

    async def _over(
        self, connection: HttpConnection, address: Address, target: str, headers: Mapping[str, str], body: bytes, where: str
    ) -> tuple[int, bytes]:
        kept = False
        try:
            await connection.send("POST", target, headers, body)
            answer = await _body(connection.chunks(), where)
            kept = self._keep and connection.reusable
        finally:
            if not kept:
                connection.close()
        if kept:
            connection.used_at = asyncio.get_running_loop().time()
            self._idle.append((address, connection))
            if len(self._idle) > _MOST_IDLE:
                self._idle.pop(0)[1].close()
        return connection.status, answer

    def _take(self, address: Address) -> HttpConnection | None:
        """A connection to there that can be used again. What has been idle for long is closed: who served it may be gone."""
        oldest_s = asyncio.get_running_loop().time() - _IDLE_S
        while self._idle and self._idle[0][1].used_at < oldest_s:
            self._idle.pop(0)[1].close()
        for index in range(len(self._idle) - 1, -1, -1):
            if self._idle[index][0] == address:
                found = self._idle.pop(index)[1]
                if found.reusable:
                    return found
                found.close()
        return None

    async def _where(self, config: Obj, query: str) -> tuple[Address, str, str]:
        """Where to connect, as what the server is addressed, and the path with the query. Raises NoAnswer."""
        context = self._context(config.get("caBundle") or "")
        service = config.get("service")
        if service is not None:
            port = service.get("port") or _PORT
            name = f"{service['name']}.{service['namespace']}.svc"
            path = service.get("path") or "/"
            target = f"{path if path.startswith('/') else f'/{path}'}?{query}"
            try:
                host = await self._host(service, port)
            except NoAnswer as fault:
                raise NoAnswer(f"{_post(f'{name}:{port}', target)}: {fault}") from fault
            return Address(host, port, context, name), f"{name}:{port}", target
        parts = urlsplit(config.get("url") or "")
        host = parts.hostname or ""
        target = f"{parts.path or '/'}?{f'{parts.query}&' if parts.query else ''}{query}"
        return Address(host, parts.port or _PORT, context, host), parts.netloc, target

    async def _host(self, service: Obj, port: int) -> str:
        """The address of a Service that is there and has that port. Raises NoAnswer."""
        services = self._services()
        await services.settle()
        found = services.get(service["namespace"], service["name"])
        if found is None:
            raise NoAnswer(f'service "{service["name"]}" not found')
        spec = found["spec"]
        if spec.get("type") == "ExternalName":
            return str(spec["externalName"])
        if not any(item.get("port") == port for item in spec.get("ports") or ()):
            raise NoAnswer(f'no service port {port} found for service "{service["name"]}"')
        address = str(spec.get("clusterIP") or "")
        if address in ("", "None"):
            raise NoAnswer(f'service "{service["name"]}" has no cluster IP')
        return address

    def _context(self, bundle: str) -> ssl.SSLContext:
        """Raises NoAnswer for a bundle without certificates."""
        found = self._contexts.get(bundle)
        if found is None:
            if len(self._contexts) >= _MOST_CONTEXTS:
                self._contexts.clear()
            try:
                found = make_ssl_context(base64.b64decode(bundle) or None, None, None)
            except (ValueError, ssl.SSLError) as fault:
                raise NoAnswer(f"unable to load root certificates: {fault}") from fault
            self._contexts[bundle] = found
        return found


def _post(name: str, target: str) -> str:
    return f'Post "https://{name}{target}"'


def _reason(fault: OSError, address: Address) -> str:
    """As Go's clients tell of it."""
    if isinstance(fault, ssl.SSLCertVerificationError):
        said = fault.verify_message
        if said.startswith(_UNKNOWN_AUTHORITY):
            said = "certificate signed by unknown authority"
        return f"tls: failed to verify certificate: x509: {said}"
    if isinstance(fault, ConnectionRefusedError):
        return f"dial tcp {address.host}:{address.port}: connect: connection refused"
    return str(fault) or type(fault).__name__


async def _body(chunks: Any, where: str) -> bytes:
    received = bytearray()
    async for chunk in chunks:
        received += chunk
        if len(received) > _LIMIT:
            raise NoAnswer(f"{where}: the answer is too long")
    return bytes(received)
