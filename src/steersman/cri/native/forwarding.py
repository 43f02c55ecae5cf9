"""Byte streams into a sandbox: a socket made inside its network namespace, used from here."""

from __future__ import annotations

import asyncio
import socket

from steersman.cri.interface import RuntimeFault
from steersman.cri.native.namespaces import inside_netns
from steersman.cri.native.waiting import within
from steersman.machinery.clock import Clock

_CONNECT_S = 10.0
_TARGETS = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


class SocketTunnel:
    """interface.Tunnel over a connected socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    async def read(self) -> bytes:
        try:
            return await asyncio.get_running_loop().sock_recv(self._socket, 65536)
        except ConnectionError:
            return b""

    async def write(self, data: bytes) -> None:
        try:
            await asyncio.get_running_loop().sock_sendall(self._socket, data)
        except ConnectionError as error:
            raise RuntimeFault(f"the pod closed the connection: {error.strerror}") from error

    async def close_write(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    async def close(self) -> None:
        self._socket.close()


async def open_tunnel(netns: str, port: int, clock: Clock) -> SocketTunnel:
    """Connect to localhost:port inside the namespace, IPv4 first ("" = the host's own). Raises RuntimeFault."""
    failure = ""
    for family, address in _TARGETS:

        def make(family: int = family) -> socket.socket:
            return socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)

        connection = await inside_netns(netns, make) if netns else make()
        try:
            await within(clock, _CONNECT_S, asyncio.get_running_loop().sock_connect(connection, (address, port)))
            return SocketTunnel(connection)
        except (OSError, TimeoutError) as error:
            connection.close()
            failure = failure or str(error) or "timed out"
        except BaseException:
            connection.close()
            raise
    raise RuntimeFault(f"failed to connect to localhost:{port} inside the pod: {failure}")
