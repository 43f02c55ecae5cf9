"""A group-version that another server serves: its requests are passed on, under the caller's name.

The other server knows this one by the front proxy's certificate and believes it who asks (X-Remote-User …). Source: upstream
kube-aggregator/pkg/apiserver/handler_proxy.go.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from steersman.api.resources import SERVICES
from steersman.apiserver import passing, upgrading
from steersman.apiserver.contracts import Call, Listers, UserInfo
from steersman.apiserver.http import Request, Response
from steersman.apiserver.upgrading import DIAL_S, HOP_BY_HOP, Unreachable
from steersman.client.connection import Address, HttpConnection, connect, request_head
from steersman.client.http import make_ssl_context
from steersman.machinery.meta import Obj, name_of

_LIMIT = 64 * 1024 * 1024
_NOT_SENT = HOP_BY_HOP | {"host", "authorization", "content-length", "expect"}
_IDENTITY = ("x-remote-", "impersonate-")
_PLAIN = "text/plain; charset=utf-8"

Headers = list[tuple[str, str]]
Certificate = tuple[Path | None, Path | None]
"""PEM files of certificate and key."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What an APIService says of the server behind it. Two are equal if the same server is meant."""

    group: str
    version: str
    namespace: str
    service: str
    port: int
    bundle: str
    insecure: bool
    group_priority: int
    version_priority: int

    @property
    def path(self) -> str:
        return f"/apis/{self.group}/{self.version}"


def registration(obj: Obj) -> Registration | None:
    """None for an APIService of this server's own."""
    spec = obj["spec"]
    service = spec.get("service")
    if service is None:
        return None
    return Registration(
        spec.get("group") or "", spec["version"], service["namespace"], service["name"], service["port"],
        spec.get("caBundle") or "", bool(spec.get("insecureSkipTLSVerify")),
        spec["groupPriorityMinimum"], spec["versionPriority"],
    )  # fmt: skip


class Remote:
    """`available` is set from outside. `certificate`: the front proxy's, and its key, if there is one."""

    def __init__(self, known: Registration, listers: Listers, certificate: Certificate) -> None:
        self.known, self._listers, self._certificate = known, listers, certificate
        self.available = False
        self._tls: ssl.SSLContext | None = None

    async def serve(self, call: Call) -> Response:
        if not self.available:
            return _unavailable("service unavailable")
        request = call.request
        headers = _passed(request)
        target = quote(request.path, safe="/:@!$&'()*+,;=~-._") + (f"?{request.raw_query}" if request.raw_query else "")
        try:
            if upgrading.wants_upgrade(request):
                return await self._upgrade(request, target, headers, call.user)
            body = await request.read_body() if request.read_body is not None else b""
            connection = await self._ask(request.method, target, headers, call.user, body)
        except Unreachable as fault:
            return _unavailable(f"error trying to reach service: {fault}")
        return passing.response_of(connection)

    async def get(self, target: str, user: UserInfo, accept: str, timeout_s: float) -> tuple[int, bytes]:
        """Status and body of a question of this server's own. Raises Unreachable."""
        try:
            async with asyncio.timeout(timeout_s):
                connection = await self._ask("GET", target, [("Accept", accept)], user, b"")
                body = bytearray()
                async with aclosing(passing.Body(connection)) as chunks:
                    async for chunk in chunks:
                        body += chunk
                        if len(body) > _LIMIT:
                            raise Unreachable("the answer is too long")
        except TimeoutError:
            raise Unreachable(f"no answer within {timeout_s:g} s") from None
        except OSError as fault:
            raise Unreachable(str(fault) or type(fault).__name__) from fault
        return connection.status, bytes(body)

    async def _ask(self, method: str, target: str, headers: Headers, user: UserInfo, body: bytes) -> HttpConnection:
        """A connection whose answer has begun. Raises Unreachable."""
        address = self._address()
        try:
            async with asyncio.timeout(DIAL_S):
                connection = await connect(address)
        except (OSError, TimeoutError) as fault:
            raise Unreachable(str(fault) or type(fault).__name__) from fault
        try:
            once = {"Host": f"{address.name}:{address.port}", "Connection": "close"}
            await connection.send(method, target, once, body, more=[*headers, *identity(user)])
        except BaseException as fault:
            connection.close()
            if isinstance(fault, OSError):
                raise Unreachable(str(fault) or type(fault).__name__) from fault
            raise
        return connection

    async def _upgrade(self, request: Request, target: str, headers: Headers, user: UserInfo) -> Response:
        address = self._address()
        once = {"Host": f"{address.name}:{address.port}", "Connection": "Upgrade", "Upgrade": request.headers.get("upgrade", "")}
        head = request_head(request.method, target, once, b"", [*headers, *identity(user)])
        return await upgrading.pass_on(request, address, head)

    def _address(self) -> Address:
        """Raises Unreachable."""
        known = self.known
        return Address(self._host(), known.port, self._context(), f"{known.service}.{known.namespace}.svc")

    @property
    def url(self) -> str:
        """Where it is asked, for people. Raises Unreachable."""
        return f"https://{self._host()}:{self.known.port}{self.known.path}"

    def _host(self) -> str:
        known = self.known
        found = self._listers(SERVICES).get(known.namespace, known.service)
        if found is None:
            raise Unreachable(f'service "{known.service}" not found')
        if found["spec"].get("type") == "ExternalName":
            return str(found["spec"]["externalName"])
        address = str(found["spec"].get("clusterIP") or "")
        if address in ("", "None"):
            raise Unreachable(f'service "{name_of(found)}" has no cluster IP')
        return address

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            certificate, key = self._certificate
            try:
                bundle = base64.b64decode(self.known.bundle) or None
                self._tls = make_ssl_context(bundle, certificate, key, insecure=self.known.insecure)
            except (ValueError, OSError) as fault:
                raise Unreachable(f"unable to load root certificates: {fault}") from fault
        return self._tls


def _passed(request: Request) -> Headers:
    """What is passed on of a request's headers: neither credentials nor what the caller says of itself."""
    headers = [
        (name, value)
        for name, first in request.headers.items()
        if name not in _NOT_SENT and not name.startswith(_IDENTITY)
        for value in request.repeated.get(name, (first,))
    ]
    return [*headers, ("X-Forwarded-For", request.remote), ("X-Forwarded-Uri", request.path), ("X-Forwarded-Proto", "https")]


def identity(user: UserInfo) -> Headers:
    """The headers that name a user (upstream transport.AuthProxyRoundTripper)."""
    found = [("X-Remote-User", user.name)]
    if user.uid:
        found.append(("X-Remote-Uid", user.uid))
    found += [("X-Remote-Group", group) for group in user.groups]
    for key, values in user.extra.items():
        found += [(f"X-Remote-Extra-{quote(key, safe='')}", value) for value in values]
    return found


def _unavailable(text: str) -> Response:
    return Response(503, f"{text}\n".encode(), _PLAIN, {"X-Content-Type-Options": "nosniff"})
