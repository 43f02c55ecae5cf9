"""Port-forward over SPDY: each connection is a pair of streams, error and data, with the same requestID.

kubectl opens this either by a plain upgrade or tunnelled in a WebSocket. Source: upstream
kubelet/pkg/cri/streaming/portforward/httpstream.go.
"""

from __future__ import annotations

import asyncio
import logging

from steersman.cri.interface import RuntimeFault, Tunnel
from steersman.kubelet.server.portforward import Dial
from steersman.kubelet.server.spdysession import SpdySession, SpdyStream

log = logging.getLogger(__name__)

PROTOCOL = "portforward.k8s.io"
TUNNEL_PROTOCOL = "SPDY/3.1+portforward.k8s.io"


async def serve(session: SpdySession, dial: Dial) -> None:
    """Forward until the client leaves."""
    waiting: dict[str, SpdyStream] = {}
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(session.run())
        forwards = []
        async for stream in session.opened():
            key = stream.headers.get("requestid", "")
            other = waiting.pop(key, None)
            if other is None:
                waiting[key] = stream
                continue
            data, error = (stream, other) if stream.headers.get("streamtype") == "data" else (other, stream)
            forwards.append(group.create_task(_forward(session, data, error, dial)))
            forwards = [task for task in forwards if not task.done()]
        for task in (*forwards, reading):
            task.cancel()
    await session.close()


async def _forward(session: SpdySession, data: SpdyStream, error: SpdyStream, dial: Dial) -> None:
    """One connection."""
    port = data.headers.get("port", "")
    try:
        tunnel = await dial(int(port))
        try:
            await _pipe(data, tunnel)
        finally:
            await tunnel.close()
    except (RuntimeFault, OSError, ValueError) as fault:
        log.info("port-forward failed port=%s error=%s", port, fault)
        try:
            await error.write(f"error forwarding port {port} to pod: {fault}".encode())
        except (ConnectionError, OSError):
            log.debug("client left before it was told")
    finally:
        try:
            await data.close_write()
            await error.close_write()
        except (ConnectionError, OSError):
            log.debug("client left first port=%s", port)
        session.forget(data)
        session.forget(error)


async def _pipe(data: SpdyStream, tunnel: Tunnel) -> None:
    """Both ways, until the pod's side is done: a client may end its own side and still read."""

    async def up() -> None:
        try:
            while piece := await data.read():
                await tunnel.write(piece)
            await tunnel.close_write()
        except (RuntimeFault, OSError) as fault:
            log.debug("pod closed its end error=%s", fault)

    failure: RuntimeFault | OSError | None = None
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(up())
        try:
            while piece := await tunnel.read():
                await data.write(piece)
            await data.close_write()
        except (RuntimeFault, OSError) as fault:
            # Raised below, so that the caller gets the failure itself and not an ExceptionGroup around it.
            failure = fault
        sending.cancel()
    if failure is not None:
        raise failure
