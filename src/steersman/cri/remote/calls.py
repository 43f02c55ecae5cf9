"""Calls to a container runtime over gRPC: one connection, a limit for every call, failures in the interface's words.

grpc connects anew by itself, at least once a second: a runtime that was restarted is there again with the next call. Nothing
here knows what the messages contain.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator
from typing import TypeVar

from google.protobuf.message import Message
from grpc import StatusCode, aio

from steersman.cri.interface import NotThere, RuntimeFault
from steersman.machinery.clock import Clock

log = logging.getLogger(__name__)

A = TypeVar("A", bound=Message)

RUNTIME, IMAGES = "/runtime.v1.RuntimeService/", "/runtime.v1.ImageService/"
QUICK_S = 10.0
"""For calls that only ask. A runtime that is stopped is noticed after this long."""
SLOW_S = 120.0
"""For calls that make or end something: upstream's runtimeRequestTimeout."""
MAX_MESSAGE = 32 << 20
_PARTING_S = 0.02
_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
)
_OWN_DEADLINE = "Deadline Exceeded"
_NOISE = re.compile(r"^(?:failed to connect to all addresses; last error: )?(?:[A-Z]+: )?(?:unix:\S+: )?")


class NotSupported(RuntimeFault):
    """The runtime does not know this call."""


class OutOfTime(RuntimeFault):
    """The runtime gave up by itself: a command or a pull took too long."""


class Endpoint:
    """A runtime's socket. The connection is made with the first call, in the loop that makes it."""

    def __init__(self, address: str, clock: Clock) -> None:
        """`address`: a path, or `unix:///path`."""
        self.path = address.removeprefix("unix://")
        self._clock = clock
        self._open: aio.Channel | None = None

    @property
    def _channel(self) -> aio.Channel:
        if self._open is None:
            self._open = aio.insecure_channel(f"unix:{self.path}", _OPTIONS)
        return self._open

    async def call(self, method: str, request: Message, answer: type[A], timeout_s: float | None = QUICK_S) -> A:
        """`timeout_s` None: as long as it takes. Raises RuntimeFault, NotThere, NotSupported, OutOfTime."""
        made = self._channel.unary_unary(method, type(request).SerializeToString, answer.FromString)
        try:
            return await made(request, timeout=timeout_s)
        except aio.AioRpcError as error:
            raise self._fault(error, method, timeout_s) from error

    async def stream(self, method: str, request: bytes) -> AsyncIterator[bytes]:
        """A stream of undecoded messages, without a limit. Raises as `call` does."""
        made: aio.UnaryStreamMultiCallable[bytes, bytes] = self._channel.unary_stream(method)
        try:
            async for message in made(request):
                yield message
        except aio.AioRpcError as error:
            raise self._fault(error, method, None) from error

    async def close(self) -> None:
        if self._open is not None:
            await self._open.close()
            self._open = None
            # grpc hears of the end of cancelled calls a moment later, and complains if the event loop is closed by then.
            await self._clock.sleep(_PARTING_S)

    def _fault(self, error: aio.AioRpcError, method: str, timeout_s: float | None) -> RuntimeFault:
        code, details = error.code(), (error.details() or "").strip()
        name = method.rpartition("/")[2]
        if code is StatusCode.DEADLINE_EXCEEDED and details == _OWN_DEADLINE:
            return RuntimeFault(f"the container runtime at {self.path} did not answer {name} within {timeout_s:g} s")
        if code is StatusCode.UNAVAILABLE and not details.startswith("failed to pull"):
            return RuntimeFault(f"the container runtime at {self.path} cannot be reached: {_NOISE.sub('', details) or code.name}")
        kinds = {
            StatusCode.NOT_FOUND: NotThere,
            StatusCode.UNIMPLEMENTED: NotSupported,
            StatusCode.DEADLINE_EXCEEDED: OutOfTime,
        }
        return kinds.get(code, RuntimeFault)(details or code.name.lower())
