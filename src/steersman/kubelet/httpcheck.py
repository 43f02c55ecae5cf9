"""One HTTP request as probes and hooks make it: no TLS verification, no keep-alive, no proxy, redirects only on one host.

Source: upstream pkg/probe/http.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urljoin, urlsplit

import aiohttp

from steersman.machinery.meta import Obj

MAX_BODY = 10 * 1024
MAX_REDIRECTS = 10
_MINOR = "1.36"
PROBE_AGENT = f"kube-probe/{_MINOR}"
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
"""How OpenSSL, by its version and what comes, says that no TLS comes back."""
LIFECYCLE_AGENT = f"kube-lifecycle/{_MINOR}"


class PlainAnswer(aiohttp.ClientError):
    """Asked by HTTPS, it answers by HTTP."""

    def __init__(self) -> None:
        super().__init__("http: server gave HTTP response to HTTPS client")


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: str


def port_number(container: Obj, port: int | str) -> int:
    """A port given by number or by the name of one of the container's. Raises ValueError."""
    if isinstance(port, int) or port.isdigit():
        return int(port)
    for listed in container.get("ports") or ():
        if listed.get("name") == port:
            return int(listed["containerPort"])
    raise ValueError(f'couldn\'t find port: "{port}" in container "{container["name"]}"')


def url_of(action: Obj, container: Obj, pod_ip: str) -> str:
    """The URL of an httpGet action. Raises ValueError."""
    host = action.get("host") or pod_ip
    host = f"[{host}]" if ":" in host else host
    scheme = (action.get("scheme") or "HTTP").lower()
    path = action.get("path") or "/"
    return f"{scheme}://{host}:{port_number(container, action['port'])}{path if path.startswith('/') else '/' + path}"


def headers_of(action: Obj, agent: str) -> list[tuple[str, str]]:
    headers = [(item["name"], item.get("value") or "") for item in action.get("httpHeaders") or ()]
    names = {name.lower() for name, _ in headers}
    if "user-agent" not in names:
        headers.append(("User-Agent", agent))
    if "accept" not in names:
        headers.append(("Accept", "*/*"))
    return [(name, value) for name, value in headers if value or name.lower() not in ("user-agent", "accept")]


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def get(url: str, headers: Sequence[tuple[str, str]]) -> Reply:
    """GET, following redirects on the same host. Raises OSError or aiohttp.ClientError with the dial's words, PlainAnswer."""
    try:
        return await _get(url, headers)
    except aiohttp.ClientConnectorSSLError as error:
        if any(word in str(error) for word in _NO_TLS):
            raise PlainAnswer from None
        raise


async def _get(url: str, headers: Sequence[tuple[str, str]]) -> Reply:
    host = urlsplit(url).hostname
    tls = _unverified() if url.startswith("https") else False
    connector = aiohttp.TCPConnector(ssl=tls, force_close=True)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()) as session:
        for _ in range(MAX_REDIRECTS + 1):
            async with session.get(url, headers=headers, allow_redirects=False, skip_auto_headers=("Accept-Encoding",)) as answer:
                following = urljoin(url, answer.headers.get("Location") or url)
                if not 300 <= answer.status < 400 or urlsplit(following).hostname != host or following == url:
                    body = await answer.content.read(MAX_BODY)
                    return Reply(answer.status, body.decode("utf-8", "replace"))
            url = following
    raise aiohttp.ClientError(f"stopped after {MAX_REDIRECTS} redirects")


class Reach(Protocol):
    """How probes and hooks get to the ports of a container."""

    async def get(self, container_id: str, url: str, headers: Sequence[tuple[str, str]]) -> Reply:
        """Raises OSError or aiohttp.ClientError."""

    async def connect(self, container_id: str, host: str, port: int) -> None:
        """Open a TCP connection and close it. Raises OSError."""

    async def health(self, container_id: str, host: str, port: int, service: str, greeted: Callable[[], None]) -> str:
        """Ask a gRPC server how a service is: `probes/grpchealth.py` says how. Raises grpchealth.CallFailed, OSError."""


class NetworkReach:
    """Through the node's network."""

    async def get(self, container_id: str, url: str, headers: Sequence[tuple[str, str]]) -> Reply:
        return await get(url, headers)

    async def connect(self, container_id: str, host: str, port: int) -> None:
        _, writer = await asyncio.open_connection(host, port)
        writer.close()

    async def health(self, container_id: str, host: str, port: int, service: str, greeted: Callable[[], None]) -> str:
        # Most nodes have no such probe.
        from steersman.kubelet.probes import grpchealth

        return await grpchealth.check(host, port, service, PROBE_AGENT, greeted)
