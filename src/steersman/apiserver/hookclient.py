"""Asking who a WebhookClientConfig names: a URL, or a Service of the cluster. One connection for each question.

Source: apiserver/pkg/util/webhook/client.go. Not here: webhooks named by a kubeconfig (webhook.py).
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import orjson

from steersman.apiserver.contracts import Lister
from steersman.client.connection import Address, connect
from steersman.client.http import make_ssl_context
from steersman.machinery import depth
from steersman.machinery.meta import Obj

_LIMIT = 64 * 1024 * 1024
_MOST_CONTEXTS = 64
_PORT = 443
_GOOD = range(200, 300)
_UNKNOWN_AUTHORITY = ("unable to get local issuer certificate", "self-signed certificate", "self signed certificate")


class NoAnswer(Exception):
    """There is no answer that could be used; the text says why. code: the HTTP status of one that is an error."""

    def __init__(self, why: str, code: int = 0) -> None:
        super().__init__(why)
        self.code = code


class HookClient:
    """`services` gives the lister of Services, once there is one."""

    def __init__(self, services: Callable[[], Lister]) -> None:
        self._services = services
        self._contexts: dict[str, ssl.SSLContext] = {}

    async def post(self, config: Obj, body: Obj, *, timeout_s: float) -> Any:
        """The JSON that answers an object. Raises NoAnswer."""
        address, name, target = await self._where(config)
        target += f"{'&' if '?' in target else '?'}timeout={timeout_s:g}s"
        headers = {"Host": name, "Content-Type": "application/json", "Accept": "application/json", "Connection": "close"}
        where = f'Post "https://{name}{target}"'
        try:
            async with asyncio.timeout(timeout_s):
                connection = await connect(address)
                try:
                    await connection.send("POST", target, headers, orjson.dumps(body))
                    answer = await _body(connection.chunks(), where)
                finally:
                    connection.close()
        except TimeoutError as fault:
            raise NoAnswer(f"{where}: context deadline exceeded") from fault
        except OSError as fault:
            raise NoAnswer(f"{where}: {_reason(fault, address)}") from fault
        if connection.status not in _GOOD:
            raise NoAnswer(f"{where}: the server answered with status {connection.status}", connection.status)
        try:
            return depth.loads(answer)
        except ValueError as fault:
            raise NoAnswer(f"{where}: {fault}") from fault

    async def _where(self, config: Obj) -> tuple[Address, str, str]:
        """Where to connect, as what the server is addressed, and the path. Raises NoAnswer."""
        context = self._context(config.get("caBundle") or "")
        service = config.get("service")
        if service is not None:
            port = service.get("port") or _PORT
            name = f"{service['name']}.{service['namespace']}.svc"
            host = await self._host(service, port)
            path = service.get("path") or "/"
            return Address(host, port, context, name), f"{name}:{port}", path if path.startswith("/") else f"/{path}"
        parts = urlsplit(config.get("url") or "")
        host = parts.hostname or ""
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
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
