"""The HTTPS front: listens, keeps connections (connection.py), and hands requests to the server-neutral core (a Handler).

No router: paths are parsed by the pipeline. What is not here: anything that knows Kubernetes.
"""

from __future__ import annotations

import asyncio
import ssl
import zlib
from dataclasses import replace
from email.utils import format_datetime

from steersman.apiserver.authn.build import peer_authorities
from steersman.apiserver.config import ServerConfig
from steersman.apiserver.connection import Connection
from steersman.apiserver.http import Handler, Request, Response
from steersman.machinery.clock import Clock
from steersman.machinery.lasting import lasting

_GZIP_FROM = 128 * 1024
_SWEEP_S = 5.0
_LOOK_S = 0.05
_HANDSHAKE_S = 32.0
_GOODBYE_S = 5.0


class HTTPServer:
    """`bind()` takes the port, `start()` begins to serve. To end: `refuse()`, `drain()`, `stop()`.

    Connections live in the TaskGroup given to `bind`.
    """

    def __init__(self, config: ServerConfig, handler: Handler, clock: Clock) -> None:
        self._config, self._handler, self._clock = config, handler, clock
        self._connections: set[Connection] = set()
        self._closing = False
        self._listener: asyncio.Server | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._second = -1
        self._date = ""
        self.port = 0

    async def bind(self, tasks: asyncio.TaskGroup) -> None:
        """Raises OSError if the address cannot be had."""
        self._tasks = tasks
        config = self._config
        self._listener = await asyncio.get_running_loop().create_server(
            lambda: Connection(self._serve, config.max_body_bytes, self._http_date, self._opened),
            config.bind_address,
            config.secure_port,
            ssl=tls_context(config),
            backlog=1024,
            start_serving=False,
            ssl_handshake_timeout=_HANDSHAKE_S,
            ssl_shutdown_timeout=_GOODBYE_S,
        )
        self.port = self._listener.sockets[0].getsockname()[1]

    async def start(self) -> None:
        assert self._listener is not None
        assert self._tasks is not None
        self._sweeping = self._tasks.create_task(lasting("cutting off of idle clients", self._sweep, self._clock))
        await self._listener.start_serving()

    @property
    def listening(self) -> bool:
        return self._listener is not None and self._listener.is_serving()

    def refuse(self, refusal: Handler, *, listen: bool) -> None:
        """Have new requests answered by `refusal`. Connections close once they have been answered. listen: new ones may come."""
        self._handler, self._closing = refusal, True
        if self._listener is not None and not listen:
            self._listener.close()
        for connection in tuple(self._connections):
            connection.close_when_idle()

    async def drain(self, limit_s: float) -> None:
        """Wait for the requests that were under way, other than watches and the like."""
        until_s = self._clock.monotonic() + limit_s
        # Looked at again and again: what has become a watch meanwhile is not waited for.
        while short := [connection.task for connection in self._connections if connection.task and not connection.long_running]:
            left_s = until_s - self._clock.monotonic()
            if left_s <= 0:
                return
            await asyncio.wait(short, timeout=min(left_s, _LOOK_S))

    async def stop(self, grace_s: float) -> None:
        """Close: what is still being sent has a moment."""
        if self._listener is None:
            return
        if self._sweeping is not None:
            self._sweeping.cancel()
        self._listener.close()
        running = {connection.task for connection in self._connections if connection.task is not None}
        if running:
            _, late = await asyncio.wait(running, timeout=grace_s)
            for task in late:
                task.cancel()
        await self._listener.wait_closed()

    def _opened(self, connection: Connection) -> None:
        assert self._tasks is not None
        self._connections.add(connection)
        connection.closing = self._closing
        connection.task = self._tasks.create_task(connection.run())
        connection.task.add_done_callback(lambda _: self._connections.discard(connection))

    async def _sweep(self) -> None:
        """Cut off clients that keep connections without using them: half a request, an answer that is not read, or nothing."""
        while True:
            await self._clock.sleep(_SWEEP_S)
            now_s = self._clock.monotonic()
            for connection in tuple(self._connections):
                if connection.is_stuck(now_s):
                    connection.transport.abort()

    async def _serve(self, request: Request) -> Response:
        response = await self._handler(request)
        if "accept-encoding" in request.headers and response.chunks is None and response.status == 200:
            return await _compressed(request, response)
        return response

    def _http_date(self) -> str:
        second = int(self._clock.monotonic())
        if second != self._second:
            self._second, self._date = second, format_datetime(self._clock.now(), usegmt=True)
        return self._date


async def _compressed(request: Request, response: Response) -> Response:
    """gzip large answers for those who accept it, off the loop."""
    size = len(response.body) if response.parts is None else response.length
    if size <= _GZIP_FROM or "gzip" not in request.headers["accept-encoding"] or "Content-Encoding" in response.headers:
        return response
    parts = (response.body,) if response.parts is None else response.parts

    def work() -> bytes:
        packer = zlib.compressobj(1, zlib.DEFLATED, 31)
        return b"".join([*(packer.compress(part) for part in parts), packer.flush()])

    packed = await asyncio.get_running_loop().run_in_executor(None, work)
    headers = {**response.headers, "Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return replace(response, body=packed, parts=None, headers=headers)


def tls_context(config: ServerConfig) -> ssl.SSLContext:
    """TLS 1.2 or newer; client certificates are optional and, if given, must be of the client CA, or the front proxy's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(config.tls_cert, config.tls_key)
    for authorities in peer_authorities(config):
        context.load_verify_locations(authorities)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    return context
