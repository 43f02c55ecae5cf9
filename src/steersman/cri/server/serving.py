"""The services as a gRPC server on a Unix socket, and failures as gRPC's codes."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from cri_api.v1 import api_pb2 as cri
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from grpc import StatusCode, aio

from steersman.cri.interface import ImageService, NotThere, Runtime, RuntimeFault
from steersman.cri.server.images import ImageCalls
from steersman.cri.server.runtime import RuntimeService
from steersman.cri.server.streaming import StreamServer
from steersman.machinery.clock import Clock

log = logging.getLogger(__name__)

_OPTIONS = (("grpc.max_receive_message_length", 16 << 20), ("grpc.max_send_message_length", 16 << 20))
_GRACE_S = 0.1
Context = aio.ServicerContext[Any, Any]


@contextlib.asynccontextmanager
async def serving(path: str, runtime: Runtime, images: ImageService, clock: Clock) -> AsyncIterator[None]:
    """CRI v1 on a socket at `path`, in a directory that keeps others out. Raises OSError if it can't be made."""
    async with StreamServer(clock) as streams:
        server = aio.server(options=_OPTIONS)
        services = {"RuntimeService": RuntimeService(runtime, streams, clock), "ImageService": ImageCalls(images, clock)}
        for name, service in services.items():
            described = cri.DESCRIPTOR.services_by_name[name]
            handlers = {
                method.name: _handler(method, getattr(service, method.name))
                for method in described.methods
                if hasattr(service, method.name)
            }
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(described.full_name, handlers),))
        try:
            server.add_insecure_port(f"unix:{path}")
        except RuntimeError as error:
            raise OSError(str(error)) from error
        await server.start()
        try:
            yield
        finally:
            await server.stop(_GRACE_S)


def _handler(method: MethodDescriptor, call: Callable[[Any], Any]) -> grpc.RpcMethodHandler[Any, Any]:
    asked = message_factory.GetMessageClass(method.input_type).FromString
    made: Callable[..., grpc.RpcMethodHandler[Any, Any]] = (
        grpc.unary_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler
    )
    behave = _streamed(call) if method.server_streaming else _answered(method.name, call)
    return made(behave, request_deserializer=asked, response_serializer=_bytes)


def _bytes(message: Message) -> bytes:
    return message.SerializeToString()


def _answered(name: str, call: Callable[[Any], Awaitable[Message]]) -> Callable[[Any, Context], Awaitable[Message]]:
    async def answer(request: Any, context: Context) -> Message:
        try:
            return await call(request)
        except RuntimeFault as fault:
            await context.abort(_code(fault), str(fault))
        except Exception as error:
            log.exception("CRI call failed call=%s", name)
            await context.abort(StatusCode.INTERNAL, f"{type(error).__name__}: {error}")
        raise AssertionError("abort raises")

    return answer


def _streamed(call: Callable[[Any], AsyncIterator[Message]]) -> Callable[[Any, Context], AsyncIterator[Message]]:
    async def stream(request: Any, context: Context) -> AsyncIterator[Message]:
        # grpc sends what tells the client that the call is served with the first message only, unless it is told to.
        await context.send_initial_metadata(())
        async for message in call(request):
            yield message

    return stream


def _code(fault: RuntimeFault) -> StatusCode:
    if isinstance(fault, NotThere):
        return StatusCode.NOT_FOUND
    if fault.reason == "DeadlineExceeded":
        return StatusCode.DEADLINE_EXCEEDED
    return StatusCode.UNKNOWN
