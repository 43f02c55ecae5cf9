"""Calls to the members of an etcd cluster: which one to ask, when to ask again, and what a failure means.

One connection per endpoint; calls go to the one that answered last. What may be repeated without harm goes to the next endpoint
when one fails. A write is only repeated if it certainly never arrived; otherwise nobody knows whether it was made, and the
caller is told so. Nothing here knows what the messages contain.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar
from urllib.parse import urlsplit

import grpc
from grpc import StatusCode, aio

from steersman.machinery.clock import Clock
from steersman.machinery.errors import RequestEntityTooLarge
from steersman.machinery.lasting import being_cancelled
from steersman.store.interface import NoSpace, Unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")
Stream: TypeAlias = "aio.StreamStreamCall[bytes, bytes]"

CONNECT_S = 2.0
"""How long a connection to one endpoint may take before another is asked."""
ATTEMPT_S = 5.0
"""How long one endpoint may take to answer."""
PATIENCE_S = 5.0
"""How long a call is tried again while no endpoint answers: longer than the election of a new leader takes."""
_PAUSE_S = 0.1
_PARTING_S = 0.02
_LEADER_ONLY = (("hasleader", "true"),)
"""A member that is cut off from the others refuses, and ends its watches, in place of answering with what is old."""
_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A member that hangs is noticed, also by a watch that would wait for ever. etcd allows pings every 5 s.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", int(CONNECT_S * 1000)),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
)
_GONE = (StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED, StatusCode.CANCELLED)
_NEVER_ARRIVED = (
    "failed to connect to all addresses",
    "DNS resolution failed",
    "etcdserver: no leader",
    "no answer to a connection",
)
_ADDRESS_NOISE = re.compile(r"^failed to connect to all addresses; last error: (?:\w+: )?|ipv[46]:\S+: ")


@dataclass(frozen=True, slots=True)
class TLS:
    """Files of upstream's --etcd-cafile, --etcd-certfile and --etcd-keyfile. None: the system's CAs, no client certificate."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """Raises OSError."""
        ca, key, cert = (path.read_bytes() if path else None for path in (self.ca, self.key, self.cert))
        return grpc.ssl_channel_credentials(ca, key, cert)


class Failed(Exception):
    """An answer of etcd's that is an error and means something to the caller."""

    def __init__(self, code: StatusCode, details: str) -> None:
        super().__init__(details)
        self.code, self.details = code, details


class Endpoint:
    """One member: its address and its connection."""

    def __init__(self, url: str, tls: TLS) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no etcd address: http://HOST:PORT or https://HOST:PORT is wanted")
        self.url = url
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        target = f"dns:///{host}:{parts.port or 2379}"
        if parts.scheme == "https":
            self._channel = aio.secure_channel(target, tls.credentials(), _OPTIONS)
        else:
            self._channel = aio.insecure_channel(target, _OPTIONS)
        self._methods: dict[str, aio.UnaryUnaryMultiCallable[bytes, bytes]] = {}

    async def call(self, method: str, request: bytes) -> bytes:
        """Raises aio.AioRpcError."""
        await self._settled()
        found = self._methods.get(method)
        if found is None:
            found = self._methods[method] = self._channel.unary_unary(method)
        return await found(request, timeout=ATTEMPT_S, metadata=_LEADER_ONLY)

    async def stream(self, method: str) -> Stream:
        """Raises aio.AioRpcError, also later from the stream's own methods."""
        await self._settled()
        start: aio.StreamStreamMultiCallable[bytes, bytes] = self._channel.stream_stream(method)
        return start(metadata=_LEADER_ONLY)

    async def _settled(self) -> None:
        """Until the connection stands or is known to fail: a call that waits for one could not tell whether it was sent."""
        state = self._channel.get_state(try_to_connect=True)
        if state is grpc.ChannelConnectivity.READY:
            return
        try:
            async with asyncio.timeout(CONNECT_S):
                while state in (grpc.ChannelConnectivity.IDLE, grpc.ChannelConnectivity.CONNECTING):
                    await self._channel.wait_for_state_change(state)
                    state = self._channel.get_state(try_to_connect=True)
        except TimeoutError:
            raise aio.AioRpcError(StatusCode.UNAVAILABLE, details=f"no answer to a connection in {CONNECT_S:g} s") from None

    async def close(self) -> None:
        await self._channel.close()


