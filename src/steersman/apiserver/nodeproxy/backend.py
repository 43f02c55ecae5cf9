"""The connection behind a passed-on request: an answer (passing.py), or an upgraded connection (upgrading.py)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping

from steersman.apiserver import passing, upgrading
from steersman.apiserver.config import ServerConfig
from steersman.apiserver.http import Request, Response
from steersman.apiserver.nodeproxy.locate import Target
from steersman.apiserver.upgrading import DIAL_S, Unreachable
from steersman.client.connection import Address, connect

__all__ = ["Backends", "Unreachable"]


class Backends:
    """Makes connections, one per request: to loads of backends, seldom twice to the same."""

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        self._kubelet_tls: ssl.SSLContext | None = None
        self._pod_tls: ssl.SSLContext | None = None

    async def fetch(self, method: str, target: Target, headers: Mapping[str, str], body: bytes) -> Response:
        """The backend's answer, streamed. Raises Unreachable."""
        try:
            async with asyncio.timeout(DIAL_S):
                connection = await connect(Address(target.host, target.port, self._tls(target), target.host))
        except (OSError, TimeoutError) as fault:
            raise Unreachable(str(fault) or type(fault).__name__) from fault
        try:
            host = target.origin.partition("://")[2]
            await connection.send(method, target.path, {"Host": host, "Connection": "close", **headers}, body)
        except BaseException as fault:
            connection.close()
            if isinstance(fault, OSError):
                raise Unreachable(str(fault) or type(fault).__name__) from fault
            raise
        return passing.response_of(connection)

    async def upgrade(self, request: Request, target: Target) -> Response:
        """Pass an upgrade on. Raises Unreachable."""
        address = Address(target.host, target.port, self._tls(target), target.host)
        return await upgrading.pass_on(request, address, _request_head(request, target))

    def _tls(self, target: Target) -> ssl.SSLContext | None:
        if target.scheme != "https":
            return None
        if not target.kubelet:
            if self._pod_tls is None:
                self._pod_tls = _trusting()
            return self._pod_tls
        if self._kubelet_tls is None:
            self._kubelet_tls = self._make_kubelet_tls()
        return self._kubelet_tls

    def _make_kubelet_tls(self) -> ssl.SSLContext:
        config = self._config
        context = ssl.create_default_context(cafile=str(config.kubelet_ca)) if config.kubelet_ca else _trusting()
        if config.kubelet_client_cert and config.kubelet_client_key:
            context.load_cert_chain(config.kubelet_client_cert, config.kubelet_client_key)
        return context


def _trusting() -> ssl.SSLContext:
    """For backends whose certificates nobody vouches for: proxied pods and services, kubelets without a CA."""
    # Not the default context: that one reads all authorities the machine trusts.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _request_head(request: Request, target: Target) -> bytes:
    """The client's request with another address, less its credentials. Repeated headers stay repeated."""
    lines = [f"{request.method} {target.path} HTTP/1.1", f"Host: {target.host}:{target.port}"]
    for name, value in request.headers.items():
        if name not in ("host", "authorization", "content-length") and not name.startswith("impersonate-"):
            lines += [f"{name}: {item}" for item in request.repeated.get(name, (value,))]
    if request.method not in ("GET", "HEAD"):
        lines.append("Content-Length: 0")
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")
