"""The socket that clients know, `cri.sock`: the gRPC server behind it is made when somebody comes for the first time.

A node that nobody looks into need not load gRPC, which would be a tenth of its memory. gRPC cannot take over a connection, so
its server listens on a socket of its own, in a directory of the door's, and bytes are passed on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import socket
from collections.abc import AsyncIterator
from typing import Any, Self

from steersman.cri.interface import ImageService, Runtime
from steersman.cri.native.threads import off_loop
from steersman.machinery.clock import Clock

log = logging.getLogger(__name__)

_CHUNK = 1 << 16
_INNER = "grpc.sock"


class Door:
    """Use as a context manager. Where the socket can't be made the node does without it, and the log says so."""

    def __init__(self, path: str, runtime: Runtime, images: ImageService, clock: Clock) -> None:
        """`path`: of the socket, 0600; beside it a directory `<path>.d`, 0700, for the one behind it."""
        self._path, self._inside = path, f"{path}.d"
        self._runtime, self._images, self._clock = runtime, images, clock
        self._opening = asyncio.Lock()
        self._behind: contextlib.AbstractAsyncContextManager[None] | None = None
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        try:
            self._server = await asyncio.start_unix_server(self._entered, sock=self._bound())
        except OSError as error:
            log.warning("the runtime's socket can't be made: crictl will not work path=%s error=%s", self._path, error)
        return self

    def _bound(self) -> socket.socket:
        """Made where nobody else may look, and moved to its place when it is closed to others."""
        shutil.rmtree(self._inside, ignore_errors=True)
        os.makedirs(self._inside, mode=0o700)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listening.bind(f"{self._inside}/door")
            os.chmod(f"{self._inside}/door", 0o600)
            os.rename(f"{self._inside}/door", self._path)
        except BaseException:
            listening.close()
            raise
        return listening

    async def __aexit__(self, *details: Any) -> None:
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
        for writer in tuple(self._writers):
            writer.transport.abort()
        if self._behind is not None:
            await self._behind.__aexit__(None, None, None)
        shutil.rmtree(self._inside, ignore_errors=True)

    async def _open(self) -> str:
        """The socket of the server behind. Raises OSError, ImportError."""
        path = f"{self._inside}/{_INNER}"
        async with self._opening:
            if self._behind is None:
                await off_loop(_load)
                from steersman.cri.server.serving import serving

                behind = serving(path, self._runtime, self._images, self._clock)
                await behind.__aenter__()
                self._behind = behind
        return path

    async def _entered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with self._kept(writer):
                inner_reader, inner = await asyncio.open_unix_connection(await self._open())
                async with self._kept(inner), asyncio.TaskGroup() as group:
                    group.create_task(_passed(reader, inner))
                    group.create_task(_passed(inner_reader, writer))
        except ImportError as error:
            log.warning("the runtime's socket needs gRPC: pip install 'steersman[cri]' error=%s", error)
        except OSError as error:
            log.warning("a client of the runtime's socket was not served error=%s", error)

    @contextlib.asynccontextmanager
    async def _kept(self, writer: asyncio.StreamWriter) -> AsyncIterator[None]:
        self._writers.add(writer)
        try:
            yield
        finally:
            self._writers.discard(writer)
            writer.close()


def _load() -> None:
    """In a thread: it takes a fifth of a second."""
    import steersman.cri.server.serving  # noqa: F401 - loaded here, used when the first client comes


async def _passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Bytes from one side to the other, until either is done: gRPC's connections do not end by halves."""
    try:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    except OSError as error:
        log.debug("connection to the runtime's socket ended error=%s", error)
    writer.close()