class Endpoints:
    """All members that were named. `current` is the one that calls and new watches go to."""

    def __init__(self, servers: Sequence[str], tls: TLS, clock: Clock) -> None:
        """Raises ValueError for a bad address, OSError for a file that cannot be read."""
        self._clock = clock
        self._members = [Endpoint(url, tls) for url in servers]
        self._at = 0
        self._answering = False
        self._closed = False

    @property
    def current(self) -> Endpoint:
        return self._members[self._at]

    def leave(self, endpoint: Endpoint) -> None:
        """Ask the next one from now on, unless somebody has changed already."""
        if endpoint is self.current:
            self._at = (self._at + 1) % len(self._members)

    async def call(self, method: str, request: bytes, read: Callable[[bytes], T], *, repeatable: bool = True) -> T:
        """Raises Unavailable; Failed for errors that are the caller's matter; RequestEntityTooLarge."""
        # Once etcd is known to be down each call tries every endpoint once: waiting in line would help nobody.
        until = self._clock.monotonic() + (PATIENCE_S if self._answering else 0.0)
        tried = 0
        while True:
            self.check_open()
            endpoint = self.current
            try:
                answer = await endpoint.call(method, request)
            except aio.AioRpcError as fault:
                self._judge(fault, endpoint, repeatable)
                self.leave(endpoint)
                tried += 1
                if tried % len(self._members) == 0:
                    if self._clock.monotonic() >= until:
                        self._answering = False
                        raise self.unreachable(reason(fault)) from fault
                    await self._clock.sleep(_PAUSE_S)
            except (asyncio.CancelledError, aio.UsageError):
                # grpc also says this of calls that were under way when the connection was closed.
                if not being_cancelled():
                    self.check_open()
                raise
            else:
                self._answering = True
                return read(answer)

    def check_open(self) -> None:
        if self._closed:
            raise Unavailable("the store is closed")

    def unreachable(self, why: str) -> Unavailable:
        servers = ", ".join(member.url for member in self._members)
        return Unavailable(f"etcd does not answer at {servers}: {why}")

    async def close(self) -> None:
        self._closed = True
        for member in self._members:
            await member.close()
        # grpc hears of the end of cancelled calls a moment later, and complains if the event loop is closed by then.
        await self._clock.sleep(_PARTING_S)

    @staticmethod
    def _judge(fault: aio.AioRpcError, endpoint: Endpoint, repeatable: bool) -> None:
        """Return if the call should be made again; otherwise raise what the failure means."""
        code, details = fault.code(), fault.details() or ""
        if code in _GONE:
            if repeatable or details.startswith(_NEVER_ARRIVED):
                return
            text = f"etcd at {endpoint.url} broke off during a write, which may or may not have been made: {reason(fault)}"
            raise Unavailable(text) from fault
        if "request is too large" in details or "message larger than max" in details:
            raise RequestEntityTooLarge(details) from fault
        if "database space exceeded" in details:
            text = "etcd's database is full: compact and defragment it, then disarm its NOSPACE alarm"
            log.error("store cannot write error=%r", text)
            raise NoSpace(text) from fault
        if code in (StatusCode.OUT_OF_RANGE, StatusCode.NOT_FOUND, StatusCode.INVALID_ARGUMENT):
            raise Failed(code, details) from fault
        raise Unavailable(f"etcd at {endpoint.url} refuses: {reason(fault)}") from fault


def reason(fault: aio.AioRpcError) -> str:
    """The cause in a few words; grpc repeats the addresses in it."""
    return _ADDRESS_NOISE.sub("", fault.details() or "") or fault.code().name.lower().replace("_", " ")
